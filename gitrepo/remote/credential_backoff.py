"""Backs off from credentials that a server refuses: servers lock accounts after repeated failures."""

import math
import threading
import time
from dataclasses import dataclass

from porchflow.api.newest import Newest
from porchflow.gitrepo.errors import GitAuthError, GitRefusedBefore

_LONGEST = 30.0
_MOST = 1000

Account = tuple[str, str]
"""Place and digest of the credentials: other credentials than the refused ones are tried at once."""


@dataclass
class _Refusal:
    error: GitAuthError
    count: int = 0
    until: float = 0.0
    at: float = 0.0


class Refusals:
    """The last refusals of servers. Safe to use from several threads.

    The first refusal costs nothing, so that a user who mends the server's side can retry at once. From the second on,
    the same credentials wait: a second, then twice as long each time, at most half a minute.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known = Newest[Account, _Refusal](_MOST)

    def check(self, account: Account) -> None:
        """Check that the account may be tried.

        Raises:
            GitRefusedBefore: The server refused these credentials more than once, and a moment ago.
        """
        with self._lock:
            refusal = self._known.get(account)
            wait = refusal.until - time.monotonic() if refusal else 0.0
        if refusal and wait > 0:
            raise GitRefusedBefore(
                f"{refusal.error} (refused {refusal.count} times; not asked again for {math.ceil(wait)} s)", refusal.at
            )

    def note(self, account: Account, error: GitAuthError) -> None:
        """Record a refusal."""
        with self._lock:
            refusal = self._known.get(account) or _Refusal(error)
            refusal.error, refusal.count, refusal.at = error, refusal.count + 1, time.time()
            if refusal.count > 1:
                refusal.until = time.monotonic() + min(_LONGEST, 2.0 ** (refusal.count - 2))
            self._known.put(account, refusal)

    def forget(self, account: Account) -> None:
        """Drop the refusals of credentials that the server accepted."""
        with self._lock:
            self._known.pop(account)
