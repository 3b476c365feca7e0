"""One request to a Git server: how long it may take, and how another thread ends it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from porchflow.api.limits import GIT_REQUEST_SECONDS
from porchflow.gitrepo.errors import GitUnavailable

_LOOK_SECONDS = 0.05
"""Between two looks at whether a call that waits for others was ended."""


@dataclass
class Timeouts:
    """Limits on the time of requests, in seconds."""

    connect: float = 10.0
    """Until a server must accept a connection."""
    silence: float = 60.0
    """That a server may be silent, its hooks included."""
    whole: float = GIT_REQUEST_SECONDS
    """Of a request, its connection included."""


class Turn(Protocol):
    """A lock or semaphore of `threading`."""

    def acquire(self, *, timeout: float) -> bool:
        """Return whether it was acquired within some seconds."""

    def release(self) -> None:
        """Give it back."""


class Call:
    """A request in progress. Ends by itself after a while; any thread may end it before."""

    def __init__(self) -> None:
        """Prepare a call; its time begins with `limited`."""
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None
        self._timer: threading.Timer | None = None
        self.ended = ""
        """Why it was ended; empty as long as it was not."""

    def limited(self, seconds: float) -> Self:
        """Start the time of the call."""
        self._timer = threading.Timer(seconds, self.end, [f"it took longer than {seconds:g} s (the limit)"])
        self._timer.daemon = True
        self._timer.start()
        return self

    def ends_with(self, end: Callable[[], None]) -> None:
        """Set what breaks off the work at hand. It is called at once where the call was ended already."""
        with self._lock:
            self._end = end
            ended = bool(self.ended)
        if ended:
            end()

    @contextlib.contextmanager
    def turn(self, lock: Turn) -> Iterator[None]:
        """Hold a lock; waiting for it ends with the call.

        Raises:
            GitUnavailable: The call was ended before it had the lock.
        """
        while not lock.acquire(timeout=_LOOK_SECONDS):
            if self.ended:
                raise GitUnavailable(self.ended)
        try:
            yield
        finally:
            lock.release()

    def end(self, why: str = "nobody waits for it any more") -> None:
        """Break the call off."""
        with self._lock:
            self.ended = self.ended or why
            end = self._end
        if end:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._end = None
        if self._timer:
            self._timer.cancel()
