"""Push events of GitHub, GitLab and Gitea: proof of their origin, and their contents.

GitHub and Gitea sign the body (HMAC-SHA256 with the secret), GitLab sends the secret itself. Sources: "Validating
webhook deliveries" of GitHub's documentation, "Webhooks" of GitLab's and Gitea's.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FORGES = ("X-Forgejo", "X-Gitea", "X-GitHub", "X-Gitlab")
"""Gitea and Forgejo send GitHub's headers as well, so their own are looked for first."""

_PUSHES = {"push", "create", "delete", "push hook", "tag push hook"}
_PINGS = {"ping"}
_SYSTEM = "system hook"
_ADDRESSES = (
    "clone_url",
    "ssh_url",
    "git_url",
    "html_url",
    "git_http_url",
    "git_ssh_url",
    "http_url",
    "web_url",
    "url",
)


class Refused(Exception):  # noqa: N818 - named for what happened
    """A request that is refused; the message states why."""

    def __init__(self, status: int, message: str) -> None:
        """Create the refusal.

        Args:
            status: HTTP status code.
            message: Cause, for the person who set the webhook up.
        """
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Push:
    """A ref that moved.

    Attributes:
        addresses: The repository's URLs, as the forge knows them.
        ref: Full name of the ref, such as `refs/heads/main`.
    """

    addresses: tuple[str, ...]
    ref: str


def check_signed(headers: Mapping[str, str]) -> None:
    """Check that a request says that it was made with a secret, before its body is read.

    Raises:
        Refused: It has neither a signature nor a token.
    """
    if "X-Gitlab-Token" not in headers and not _signature(headers):
        raise Refused(
            401, "no signature and no token: set the secret of the webhook, as PORCHFLOW_WEBHOOK_SECRET has it"
        )


def authenticate(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
    """Accept a request that was made with one of the secrets; all comparisons take constant time.

    Raises:
        Refused: No secret fits.
    """
    check_signed(headers)
    token, signature = headers.get("X-Gitlab-Token"), _signature(headers)
    for secret in secrets:
        wanted = hmac.digest(secret.encode(), body, "sha256").hex()
        if signature and _equal(signature, wanted):
            return
        if token is not None and _equal(token, secret):
            return
    raise Refused(
        401,
        "the secret of the webhook is not that of porchflow's watcher (PORCHFLOW_WEBHOOK_SECRET), nor that of the"
        " Repository in the path (porchflow webhook-secret)",
    )


def read_push(headers: Mapping[str, str], body: bytes) -> Push | None:
    """Read the payload of an authenticated request; None for an event other than a push.

    Raises:
        Refused: The payload is no event, or names no ref that was pushed.
    """
    event = _event(headers)
    if event in _PINGS:
        return None
    payload = _payload(headers, body)
    if event == _SYSTEM:
        event = str(payload.get("object_kind") or payload.get("event_name") or "").replace("tag_push", "push")
    if event not in _PUSHES:
        return None
    ref, kind = payload.get("ref"), payload.get("ref_type")
    if not isinstance(ref, str) or not ref:
        raise Refused(400, f"a {event} event without ref")
    if not ref.startswith("refs/"):
        # The payload of a creation or deletion has the short name of the ref.
        ref = f"refs/tags/{ref}" if kind == "tag" else f"refs/heads/{ref}"
    addresses = tuple(dict.fromkeys(_addresses(payload)))
    if not addresses:
        raise Refused(400, f"a {event} event without the repository's addresses")
    return Push(addresses, ref)


def _equal(given: str, wanted: str) -> bool:
    # A header may hold bytes that are not text.
    return hmac.compare_digest(given.encode(errors="surrogateescape"), wanted.encode())


def _signature(headers: Mapping[str, str]) -> str:
    for name in ("X-Forgejo-Signature", "X-Gitea-Signature"):
        if name in headers:
            return headers[name]
    return headers.get("X-Hub-Signature-256", "").removeprefix("sha256=")


def _event(headers: Mapping[str, str]) -> str:
    for forge in _FORGES:
        if event := headers.get(f"{forge}-Event"):
            return event.lower()
    raise Refused(400, "no X-GitHub-Event, X-Gitlab-Event or X-Gitea-Event header: porchflow accepts no other webhooks")


def _payload(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    if headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused(415, "set the content type of the webhook to application/json")
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(payload, dict):
        raise Refused(400, "the body is no JSON object")
    return payload


def _addresses(payload: Mapping[str, Any]) -> list[str]:
    places = [payload.get("repository"), payload.get("project")]
    found = [place.get(name) for place in places if isinstance(place, dict) for name in _ADDRESSES]
    return [address for address in found if isinstance(address, str) and address]
