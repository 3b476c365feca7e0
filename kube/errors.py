"""Errors of requests to the Kubernetes API server, by reason."""

import json
from collections.abc import Mapping
from typing import Any

_TEXT_LIMIT = 500

_APPLY_TYPE_ERROR = "failed to create typed patch object"
"""A server-side apply of a value of the wrong type is answered 500, though sending it again cannot help."""


class KubeError(Exception):
    """A request to the API server that did not succeed.

    Attributes:
        code: HTTP status code; 0 when there was no answer.
        reason: The machine-readable `reason` of the Status object, such as `Conflict`; may be empty.
        message: The API server's message, for people.
        resource: The kind of object, such as `packagerevisions.porch.kpt.dev`.
        name: `namespace/name` of the object; may be empty.
        retry_after: Seconds to wait before the next attempt, as the server requests; None when it does not.
        continue_token: For an expired list: where it can continue with newer objects; empty when it cannot.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        reason: str = "",
        resource: str = "",
        name: str = "",
        retry_after: float | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.resource = resource
        self.name = name
        self.retry_after = retry_after
        self.continue_token = continue_token

    def __str__(self) -> str:
        target = " ".join(part for part in (self.resource, self.name) if part)
        return f"{target}: {self.message}" if target else self.message


class NotFound(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """There is no such object, or no such namespace."""


class NotServed(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The API server does not know this kind of object: its CRD is not installed (yet)."""


class AlreadyExists(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """An object of that name exists."""


class Conflict(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The object changed after it was read, or another field manager owns a field."""


class Invalid(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The API server refuses what was sent; sending it again will not help."""


class Unauthorized(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The API server does not accept the credentials."""


class Forbidden(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The user may not do this: RBAC or an admission policy refuses."""


class Expired(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The resource version or continue token is too old: list again."""


class TooManyRequests(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """The API server is busy; `retry_after` holds the seconds to wait, where it states them."""


class KubeUnavailable(KubeError):  # noqa: N818 - errors carry the names of the API's reasons
    """No usable answer: connection refused or lost, time-out, or an internal error of the server."""


class TimedOut(KubeUnavailable):
    """No answer in time, or silence for too long."""


class KubeConfigError(KubeError):
    """The credentials cannot be loaded: no kubeconfig, or one that cannot be used."""


_BY_CODE: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: KubeUnavailable,
    409: Conflict,
    410: Expired,
    413: Invalid,
    422: Invalid,
    429: TooManyRequests,
}

_BY_REASON: dict[str, type[KubeError]] = {"AlreadyExists": AlreadyExists}


def error_from_status(status: Mapping[str, Any], *, resource: str = "", name: str = "") -> KubeError:
    """Return the error that a Status object describes.

    Args:
        status: A `v1.Status`, from the body of an answer or from the ERROR event of a watch.
        resource: The kind that was requested.
        name: `namespace/name` of the object that was requested.
    """
    code = int(status.get("code") or 500)
    reason = str(status.get("reason") or "")
    details = status.get("details") or {}
    seconds = details.get("retryAfterSeconds")
    message = str(status.get("message") or reason or f"the API server answered {code}")
    kind = Invalid if message.startswith(_APPLY_TYPE_ERROR) else _class_for(code, reason)
    return kind(
        message,
        code=code,
        reason=reason,
        resource=resource,
        name=name,
        retry_after=float(seconds) if seconds else None,
        continue_token=str((status.get("metadata") or {}).get("continue") or ""),
    )


def error_from_response(
    code: int, body: bytes, *, retry_after: str | None = None, resource: str = "", name: str = ""
) -> KubeError:
    """Return the error for an answer that is no success.

    Args:
        code: HTTP status code.
        body: The answer's body; usually a Status object, but proxies and unknown paths answer with text.
        retry_after: The `Retry-After` header.
        resource: The kind that was requested.
        name: `namespace/name` of the object that was requested.
    """
    status = _parse_status(body)
    if status is None:
        error = _without_status(code, body, resource, name)
    else:
        error = error_from_status({"code": code, **status}, resource=resource, name=name)
    if error.retry_after is None:
        error.retry_after = _seconds(retry_after)
    return error


def _class_for(code: int, reason: str) -> type[KubeError]:
    fallback = KubeUnavailable if code >= 500 else KubeError  # noqa: PLR2004 - HTTP's class of server errors
    return _BY_REASON.get(reason) or _BY_CODE.get(code, fallback)


def _without_status(code: int, body: bytes, resource: str, name: str) -> KubeError:
    if code == 404:  # noqa: PLR2004 - an unknown path, unlike an unknown object, has no Status
        message = "the API server does not serve this kind of object; install the CustomResourceDefinitions"
        return NotServed(message, code=code, reason="NotFound", resource=resource, name=name)
    text = body[:_TEXT_LIMIT].decode(errors="replace").strip()
    message = f"the API server answered {code}" + (f": {text}" if text else "")
    return _class_for(code, "")(message, code=code, resource=resource, name=name)


def _parse_status(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else None


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None
