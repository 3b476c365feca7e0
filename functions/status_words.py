"""What gRPC says when a call came to nothing, in words that tell what to mend."""

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
"""What a failed attempt to connect says, whether with TLS, and what it means; the first that fits counts."""
_CONNECTING = ("connections to all backends failing", "failed to connect to all addresses")
"""How the story of a failed attempt to connect begins; of a call under way the same words would mean something else."""
_CUT_OFF = "cancelling all calls"
"""How gRPC says that a runner of ours stops, and a call took longer than its grace."""


def sizes_in(text: str) -> tuple[int, int]:
    """The size and the limit that a refusal names, in bytes; zeros if it names none."""
    found = _SIZES.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def too_large(size: int, limit: int) -> str:
    """What a runner says of an answer that is too large, in gRPC's own words: any client knows them."""
    return f"Sent message larger than max ({size} vs. {limit})"


def describe(code: grpc.StatusCode, text: str, *, secure: bool) -> str:
    """Why a runner could not be asked.

    Args:
        code: of the status.
        text: its details; kept where they say more than we know.
        secure: whether the connection is encrypted.
    """
    meaning = _meaning(code, text, secure=secure)
    if not text:
        return f"{code.name}: {meaning}" if meaning else code.name
    return f"{code.name}: {meaning} ({text})" if meaning else f"{code.name}: {text}"


def _meaning(code: grpc.StatusCode, text: str, *, secure: bool) -> str:
    if _CUT_OFF in text.lower():
        return "it was stopped before the function ended"
    if code == grpc.StatusCode.CANCELLED:
        # Between its beginning to stop and its clients' hearing of it; our own cancelling is no error of the call.
        return "it takes no more calls, as it is being stopped"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return "what answers there is no function runner"
    if text.startswith(_CONNECTING):
        return next((means for words, tls, means in _MEANINGS if words in text and tls == secure), "")
    return ""
