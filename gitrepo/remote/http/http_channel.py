"""Git's protocol over HTTP ("smart HTTP"). Source: docs/reference/git-protocol.md, "HTTP"."""

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urljoin

from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError
from urllib3.response import BaseHTTPResponse

from porchflow.api.git_address import BadAddress, GitAddress, parse
from porchflow.api.limits import GIT_LISTING_BYTES, GIT_WORDS_CHARACTERS
from porchflow.gitrepo.errors import (
    GitAuthError,
    GitError,
    GitNotFound,
    GitUnavailable,
    GitUnsupported,
    from_status,
)
from porchflow.gitrepo.remote.call import Call, Timeouts
from porchflow.gitrepo.remote.dialing import Names
from porchflow.gitrepo.remote.http.agent import USER_AGENT
from porchflow.gitrepo.remote.http.http_client import HttpClient, IdleClients
from porchflow.gitrepo.remote.http.server_certificates import untrusted
from porchflow.gitrepo.remote.protocol.pkt_lines import PktReader
from porchflow.gitrepo.remote.protocol.server_words import clean
from porchflow.gitrepo.remote.protocol.wire import RECEIVE_PACK, Advertisement, read_advertisement
from porchflow.gitrepo.remote.remote import Remote

_CHUNK_BYTES: Final = 1 << 16
_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_OK: Final = 200
_UNAUTHORIZED: Final = 401
_INFO_REFS: Final = "/info/refs"
_DUMB_TYPES: Final = {"text/plain", "application/octet-stream"}
"""Types that file servers give `info/refs`, which has no ending."""


@dataclass(frozen=True)
class Route:
    """What is known of a server from an earlier request."""

    base: str
    """Address of the repository, behind redirects, with its query."""
    server: Advertisement


class StaleRouteError(Exception):
    """The server redirects from where an earlier request found the repository."""


class HttpChannel:
    """A way to one service of a Git server over HTTP. No connection of it is shared while a request lasts."""

    def __init__(
        self,
        remote: Remote,
        service: str,
        *,
        call: Call,
        timeouts: Timeouts,
        idle: IdleClients,
        names: Names,
        route: Route | None = None,
    ) -> None:
        """Create a channel; nothing is sent yet.

        Args:
            remote: The repository.
            service: `UPLOAD_PACK` or `RECEIVE_PACK`.
            call: The call that the requests are part of.
            timeouts: Limits on the time.
            idle: Connections of earlier requests.
            names: Resolves the server's name.
            route: What an earlier request found out; saves the first of this one.
        """
        self._remote = remote
        self._service = service
        self._call = call
        self._timeouts = timeouts
        self._idle = idle
        self._names = names
        self._client: HttpClient | None = None
        self._response: BaseHTTPResponse | None = None
        self.tells = not names.guards(remote)
        self._has_shown = False
        """Whether the last answer was one of Git: each request may go to another address of the server's name."""
        self.route = route
        self._is_remembered = route is not None

    @property
    def is_git(self) -> bool:
        """See `Channel`."""
        return self._has_shown

    def advertisement(self) -> Advertisement:
        """See `Channel`."""
        if self.route is not None:
            return self.route.server
        base = self._remote.address
        for _ in range(_MOST_REDIRECTS):
            response = self._send("GET", _url(base, _INFO_REFS, f"service={self._service}"), self._headers())
            if response.status in _REDIRECTS:
                base = self._moved(base, response)
                continue
            self._check(response, f"application/x-{self._service}-advertisement")
            self.route = Route(base, read_advertisement(self._reader(response)))
            self._finish()
            return self.route.server
        raise GitNotFound(f"{self._remote.display} redirects without an end")

    def request(self, size: int, parts: Iterable[bytes]) -> PktReader:
        """See `Channel`; raises StaleRouteError besides."""
        if self.route is None:
            raise AssertionError("the advertisement comes first")
        kind = f"application/x-{self._service}"
        headers = self._headers() | {
            "Content-Type": f"{kind}-request",
            "Accept": f"{kind}-result",
            "Content-Length": str(size),
        }
        response = self._send("POST", _url(self.route.base, f"/{self._service}", ""), headers, parts)
        if response.status in _REDIRECTS and self._is_remembered:
            raise StaleRouteError
        self._check(response, f"{kind}-result")
        return self._reader(response)

    def close(self) -> None:
        """See `Channel`."""
        if self._client is not None:
            self._finish()
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # The rest of the answer is of no use, and may never come.
            self._drop()
        self.close()

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Pragma": "no-cache", "Accept-Encoding": "identity"}
        if self._service != RECEIVE_PACK:
            # A push has no version 2.
            headers["Git-Protocol"] = "version=2"
        if self._remote.authorization:
            # Sent without waiting for a 401, which saves a request.
            headers["Authorization"] = self._remote.authorization
        return headers

    def _send(
        self, method: Literal["GET", "POST"], url: str, headers: dict[str, str], body: Iterable[bytes] | None = None
    ) -> BaseHTTPResponse:
        self._finish()
        self._has_shown = False
        if self._client is None:
            self._client = self._idle.take(self._remote) or HttpClient(self._remote, self._timeouts, self._names)
        self._call.ends_with(self._client.end)
        if self._call.ended:
            raise GitUnavailable(self._call.ended)
        try:
            self._response = self._client.send(method, url, headers, body)
        except (HTTPError, OSError) as error:
            raise self._failure(error) from None
        finally:
            self.tells = self._client.tells
        if self._call.ended:
            # A header that was broken off looks like a short one.
            raise GitUnavailable(self._call.ended)
        return self._response

    def _finish(self) -> None:
        """Give the connection back if the last answer was read to its end."""
        response, self._response = self._response, None
        if response is None or self._client is None:
            return
        try:
            # The end of a chunked answer may be left.
            over = not response.read1(_CHUNK_BYTES) if not self._call.ended else False
        except (HTTPError, OSError):
            over = False
        # The connection may serve another call from here on, which this one must not end.
        self._call.ends_with(lambda: None)
        if over and not self._call.ended:
            response.release_conn()
            self._idle.give(self._client)
        else:
            response.close()
            self._client.close()
        self._client = None

    def _drop(self) -> None:
        """Close the connection without reading the last answer to its end."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
        if self._client is not None:
            self._client.close()
            self._client = None

    def _reader(self, response: BaseHTTPResponse) -> PktReader:
        return PktReader(lambda: self._read(response), GIT_LISTING_BYTES)

    def _read(self, response: BaseHTTPResponse) -> bytes:
        try:
            data = response.read1(_CHUNK_BYTES)
        except (HTTPError, OSError) as error:
            raise self._failure(error) from None
        if not data:
            raise GitUnavailable(self._call.ended or "the server's answer is cut off")
        return data

    def _check(self, response: BaseHTTPResponse, kind: str) -> None:
        """Check that an answer is one of Git's protocol."""
        status = response.status
        shown = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if status == _OK and shown == kind and not response.headers.get("Content-Encoding"):
            self._has_shown = True
            return
        if status == _OK and shown in _DUMB_TYPES:
            raise GitUnsupported(
                "the server answers with a file in place of Git's protocol: the dumb HTTP protocol is not supported,"
                " only the smart one (git http-backend)"
            )
        if status == _OK:
            raise GitUnavailable(
                f"the server does not speak Git's protocol there: it answers with {clean(shown)[:100] or 'no type'!r}"
            )
        if status in _REDIRECTS:
            self._moved(self.route.base if self.route else self._remote.address, response)
        words = self._words(response) if shown in {"text/plain", ""} else ""
        if status == _UNAUTHORIZED:
            raise self._unauthorized(words)
        raise from_status(status, words)

    def _words(self, response: BaseHTTPResponse) -> str:
        said = b""
        try:
            while len(said) < GIT_WORDS_CHARACTERS and (data := response.read1(_CHUNK_BYTES)):
                said += data
        except (HTTPError, OSError):
            pass
        return clean(said[: 4 * GIT_WORDS_CHARACTERS].decode(errors="replace"))

    def _unauthorized(self, words: str) -> GitAuthError:
        where, said = self._remote.display, f"; the server says: {words}" if words else ""
        if self._remote.authorization:
            return GitAuthError(
                f"{where} refused the credentials; correct {self._remote.named_secret}, or what they may do at the"
                f" server{said}"
            )
        return GitAuthError(f"{where} asks for credentials; name a Secret in the Repository's spec.git.secretRef{said}")

    def _moved(self, base: str, response: BaseHTTPResponse) -> str:
        """Return the address of the repository that a redirect leads to.

        Raises:
            GitNotFound: It is of another origin: the credentials are for one scheme, host and port.
        """
        where = self._remote.display
        try:
            target = urljoin(_url(base, _INFO_REFS, ""), response.headers.get("Location", ""))
            path, _, query = target.partition("?")
            moved = parse(path.removesuffix(_INFO_REFS).removesuffix(f"/{self._service}"))
        except (BadAddress, ValueError) as error:
            raise GitNotFound(f"{where} redirects to what is no address: {error}") from None
        if moved.origin != self._remote.parsed.origin:
            raise _elsewhere(where, moved)
        if not path.endswith(_INFO_REFS):
            raise GitNotFound(f"{where} redirects to {moved.display}, which is no Git repository")
        kept = "&".join(each for each in query.split("&") if each and not each.startswith("service="))
        return f"{moved.wire}{f'?{kept}' if kept else ''}"

    def _failure(self, error: Exception) -> GitError:
        """Sort an error of the connection."""
        if self._call.ended:
            return GitUnavailable(self._call.ended)
        for each in _chain(error):
            if isinstance(each, ssl.SSLCertVerificationError):
                given = self._remote.ca_bundle is not None
                return untrusted(self._remote.host, self._remote.port, each, given=given)
        match error:
            case ReadTimeoutError():
                return GitUnavailable(f"the server was silent for {self._timeouts.silence:g} s (the limit)")
            case ConnectTimeoutError() if not isinstance(error, (NewConnectionError, NameResolutionError)):
                return GitUnavailable(f"the server accepts no connection within {self._timeouts.connect:g} s")
            case _:
                return GitUnavailable(clean(str(error).rpartition("): ")[2] or str(error)))


def _elsewhere(where: str, moved: GitAddress) -> GitNotFound:
    return GitNotFound(
        f"{where} has moved: it redirects to {moved.display}, which is another server, and nothing is sent"
        " there; if that is the right place, create the Repository again with this address in spec.git.repo (the"
        " clone: in spec.source.cloneFrom.git.repo)"
    )


def _url(base: str, path: str, query: str) -> str:
    address, _, own = base.partition("?")
    whole = "&".join(part for part in (own, query) if part)
    return f"{address.rstrip('/')}{path}{f'?{whole}' if whole else ''}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, *(part for part in each.args if isinstance(part, BaseException))]
