"""A way to one service of a Git server, over whichever protocol carries it."""

from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from porchflow.gitrepo.remote.protocol.pkt_lines import PktReader
from porchflow.gitrepo.remote.protocol.wire import Advertisement


class Channel(Protocol):
    """A way to one service of a Git server. Used by one thread at a time; leave it as a context manager."""

    @property
    def tells(self) -> bool:
        """Whether the author of packages who chose the address is told in full what answers there."""

    @property
    def is_git(self) -> bool:
        """Whether the server has shown that it speaks Git's protocol."""

    def advertisement(self) -> Advertisement:
        """Return the server's first words on this service.

        Raises:
            GitError: The server does not answer, or refuses.
        """

    def request(self, size: int, parts: Iterable[bytes]) -> PktReader:
        """Send a request and return the answer. A request is never sent twice.

        Args:
            size: Bytes of all parts.
            parts: The request.

        Raises:
            GitError: The server does not answer, or refuses.
        """

    def close(self) -> None:
        """Free the channel; what is in progress on it is broken off."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
