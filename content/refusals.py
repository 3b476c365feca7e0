"""What the content API refuses, as the Status objects that Kubernetes clients understand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from porchflow.api.conditions import Reason
from porchflow.api.git_address import without_secrets
from porchflow.api.names import PACKAGE_REVISION_RESOURCES_KIND, PACKAGE_REVISION_RESOURCES_PLURAL, PORCH_GROUP
from porchflow.gitrepo.errors import (
    GitConflict,
    GitError,
    GitHookDeclined,
    GitNotFound,
    GitQuotaExceeded,
)
from porchflow.gitrepo.refs import InvalidName
from porchflow.kube.errors import Conflict, Expired, Invalid, KubeError, NotFound, TooManyRequests
from porchflow.repositories.failures import PhaseError

RESOURCE = f"{PACKAGE_REVISION_RESOURCES_PLURAL}.{PORCH_GROUP}"


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with what was sent: at which field, and what."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiError(Exception):
    """An answer that is no success.

    Attributes:
        code: HTTP status code.
        reason: The machine-readable word of Kubernetes for it, such as `Conflict`.
        message: What is wrong, on what, and how to mend it.
        retry_after: Seconds after which the client may try again; None where it need not wait.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        name: str = "",
        kind: str = PACKAGE_REVISION_RESOURCES_PLURAL,
        causes: Sequence[Cause] = (),
        retry_after: int | None = None,
    ) -> None:
        """Keep what is known; `name` and `kind` say of which object."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self._name = name
        self._kind = kind
        self._causes = causes

    def status(self) -> dict[str, Any]:
        """Return the error as a `v1.Status`."""
        details: dict[str, Any] = {}
        if self._name:
            details |= {"name": self._name, "group": PORCH_GROUP, "kind": self._kind}
        if self._causes:
            causes = [{"reason": each.reason, "message": each.message, "field": each.field} for each in self._causes]
            details["causes"] = causes
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        return {**status, "details": details} if details else status


def bad_request(message: str) -> ApiError:
    """The request itself makes no sense."""
    return ApiError(400, "BadRequest", message)


def not_found(name: str, why: str = "", *, kind: str = PACKAGE_REVISION_RESOURCES_PLURAL) -> ApiError:
    """There is no such object; `why` says more than that."""
    group = "config.porch.kpt.dev" if kind == "repositories" else PORCH_GROUP
    message = f'{kind}.{group} "{name}" not found' + (f": {why}" if why else "")
    return ApiError(404, "NotFound", message, name=name, kind=kind)


def no_such_path() -> ApiError:
    """Nothing is served there."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(verb: str) -> ApiError:
    """Nothing is done there by this method."""
    return ApiError(405, "MethodNotAllowed", f"{verb} is not supported on resources of kind {RESOURCE!r}")


def conflict(name: str, why: str) -> ApiError:
    """Somebody else changed the object; `why` says what to do."""
    message = f'Operation cannot be fulfilled on {RESOURCE} "{name}": {why}'
    return ApiError(409, "Conflict", message, name=name)


def invalid(name: str, *causes: Cause) -> ApiError:
    """What was sent is understood, and cannot be."""
    told = str(causes[0]) if len(causes) == 1 else f"[{', '.join(map(str, causes))}]"
    message = f'{PACKAGE_REVISION_RESOURCES_KIND}.{PORCH_GROUP} "{name}" is invalid: {told}'
    return ApiError(422, "Invalid", message, name=name, kind=PACKAGE_REVISION_RESOURCES_KIND, causes=causes)


def gone(message: str) -> ApiError:
    """It is served elsewhere now."""
    return ApiError(410, "Gone", message)


def invalid_query(field: str, message: str) -> ApiError:
    """The parameters are understood, and do not go together."""
    cause = Cause(field, message, "FieldValueForbidden")
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {cause}', causes=(cause,))


def unavailable(message: str) -> ApiError:
    """Something that is needed does not answer; the same request may work later."""
    return ApiError(503, "ServiceUnavailable", message, retry_after=1)


def too_many(message: str, retry_after: int = 1) -> ApiError:
    """The user, or all users together, ask more than is served."""
    return ApiError(429, "TooManyRequests", message, retry_after=retry_after)


def too_large(message: str) -> ApiError:
    """The body or the package is above a limit."""
    return ApiError(413, "RequestEntityTooLarge", message)


def of_failure(error: Exception, name: str = "") -> ApiError | None:
    """Sort what Git, Kubernetes or the look-up of a Repository answered; None for an error nobody expects.

    Args:
        error: What was raised.
        name: The object that the request is about.
    """
    match error:
        case ApiError():
            return error
        case PhaseError():
            return _of_phase(error)
        case GitError():
            return _of_git(error, name)
        case InvalidName():
            return invalid(name, Cause("spec.resources", str(error)))
        case KubeError():
            return _of_kube(error)
    return None


def _of_phase(error: PhaseError) -> ApiError:
    if error.reason == Reason.REPOSITORY_NOT_FOUND:
        return ApiError(404, "NotFound", f"repositories.config.porch.kpt.dev not found: {error.message}")
    return unavailable(error.message)


def _of_git(error: GitError, name: str) -> ApiError:
    text = without_secrets(str(error))
    match error:
        case GitConflict():
            return conflict(name, text)
        case GitNotFound():
            return not_found(name, text) if name else ApiError(404, "NotFound", text)
        case GitQuotaExceeded():
            return too_large(text)
        case GitHookDeclined():
            return ApiError(403, "Forbidden", f"the Git server refuses the change: {text}", name=name)
    return unavailable(text)


def _of_kube(error: KubeError) -> ApiError:
    match error:
        case NotFound():
            return ApiError(404, "NotFound", error.message, name=error.name)
        case Expired():
            return ApiError(410, "Expired", error.message)
        case Conflict():
            return ApiError(409, "Conflict", error.message)
        case Invalid():
            return ApiError(error.code or 400, error.reason or "BadRequest", error.message)
        case TooManyRequests():
            return too_many(error.message, int(error.retry_after or 1))
    # Forbidden and Unauthorized too: it is this server that is refused, which says nothing about its client.
    return unavailable(f"the Kubernetes API does not do its part: {error}")
