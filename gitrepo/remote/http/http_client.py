"""Requests to Git servers over HTTP, with urllib3: connections are kept, redirects are not followed."""

import socket
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal
from urllib.parse import unquote

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout, make_headers, parse_url

from porchflow.gitrepo.errors import GitUnavailable
from porchflow.gitrepo.remote.call import Timeouts
from porchflow.gitrepo.remote.dialing import Address, Dial, Names, answers_are_told
from porchflow.gitrepo.remote.http.server_certificates import trust
from porchflow.gitrepo.remote.remote import Remote

_MOST_IDLE: Final = 64
_IDLE_SECONDS: Final = 30.0
"""Shorter than most servers keep an idle connection."""


class HttpClient:
    """One connection to a remote's server, for one request at a time."""

    def __init__(self, remote: Remote, timeouts: Timeouts, names: Names) -> None:
        """Create a client; it connects at its first request.

        Args:
            remote: The repository.
            timeouts: Limits on the time.
            names: Resolves the server's name.

        Raises:
            GitError: The remote's certificates, or the proxy of the environment, cannot be used.
        """
        self.identity = remote.identity
        self.tells = not names.guards(remote)
        """Whether the answers are told in full to the author who chose the address; see `answers_are_told`."""
        self._remote = remote
        self._timeouts = timeouts
        self._names = names
        self._dial = Dial(names)
        self._connection: HTTPConnection | None = None
        self._used = False
        proxy = _proxy_of(remote)
        self._is_proxied = bool(proxy)
        self._manager = _manager(remote, proxy)
        self._manager.pool_classes_by_scheme = _pools(self._open)

    def send(
        self, method: Literal["GET", "POST"], url: str, headers: dict[str, str], body: Iterable[bytes] | None = None
    ) -> BaseHTTPResponse:
        """Send a request; its answer is read by the caller.

        A GET is sent a second time where the server closed the kept connection at this moment.

        Raises:
            HTTPError: Of urllib3.
        """
        used, self._used = self._used, True
        try:
            return self._send(method, url, headers, body)
        except HTTPError as error:
            if not used or method != "GET" or self._dial.ended or isinstance(error, ReadTimeoutError):
                raise
            return self._send(method, url, headers, body)

    def end(self) -> None:
        """Break off the request in progress; from any thread."""
        self._dial.end()

    def close(self) -> None:
        """Close the connection, an answer that is not read to its end included."""
        if self._connection is not None:
            self._connection.close()
        self._manager.clear()
        self._dial.close()

    def _send(self, method: str, url: str, headers: dict[str, str], body: Iterable[bytes] | None) -> BaseHTTPResponse:
        return self._manager.urlopen(
            method,
            url,
            body=body,
            headers=headers,
            timeout=Timeout(connect=self._timeouts.connect, read=self._timeouts.silence),
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )

    def _open(self, connection: HTTPConnection) -> socket.socket:
        """Connect to the server, or to the proxy before it.

        Raises:
            GitError: The name cannot be resolved, the address is denied, or the request was ended.
            HTTPError: The server cannot be reached.
        """
        self._connection = connection
        until = time.monotonic() + self._timeouts.connect
        host = connection.host.strip("[]") if self._is_proxied else self._remote.host
        # A name that means nothing is told: nothing inside has answered.
        self.tells = self.tells or not self._is_proxied
        addresses = self._dial.resolve(host, connection.port, self._timeouts.connect)
        if self._names.guards(self._remote):
            self._check(self._behind_proxy() if self._is_proxied else addresses)
        try:
            left = max(0.0, until - time.monotonic())
            return self._dial.connect(addresses, left, lambda made: _prepare(made, connection))
        except TimeoutError:
            raise ConnectTimeoutError(connection, "timed out") from None
        except OSError as error:
            raise NewConnectionError(connection, f"Failed to establish a new connection: {error}") from None

    def _check(self, addresses: list[Address]) -> None:
        self._names.check(self._remote.host, addresses)
        self.tells = bool(addresses) and answers_are_told(addresses)

    def _behind_proxy(self) -> list[Address]:
        """Return the server's addresses as far as this machine knows them; the proxy may know others."""
        try:
            return self._dial.resolve(self._remote.host, self._remote.port, self._timeouts.connect)
        except GitUnavailable:
            if self._dial.ended:
                raise
            return []


class IdleClients:
    """Clients that nobody uses now, of all remotes. Safe to use from several threads."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._idle: deque[tuple[float, HttpClient]] = deque()

    def take(self, remote: Remote) -> HttpClient | None:
        """Return a client for a remote that was used a moment ago; None where there is none."""
        identity = remote.identity
        with self._lock:
            self._drop_old()
            for entry in reversed(self._idle):
                if entry[1].identity == identity:
                    self._idle.remove(entry)
                    return entry[1]
        return None

    def give(self, client: HttpClient) -> None:
        """Keep a client whose last answer was read to its end."""
        with self._lock:
            self._idle.append((time.monotonic(), client))
            self._drop_old()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            while self._idle:
                self._idle.popleft()[1].close()

    def _drop_old(self) -> None:
        oldest = time.monotonic() - _IDLE_SECONDS
        while self._idle and (len(self._idle) > _MOST_IDLE or self._idle[0][0] < oldest):
            self._idle.popleft()[1].close()


def _prepare(made: socket.socket, connection: HTTPConnection) -> None:
    for option in connection.socket_options or ():
        made.setsockopt(*option)


def _pools(connect: Callable[[HTTPConnection], socket.socket]) -> dict[str, type]:
    """Return what makes pools whose connections are made by a function."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class Encrypted(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _manager(remote: Remote, proxy: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": 1, "ssl_context": trust(remote.ca_bundle)}
    if not proxy:
        return urllib3.PoolManager(1, **options)
    try:
        found = parse_url(proxy)
        headers = make_headers(proxy_basic_auth=unquote(found.auth)) if found.auth else None
        return urllib3.ProxyManager(
            found._replace(auth=None).url, 1, proxy_headers=headers, proxy_ssl_context=trust(None), **options
        )
    except (HTTPError, ValueError) as error:
        raise GitUnavailable(
            f"the proxy that the environment names for {remote.display} cannot be used: {type(error).__name__}; give"
            f" http://HOST:PORT in {remote.parsed.scheme}_proxy, or name the server in no_proxy"
        ) from None


def _proxy_of(remote: Remote) -> str:
    scheme = remote.parsed.scheme
    if urllib.request.proxy_bypass(f"{remote.host}:{remote.port}"):
        return ""
    proxies = urllib.request.getproxies()
    return proxies.get(scheme) or proxies.get("all") or ""
