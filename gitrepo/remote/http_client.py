"""Requests to Git servers over HTTP, with urllib3: connections are kept, redirects are not followed."""

import socket
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal
from urllib.parse import unquote

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout, make_headers, parse_url

from porchflow.gitrepo.errors import GitUnavailable
from porchflow.gitrepo.remote.call import Timeouts
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.server_certificates import trust

_MOST_IDLE: Final = 64
_IDLE_SECONDS: Final = 30.0
"""Shorter than most servers keep an idle connection."""


class HttpClient:
    """One connection to a remote's server, for one request at a time."""

    def __init__(self, remote: Remote, timeouts: Timeouts) -> None:
        """Create a client; it connects at its first request.

        Raises:
            GitError: The remote's certificates, or the proxy of the environment, cannot be used.
        """
        self.identity = remote.identity
        self._timeouts = timeouts
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._used = False
        self._ended = False
        self._manager = _manager(remote)
        pools = self._manager.pool_classes_by_scheme

        def watched(scheme: str) -> Any:  # noqa: ANN401 - what urllib3 calls like the class of a pool
            def make(*arguments: Any, **options: Any) -> urllib3.HTTPConnectionPool:  # noqa: ANN401 - urllib3's own
                pool: urllib3.HTTPConnectionPool = pools[scheme](*arguments, **options)
                pool.ConnectionCls = self._watch(pool.ConnectionCls)
                return pool

            return make

        self._manager.pool_classes_by_scheme = {scheme: watched(scheme) for scheme in pools}

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
            if not used or method != "GET" or self._ended or isinstance(error, ReadTimeoutError):
                raise
            return self._send(method, url, headers, body)

    def end(self) -> None:
        """Break off the request in progress; from any thread."""
        self._ended = True
        connection = self._connection
        plain = (connection.sock if connection is not None else None) or self._socket
        # Behind a proxy with TLS, urllib3's own transport holds the socket.
        plain = getattr(plain, "socket", plain)
        if plain is not None:
            try:
                # Not the method of a TLS socket, which would take the encryption from under the thread that reads.
                socket.socket.shutdown(plain, socket.SHUT_RDWR)
            except OSError:
                return

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
        self._manager.clear()

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

    def _watch(self, make: Any) -> Any:  # noqa: ANN401 - what urllib3 calls like the class of a connection
        def made(*arguments: Any, **options: Any) -> HTTPConnection:  # noqa: ANN401 - urllib3's own
            connection: HTTPConnection = make(*arguments, **options)
            connect = connection.connect

            def connected() -> None:
                connect()
                # The connection forgets its socket where the answer ends with it, while the answer still reads from it.
                self._socket = connection.sock
                if self._ended:
                    # There was no socket yet when the request was broken off.
                    self.end()

            connection.connect = connected  # type: ignore[method-assign]  # urllib3 has no hook for it
            self._connection = connection
            return connection

        return made


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


def _manager(remote: Remote) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": 1, "ssl_context": trust(remote.ca_bundle)}
    proxy = _proxy_of(remote)
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
