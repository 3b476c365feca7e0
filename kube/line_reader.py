"""Lines out of a stream of bytes, at a cost linear in their length."""

from collections.abc import AsyncIterator
from typing import Final

import aiohttp

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one line at most. An object in etcd has 1.5 MiB by default; this only stops a stream that never breaks."""


class LineTooLong(Exception):  # noqa: N818 - says what the line is
    """A line goes on beyond the limit."""


async def read_lines(body: aiohttp.StreamReader, *, limit: int = LINE_LIMIT) -> AsyncIterator[bytes]:
    r"""Read lines, without their end. A last line that `\n` does not end was cut off, and is left out.

    aiohttp's own `readline` copies its buffer again for every chunk and refuses lines above its buffer's size.

    Args:
        body: The stream.
        limit: Bytes of a line at most.

    Raises:
        LineTooLong: A line is longer.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in body.iter_any():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            parts.append(end)
            yield b"".join(parts)
            parts.clear()
            size = 0
        parts.append(rest)
        size += len(rest)
        if size > limit:
            raise LineTooLong(f"a line has more than {limit} bytes")
