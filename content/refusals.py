"""Refusals of the content API, as the Status objects that Kubernetes clients read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from porchflow.api.git_address import without_secrets
from porchflow.api.models.conditions import Reason
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
    """One fault of a body: the field, and what is wrong with it."""

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
        """Create the error.

        Args:
            code: HTTP status code.
            reason: The reason, such as `Conflict`.
            message: What is wrong, on what, and how to mend it.
            name: Name of the object.
            kind: Plural of the object's kind.
            causes: Faults by field.
            retry_after: Seconds after which the client may try again.
        """
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
    """Return the error for a request that is not valid by itself."""
    return ApiError(400, "BadRequest", message)


def not_found(name: str, why: str = "", *, kind: str = PACKAGE_REVISION_RESOURCES_PLURAL) -> ApiError:
    """Return the error for an object that does not exist; `why` adds a reason."""
    group = "config.porch.kpt.dev" if kind == "repositories" else PORCH_GROUP
    message = f'{kind}.{group} "{name}" not found' + (f": {why}" if why else "")
    return ApiError(404, "NotFound", message, name=name, kind=kind)


def no_such_path() -> ApiError:
    """Return the error for a path that is not served."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed(verb: str) -> ApiError:
    """Return the error for a path that does not support a verb."""
    return ApiError(405, "MethodNotAllowed", f"{verb} is not supported on resources of kind {RESOURCE!r}")


def conflict(name: str, why: str) -> ApiError:
    """Return the error for an object that changed after the client read it; `why` states the way out."""
    message = f'Operation cannot be fulfilled on {RESOURCE} "{name}": {why}'
    return ApiError(409, "Conflict", message, name=name)


def invalid(name: str, *causes: Cause) -> ApiError:
    """Return the error for an object that was decoded and is not valid."""
    told = str(causes[0]) if len(causes) == 1 else f"[{', '.join(map(str, causes))}]"
    message = f'{PACKAGE_REVISION_RESOURCES_KIND}.{PORCH_GROUP} "{name}" is invalid: {told}'
    return ApiError(422, "Invalid", message, name=name, kind=PACKAGE_REVISION_RESOURCES_KIND, causes=causes)


def gone(message: str) -> ApiError:
    """Return the error for a path that is served by another version."""
    return ApiError(410, "Gone", message)


def invalid_query(field: str, message: str) -> ApiError:
    """Return the error for parameters that exclude one another."""
    cause = Cause(field, message, "FieldValueForbidden")
    return ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {cause}', causes=(cause,))


def unavailable(message: str) -> ApiError:
    """Return the error for a peer that does not answer; the same request may succeed later."""
    return ApiError(503, "ServiceUnavailable", message, retry_after=1)


def too_many(message: str, retry_after: int = 1) -> ApiError:
    """Return the error for a user, or all users together, above a rate limit."""
    return ApiError(429, "TooManyRequests", message, retry_after=retry_after)


def too_large(message: str) -> ApiError:
    """Return the error for a body or package above a size limit."""
    return ApiError(413, "RequestEntityTooLarge", message)


def of_failure(error: Exception, name: str = "") -> ApiError | None:
    """Return the refusal for an error of Git, Kubernetes or the access to a Repository; None for an unexpected error.

    Args:
        error: The error that was raised.
        name: The object of the request.
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
    # Forbidden and Unauthorized too: the API server refused this server, which means nothing for its client.
    return unavailable(f"the Kubernetes API server refuses or fails: {error}")
