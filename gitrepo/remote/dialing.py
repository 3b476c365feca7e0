"""Connections to servers: their names resolved, their addresses checked, and all of it ended by another thread."""

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from porchflow.api.limits import GIT_ADDRESSES
from porchflow.api.networks import DeniedNetworks, is_internal
from porchflow.gitrepo.errors import GitAddressDenied, GitUnavailable
from porchflow.gitrepo.remote.remote import Remote

_LOOKUPS: Final = 16
"""Names that are resolved at once. A lookup that hangs keeps its thread until the system gives it up."""
_CLOSED: Final = "nobody waits for it any more"


class Address(NamedTuple):
    """An address of a server."""

    family: int
    where: tuple[Any, ...]
    """As sockets take it: IP address and port first."""

    @property
    def ip(self) -> str:
        """The IP address."""
        return str(self.where[0])


class Names:
    """Resolves names of servers, for any number of threads."""

    def __init__(self, denied: DeniedNetworks | None = None) -> None:
        """Begin without a lookup.

        Args:
            denied: Networks that no remote may be in whose address an author of packages chose; none by default.
        """
        self._denied = denied or DeniedNetworks()
        self._pool = ThreadPoolExecutor(_LOOKUPS, "git-names")

    def guards(self, remote: Remote) -> bool:
        """Return whether the addresses of a remote are checked, and what answers there is told with care."""
        return remote.is_chosen and bool(self._denied)

    def begin(self, host: str, port: int) -> "Future[list[Address]]":
        """Begin to resolve a name; its error is an OSError or UnicodeError."""
        return self._pool.submit(_resolve, host, port)

    def check(self, host: str, addresses: list[Address]) -> None:
        """Check the addresses of a server that an author of packages named.

        All of them have to be allowed: a name that also has one that is not is made to pass this check.

        Raises:
            GitAddressDenied: One is in a denied network.
        """
        if any(self._denied.denies(each.ip) for each in addresses):
            raise GitAddressDenied(
                f"the server {host} has an address that packages may not be made from: loopback, link-local and"
                " whatever else PORCHFLOW_GIT_DENIED_UPSTREAMS of the workers lists; register the repository, or name"
                " one elsewhere"
            )

    def close(self) -> None:
        """Resolve no more names."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Dial:
    """The connection of one request. Any thread may end it, at any moment from the lookup of the name on."""

    def __init__(self, names: Names) -> None:
        """Prepare a connection; nothing is sent yet."""
        self._names = names
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._grip: socket.socket | None = None
        self.ended = False

    def end(self) -> None:
        """End what the connection does and will do."""
        with self._lock:
            self.ended = True
            self._changed.set()
            if self._grip is not None:
                # Not `close`, which would give the number of the socket to another one while a thread reads from it.
                with contextlib.suppress(OSError):
                    self._grip.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the socket go, once its user has closed it."""
        with self._lock:
            if self._grip is not None:
                self._grip.close()
                self._grip = None

    def resolve(self, host: str, port: int, seconds: float) -> list[Address]:
        """Return a server's addresses.

        Args:
            host: Its name, or an address.
            port: Its port.
            seconds: Time for it.

        Raises:
            GitUnavailable: There is none, or not in time, or the connection was ended.
        """
        future = self._names.begin(host, port)
        future.add_done_callback(lambda _: self._changed.set())
        self._wait_for(future, seconds)
        try:
            return future.result(0)
        except TimeoutError:
            why = _CLOSED if self.ended else f"the name {host} is not resolved within {seconds:g} s"
            raise GitUnavailable(why) from None
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "it is no name"
            raise GitUnavailable(f"the server's name {host} cannot be resolved: {why}") from None

    def connect(
        self, addresses: list[Address], seconds: float, prepare: Callable[[socket.socket], None]
    ) -> socket.socket:
        """Connect to the first address that answers.

        Args:
            addresses: Of the server; the first `GIT_ADDRESSES` are tried.
            seconds: For all of them together.
            prepare: Sets the options of a socket before it connects.

        Raises:
            OSError: The error of the last one, TimeoutError where the time is up.
            GitUnavailable: The connection was ended.
        """
        until = time.monotonic() + seconds
        last: OSError = OSError("the server has no address")
        tried = addresses[:GIT_ADDRESSES]
        for number, address in enumerate(tried):
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return self._try(address, left / (len(tried) - number), prepare)
            except OSError as error:
                last = error
            if self.ended:
                raise GitUnavailable(_CLOSED)
        raise last

    def _try(self, address: Address, seconds: float, prepare: Callable[[socket.socket], None]) -> socket.socket:
        made = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            prepare(made)
            self._hold(made)
            self._reach(made, address, seconds)
        except BaseException:
            made.close()
            self.close()
            raise
        made.settimeout(seconds)
        return made

    def _reach(self, made: socket.socket, address: Address, seconds: float) -> None:
        made.settimeout(0)
        code = made.connect_ex(address.where)
        # A socket that is not under way yet cannot be shut down. So the look comes after its begin.
        if code in {0, errno.EINPROGRESS} and not self.ended:
            poll = select.poll()
            poll.register(made, select.POLLOUT)
            if not poll.poll(seconds * 1000):
                raise TimeoutError
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if self.ended:
            raise GitUnavailable(_CLOSED)
        if code:
            raise OSError(code, os.strerror(code))

    def _hold(self, made: socket.socket) -> None:
        """Keep a second handle of a socket, which stays good when TLS takes the first one over."""
        with self._lock:
            if self.ended:
                raise GitUnavailable(_CLOSED)
            if self._grip is not None:
                self._grip.close()
            self._grip = made.dup()

    def _wait_for(self, future: "Future[list[Address]]", seconds: float) -> None:
        until = time.monotonic() + seconds
        while not future.done() and not self.ended and (left := until - time.monotonic()) > 0:
            self._changed.wait(left)
            self._changed.clear()
        if not future.done():
            future.cancel()


def answers_are_told(addresses: list[Address]) -> bool:
    """Return whether the author who chose a server is told in full what it answers.

    Only where all of the Internet can ask it. Of the network inside, the answers would tell which addresses and ports
    have a server, and of what kind.
    """
    return not any(is_internal(each.ip) for each in addresses)


def _resolve(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    return list(dict.fromkeys(Address(family, where) for family, _, _, _, where in found))
