"""HTTP redirects of Git servers: libgit2 follows none of them; the target is compared here, origin by origin.

libgit2 compares no more than the host, and shows the Authorization header to any server on another port of it. It has
no option for less. But it counts how often it may repeat a request: a stream with one request left gives up at a
redirect, after recording its target, and no second server is contacted.
"""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pygit2

KNOWN_LAYOUT: Final = pygit2.LIBGIT2_VERSION.split(".")[:2] in (["1", "8"], ["1", "9"])
"""Whether this version of libgit2 has the fields below in these places (src/libgit2/transports/http.c)."""

_SENDING = 1
"""HTTP_STATE_SENDING_REQUEST."""
_MOST_REPLAYS = 15
"""GIT_HTTP_REPLAY_MAX."""

_Read = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t)
)


class _Stream(ctypes.Structure):
    """http_stream: git_smart_subtransport_stream, and its own fields."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("subtransport", "read", "write", "free", "service")),
        ("state", ctypes.c_int),
        ("replays", ctypes.c_uint),
    )


class _Subtransport(ctypes.Structure):
    """The beginning of http_subtransport, to the path of the server's git_net_url."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("action", "close", "release", "owner")),
        *((name, ctypes.c_char_p) for name in ("scheme", "host", "port", "path")),
    )


class _Thread(threading.local):
    """State of the connection that a thread works on; libgit2 calls back on the thread that called it."""

    asked = ""
    led_to = ""


_thread = _Thread()
_originals: list[Callable[..., int]] = []
"""libgit2's function that reads a stream of HTTP; one for all streams."""


@contextlib.contextmanager
def noted() -> Iterator[Callable[[], str]]:
    """Record redirects of requests that are made meanwhile; yields a function that returns the target, or nothing."""
    _thread.asked = _thread.led_to = ""
    yield lambda: _thread.led_to


def follow_none(stream: int) -> None:
    """Make a fresh HTTP stream give up at a redirect; a stream of an unknown layout is left as it is.

    Args:
        stream: Address of the stream.
    """
    if not KNOWN_LAYOUT:
        return
    found = _Stream.from_address(stream)
    if not _originals:
        _originals.append(_Read(found.read))
    found.state, found.replays = _SENDING, _MOST_REPLAYS - 1
    found.read = ctypes.cast(_read, ctypes.c_void_p).value
    _thread.asked = _address(found.subtransport)


@_Read  # type: ignore[untyped-decorator]  # ctypes has no types for it
def _read(stream: int, buffer: int, size: int, count: Any) -> int:  # noqa: ANN401 - a ctypes pointer
    result = int(_originals[0](stream, buffer, size, count))
    if result:
        now = _address(_Stream.from_address(stream).subtransport)
        _thread.led_to = now if now != _thread.asked else ""
    return result


def _address(subtransport: int) -> str:
    url = _Subtransport.from_address(subtransport)
    scheme, host, port, path = (
        (part or b"").decode(errors="replace") for part in (url.scheme, url.host, url.port, url.path)
    )
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{scheme}://{host}:{port}{path}"
