"""Messages for gRPC's errors of a call, with the cause and what to mend."""

import re

import grpc

_SIZES = re.compile(r"larger than max \((\d{1,18}) vs\.? (\d{1,18})\)", re.IGNORECASE)

_MEANINGS = (
    ("WRONG_VERSION_NUMBER", True, "it speaks no TLS, but we do"),
    ("certificate has expired", True, "its certificate has expired"),
    ("certificate is not yet valid", True, "its certificate is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", True, "its certificate is not of the CA that we trust"),
    ("Hostname Verification Check failed", True, "its certificate is for another name"),
    ("Socket closed", True, "it hung up at once: perhaps it asks for a client certificate, or for another than ours"),
    ("Socket closed", False, "it hung up at once: perhaps it speaks TLS only"),
)
"""Text of a failed connection attempt, whether TLS was used, and the meaning; the first match counts."""
_CONNECTING = ("connections to all backends failing", "failed to connect to all addresses")
"""First words about a failed connection attempt; about a call under way the same text has another meaning."""
_CUT_OFF = "cancelling all calls"
"""gRPC's words when our runner stops and a call outlasts the grace period."""


def sizes_in(text: str) -> tuple[int, int]:
    """Return the size and the limit in a refusal, both in bytes; zeros if it has none."""
    found = _SIZES.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def too_large(size: int, limit: int) -> str:
    """Return the message for an answer that is too large, in gRPC's own words, which any client knows."""
    return f"Sent message larger than max ({size} vs. {limit})"


def describe(code: grpc.StatusCode, text: str, *, secure: bool) -> str:
    """Return the reason that a call did not reach a runner.

    Args:
        code: Code of the status.
        text: Details of the status; the reason contains them.
        secure: Whether the connection is encrypted.
    """
    meaning = _meaning(code, text, secure=secure)
    if not text:
        return f"{code.name}: {meaning}" if meaning else code.name
    return f"{code.name}: {meaning} ({text})" if meaning else f"{code.name}: {text}"


def _meaning(code: grpc.StatusCode, text: str, *, secure: bool) -> str:
    if _CUT_OFF in text.lower():
        return "it was stopped before the function ended"
    if code == grpc.StatusCode.CANCELLED:
        # The runner has begun to stop, and the client has not heard of it. Our own cancellation raises no such error.
        return "it takes no more calls, as it is being stopped"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return "what answers there is no function runner"
    if text.startswith(_CONNECTING):
        return next((means for words, tls, means in _MEANINGS if words in text and tls == secure), "")
    return ""
