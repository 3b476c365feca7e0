import asyncio

import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from porchflow.kube.line_reader import LineTooLong, read_lines


def _stream(chunks: list[bytes]) -> aiohttp.StreamReader:
    loop = asyncio.get_running_loop()
    stream = aiohttp.StreamReader(BaseProtocol(loop), limit=2**16, loop=loop)
    for chunk in chunks:
        stream.feed_data(chunk)
    stream.feed_eof()
    return stream


async def _read(chunks: list[bytes], **options: int) -> list[bytes]:
    return [line async for line in read_lines(_stream(chunks), **options)]


@given(st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"x", b"\n")), max_size=12))
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert asyncio.run(_read(chunks)) == whole.split(b"\n")[:-1]


async def test_a_last_line_that_was_cut_off_is_left_out() -> None:
    assert await _read([b'{"a":1}\n{"b"', b":2"]) == [b'{"a":1}']


async def test_a_stream_that_never_breaks_is_refused() -> None:
    with pytest.raises(LineTooLong, match="more than 10 bytes"):
        await _read([b"0123456", b"789ab"], limit=10)
