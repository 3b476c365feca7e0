"""Atomic pushes, applied as a whole or not at all: the capability `atomic` of Git's push protocol.

libgit2 never requests it. But its transports consist of two public parts, and the inner one is replaceable: here it is
libgit2's own, with two of its functions replaced. One reads the capabilities that the server offers, the other adds one
to the first line of a push. Where libgit2 does not export these parts, no server appears to offer it.
"""

import contextlib
import ctypes
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from pygit2 import _libgit2

from porchflow.gitrepo.remote import redirects

_CAPABILITY: Final = b"atomic"
_UPLOAD_PACK_LISTING, _RECEIVE_PACK_LISTING, _RECEIVE_PACK = 1, 3, 4
"""GIT_SERVICE_UPLOADPACK_LS, GIT_SERVICE_RECEIVEPACK_LS and GIT_SERVICE_RECEIVEPACK."""
_LENGTH_DIGITS = 4
_LONGEST_LINE = 0xFFF0
"""Of the protocol's lines, with the length field."""

_Make = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_void_p)
_Action = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
)
_Read = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t)
)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Stream(ctypes.Structure):
    """git_smart_subtransport_stream of git2/sys/transport.h."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("subtransport", "read", "write", "free"))


class _Subtransport(ctypes.Structure):
    """git_smart_subtransport."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("action", "close", "free"))


class _Definition(ctypes.Structure):
    """git_smart_subtransport_definition."""

    _fields_ = (("callback", _Make), ("rpc", ctypes.c_uint), ("param", ctypes.c_void_p))


class _Thread(threading.local):
    """State of the connection that a thread works on; libgit2 calls back on the thread that called it."""

    asks = False
    heard = b""
    offers = False


_thread = _Thread()
_replaced: dict[int, int] = {}
"""The replaced function, by address of the stream; it is restored at its first use."""
_kept: list[Any] = []
"""Objects that libgit2 holds pointers to."""


@contextlib.contextmanager
def listening() -> Iterator[Callable[[], bool]]:
    """Watch the capabilities of the server to which a push is opened meanwhile; yields whether it offers `atomic`."""
    _thread.heard, _thread.offers = b"", False
    yield lambda: _thread.offers


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Request that the push which is made meanwhile is applied as a whole or not at all."""
    _thread.asks = True
    try:
        yield
    finally:
        _thread.asks = False


def with_capability(data: bytes) -> bytes:
    """Return the beginning of a push with the capability added; unchanged where it is no such beginning."""
    digits = data[:_LENGTH_DIGITS]
    try:
        length = int(digits, 16)
    except ValueError:
        return data
    line = data[:length]
    longer = length + 1 + len(_CAPABILITY)
    if b"\0" not in line or len(line) < length or longer > _LONGEST_LINE:
        return data
    end = line.endswith(b"\n")
    text = line[_LENGTH_DIGITS : length - end] + b" " + _CAPABILITY + b"\n"[: int(end)]
    return b"%04x" % longer + text + data[length:]


def offered(heard: bytes) -> bool | None:
    """Return whether a server offers the capability, from its output so far; None where that is incomplete."""
    _, zero, after = heard.partition(b"\0")
    capabilities, newline, _ = after.partition(b"\n")
    if not zero or not newline:
        return None if len(heard) <= _LONGEST_LINE else False
    return _CAPABILITY in capabilities.split()


@_Read  # type: ignore[untyped-decorator]  # ctypes has no types for it
def _read(stream: int, buffer: int, size: int, count: Any) -> int:  # noqa: ANN401 - a ctypes pointer
    result = int(_Read(_replaced[stream])(stream, buffer, size, count))
    if result == 0:
        _thread.heard += ctypes.string_at(buffer, count[0])
        offers = offered(_thread.heard)
        if offers is not None:
            _thread.offers, _thread.heard = offers, b""
            _Stream.from_address(stream).read = _replaced.pop(stream)
    return result


@_Write  # type: ignore[untyped-decorator]  # ctypes has no types for it
def _write(stream: int, buffer: int, size: int) -> int:
    write = _replaced.pop(stream)
    _Stream.from_address(stream).write = write
    data = with_capability(ctypes.string_at(buffer, size))
    return int(_Write(write)(stream, ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data)))


def _with_action(original: Callable[..., int], *, http: bool) -> Any:  # noqa: ANN401 - a ctypes function
    @_Action  # type: ignore[untyped-decorator]  # ctypes has no types for it
    def action(out: Any, subtransport: int, url: bytes, service: int) -> int:  # noqa: ANN401 - a ctypes pointer
        result = int(original(out, subtransport, url, service))
        if result == 0 and http and service in {_UPLOAD_PACK_LISTING, _RECEIVE_PACK_LISTING}:
            redirects.follow_none(out[0])
        if result == 0 and service == _RECEIVE_PACK_LISTING:
            _replace(out[0], "read", _read)
        elif result == 0 and service == _RECEIVE_PACK and _thread.asks:
            _replace(out[0], "write", _write)
        return result

    return action


def _replace(stream: int, name: str, function: Any) -> None:  # noqa: ANN401 - a ctypes function
    found, address = _Stream.from_address(stream), ctypes.cast(function, ctypes.c_void_p).value
    if getattr(found, name) != address:
        _replaced[stream] = getattr(found, name)
        setattr(found, name, address)


def _wrapped(make: Callable[..., int], *, http: bool) -> Any:  # noqa: ANN401 - a ctypes function
    actions: dict[int, Any] = {}

    @_Make  # type: ignore[untyped-decorator]  # ctypes has no types for it
    def made(out: Any, owner: int, param: int) -> int:  # noqa: ANN401 - a ctypes pointer
        result = int(make(out, owner, param))
        if result == 0:
            subtransport = _Subtransport.from_address(out[0])
            original = int(subtransport.action)
            if original not in actions:
                actions[original] = _with_action(_Action(original), http=http)
            subtransport.action = ctypes.cast(actions[original], ctypes.c_void_p).value
        return result

    return made


def _install() -> bool:
    """Install the functions; return whether that was possible."""
    library = ctypes.CDLL(_libgit2.__file__)
    try:
        register, smart = library.git_transport_register, library.git_transport_smart
        inner = {
            b"http": (library.git_smart_subtransport_http, 1),
            b"https": (library.git_smart_subtransport_http, 1),
            b"ssh": (library.git_smart_subtransport_ssh, 0),
        }
    except AttributeError:
        # A library that hides these symbols: pushes go out as libgit2 makes them.
        return False
    for scheme, (make, rpc) in inner.items():
        make.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_void_p)
        definition = _Definition(_wrapped(make, http=bool(rpc)), rpc, None)
        _kept.append(definition)
        register(scheme, ctypes.cast(smart, ctypes.c_void_p), ctypes.byref(definition))
    return True


IS_INSTALLED: Final = _install()
