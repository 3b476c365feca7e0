"""Secrets of push webhooks: one for each Repository, derived from the installation's. Pure."""

import hmac
from typing import Final

_LABEL: Final = "porchflow webhook of a Repository"
"""Begins what is signed, so that no signature of a request's body, which is JSON, is a secret."""


def repository_secret(installation: str, namespace: str, name: str) -> str:
    """Return the webhook secret of one Repository: 64 hexadecimal digits.

    A sender that holds it can prove that a push is of this Repository, and of no other one.

    Args:
        installation: The webhook secret of the watcher.
        namespace: Of the Repository; no slash is in it.
        name: Of the Repository.
    """
    return hmac.digest(installation.encode(), f"{_LABEL}\0{namespace}/{name}".encode(), "sha256").hex()
