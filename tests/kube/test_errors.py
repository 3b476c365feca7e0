import json

import pytest

from porchflow.kube import errors


def _status(code: int, reason: str, **more: object) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": "told so", **more}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (410, "Gone", errors.Expired),
        (410, "Expired", errors.Expired),
        (413, "RequestEntityTooLarge", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.KubeUnavailable),
        (503, "ServiceUnavailable", errors.KubeUnavailable),
        (504, "Timeout", errors.KubeUnavailable),
        (405, "MethodNotAllowed", errors.KubeError),
    ],
)
def test_every_status_has_its_class(code: int, reason: str, kind: type[errors.KubeError]) -> None:
    error = errors.error_from_response(code, _status(code, reason), resource="widgets.test", name="a/b")
    assert type(error) is kind
    assert (error.code, error.reason, str(error)) == (code, reason, "widgets.test a/b: told so")


def test_an_unknown_path_is_not_an_unknown_object() -> None:
    error = errors.error_from_response(404, b"404 page not found\n", resource="widgets.test")
    assert type(error) is errors.NotServed
    assert "install the CustomResourceDefinitions" in str(error)


def test_an_apply_of_the_wrong_type_is_the_clients_fault_whatever_the_code() -> None:
    body = _status(500, "", message="failed to create typed patch object (a/b; v1): .spec.size: expected integer")
    assert type(errors.error_from_response(500, body)) is errors.Invalid


@pytest.mark.parametrize(
    ("body", "header", "seconds"),
    [
        (_status(429, "TooManyRequests", details={"retryAfterSeconds": 3}), "9", 3.0),
        (_status(429, "TooManyRequests"), "9", 9.0),
        (b"slow down", "2", 2.0),
        (b"slow down", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (b"slow down", None, None),
    ],
)
def test_how_long_to_wait(body: bytes, header: str | None, seconds: float | None) -> None:
    error = errors.error_from_response(429, body, retry_after=header)
    assert isinstance(error, errors.TooManyRequests)
    assert error.retry_after == seconds


def test_a_proxy_s_answer_is_shown_and_bounded() -> None:
    error = errors.error_from_response(502, b"<h1>Bad gateway</h1>" + b"x" * 5000)
    assert type(error) is errors.KubeUnavailable
    assert "502: <h1>Bad gateway</h1>" in str(error)
    assert len(str(error)) < 600
