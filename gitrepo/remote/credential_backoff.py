"""Credentials that a server refuses are not tried again and again: servers lock accounts out for that."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from porchflow.gitrepo.errors import GitAuthError

_LONGEST = 30.0
_MOST = 1000

Account = tuple[str, str]
"""Place and digest of the credentials: others than those that were refused are tried at once."""


@dataclass
class _Refusal:
    error: GitAuthError
    count: int = 0
    until: float = 0.0


class Refusals:
    """What servers refused last. Safe to use from several threads.

    The first refusal costs nothing, so that who mends the server's side can look at once; from the second on, the
    same credentials wait: a second, then twice as long each time, at most half a minute.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Account, _Refusal] = OrderedDict()

    def check(self, account: Account) -> None:
        """Let who may ask the server pass.

        Raises:
            GitAuthError: It refused these credentials more than once, and a moment ago.
        """
        with self._lock:
            refusal = self._known.get(account)
            wait = refusal.until - time.monotonic() if refusal else 0.0
        if refusal and wait > 0:
            raise GitAuthError(f"{refusal.error} (refused {refusal.count} times; not asked again for {wait:.0f} s)")

    def note(self, account: Account, error: GitAuthError) -> None:
        """Remember a refusal."""
        with self._lock:
            refusal = self._known.setdefault(account, _Refusal(error))
            self._known.move_to_end(account)
            refusal.error, refusal.count = error, refusal.count + 1
            if refusal.count > 1:
                refusal.until = time.monotonic() + min(_LONGEST, 2.0 ** (refusal.count - 2))
            while len(self._known) > _MOST:
                self._known.popitem(last=False)

    def forget(self, account: Account) -> None:
        """The server took the credentials."""
        with self._lock:
            self._known.pop(account, None)
