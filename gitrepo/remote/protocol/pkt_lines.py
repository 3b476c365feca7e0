"""The lines that Git's protocol consists of, each with its length before it.

Source: docs/reference/git-protocol.md, "Lines".
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

from porchflow.gitrepo.errors import GitQuotaExceeded, GitUnavailable

LONGEST_DATA: Final = 0xFFF0 - 4
"""Bytes of a line without its length."""

_LENGTH_DIGITS = 4
_LENGTHS = {b"%04x" % length: length for length in range(_LENGTH_DIGITS, 512)}
"""The usual ones; all others are read, and refused, one by one."""
_SHOWN = 60


class Mark(Enum):
    """A line without data, by its length."""

    FLUSH = 0
    DELIMITER = 1
    RESPONSE_END = 2


FLUSH: Final = b"0000"
DELIMITER: Final = b"0001"


def pkt_line(data: bytes) -> bytes:
    """Return a line with its length before it."""
    return b"%04x" % (len(data) + _LENGTH_DIGITS) + data


class PktReader:
    """Reads lines from a server's answer, which it counts."""

    def __init__(self, read: Callable[[], bytes], most: int) -> None:
        """Create a reader.

        Args:
            read: Returns the bytes that come next; an end of them is its error to raise.
            most: Bytes that may come before it is too much.
        """
        self._read = read
        self._left = most
        self._most = most
        self._buffer = b""
        self._at = 0

    def line(self) -> bytes | Mark:
        """Return the next line without its length.

        Raises:
            GitUnavailable: It is none.
            GitQuotaExceeded: There are too many.
        """
        digits = self._take(_LENGTH_DIGITS)
        try:
            length = int(digits, 16)
            if length < _LENGTH_DIGITS:
                return Mark(length)
        except ValueError:
            shown = digits + self._buffer[self._at : self._at + _SHOWN]
            raise GitUnavailable(f"the server does not speak Git's protocol: it says {shown!r}") from None
        return self._take(length - _LENGTH_DIGITS)

    def section(self) -> Iterator[bytes]:
        """Return the lines before the next mark."""
        while True:
            # Lines that are here already take no call each: a repository has thousands of refs.
            buffer, at = self._buffer, self._at
            while len(digits := buffer[at : at + _LENGTH_DIGITS]) == _LENGTH_DIGITS:
                length = _LENGTHS.get(digits, 0)
                end = at + length
                if not length or end > len(buffer):
                    break
                self._at = end
                yield buffer[at + _LENGTH_DIGITS : end]
                at = end
            if isinstance(line := self.line(), Mark):
                return
            yield line

    def allow(self, most: int) -> None:
        """Set how many more bytes may come."""
        self._left = self._most = most

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._buffer):
            self._fill(count)
            end = count
        taken = self._buffer[self._at : end]
        self._at = end
        return taken

    def _fill(self, count: int) -> None:
        parts = [self._buffer[self._at :]]
        missing = count - len(parts[0])
        while missing > 0:
            part = self._read()
            missing -= len(part)
            self._left -= len(part)
            if self._left < 0:
                raise GitQuotaExceeded(f"the server sends more than {self._most:,} bytes (the limit)")
            parts.append(part)
        self._buffer, self._at = b"".join(parts), 0
