"""Requests to registries: authentication, redirects, limits (OCI distribution specification 1.1).

The existing libraries (oras, python-dxf) block a thread per request and read answers of any size.
"""

import base64
import hashlib
import json
import logging
import math
import ssl
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
import re2
from yarl import URL

from porchflow.api.limits import REGISTRY_ERROR_BYTES, TOKEN_BYTES
from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from porchflow.functions.registry.credentials import Credentials, DockerConfig, OwnCredentials, lacking
from porchflow.functions.registry.guard import CheckedResolver, Guard, RegistryDenied, answers_are_told, is_proxied
from porchflow.functions.registry.references import Reference

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_WORDS: Final = 300
_KEPT: Final = 1000
_TOKEN_SECONDS: Final = 60
"""Lifetime of a token that states none (Docker's token specification)."""

_OF_REGISTRIES: Final = "Docker-Distribution-Api-Version"
"""Header by which registries say that they are one."""
_TYPES: Final = ("application/vnd.oci.", "application/vnd.docker.distribution.")
"""Beginnings of the content types of manifests."""
_DENIED: Final = (
    "the server {server} has an address that images may not come from: loopback, link-local and whatever else"
    " PORCHFLOW_DENIED_REGISTRIES lists; take the image from elsewhere, or have its registry named in"
    " PORCHFLOW_ALLOWED_IMAGES"
)
_UNTOLD: Final = (
    "no registry answers at {registry}; it is inside of the network, so that only the log of porchflow has the rest,"
    " until PORCHFLOW_ALLOWED_IMAGES names it"
)
_log = logging.getLogger(__name__)

_PARAMETER: Final = re2.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Answer(NamedTuple):
    """A registry's answer.

    Attributes:
        body: As it was sent.
        content_type: Without parameters.
        next: URL of the next page; None for none.
    """

    body: bytes
    content_type: str
    next: URL | None

    @property
    def digest(self) -> str:
        """Digest of the body."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"


class _Token(NamedTuple):
    header: str
    until: float


_TokenKey = tuple[str, str, Credentials | None]
"""Registry, repository, and the credentials that the token was issued for."""


def parameters_of(challenge: str) -> dict[str, str]:
    """Return the parameters of a registry's challenge: `realm`, `service`, `scope` (RFC 7235)."""
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(challenge)}


class RegistrySession:
    """Connections to registries; keeps the tokens that they issue."""

    def __init__(
        self,
        config: DockerConfig,
        *,
        ca_bundle: Path | None = None,
        insecure: Collection[str] = (),
        trust_env: bool = True,
        guard: Guard | None = None,
        namespace_secret: str = "",
    ) -> None:
        """Create a session; it connects at the first request.

        Args:
            config: Credentials.
            ca_bundle: PEM file of CAs beside the system's.
            insecure: Registries, with their port, that use plain HTTP.
            trust_env: Whether HTTPS_PROXY and the like count.
            guard: Checks the addresses of registries; None for no checks.
            namespace_secret: Name of the Secrets with credentials of namespaces, for errors; empty if there are none.

        Raises:
            OSError: The bundle cannot be read.
            ssl.SSLError: The bundle holds no certificate.
        """
        self._config = config
        self._insecure = frozenset(insecure)
        self._trust_env = trust_env
        self._context = ssl.create_default_context()
        if ca_bundle is not None:
            self._context.load_verify_locations(ca_bundle)
        self._guard = guard or Guard()
        self._namespace_secret = namespace_secret
        self._clients: dict[bool, aiohttp.ClientSession] = {}
        self._tokens: dict[_TokenKey, _Token] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            await client.close()

    def url(self, reference: Reference, path: str) -> URL:
        """Return the address of a part of an image's repository."""
        scheme = "http" if reference.registry in self._insecure else "https"
        return URL(f"{scheme}://{reference.host}/v2/{reference.repository}/{path}")

    async def get(
        self,
        image: str,
        reference: Reference,
        url: URL,
        *,
        own: OwnCredentials | None = None,
        accept: str = "*/*",
        limit: int,
        digest: str = "",
    ) -> Answer:
        """Send a request to a registry, with a token where it requires one.

        Args:
            image: For errors.
            reference: The image in its registry.
            url: See `url`, or the next page of an answer.
            own: The namespace's own credentials, which are used alone; None for those of the session.
            accept: Content types that the caller reads.
            limit: Bytes that are read at most.
            digest: Of the content, where it is known. The caller has to compare it.

        Raises:
            ImageNotFound: The registry does not have it, or does not show it.
            RegistryUnavailable: There is no answer now.
        """
        lacks = lacking(own, self._namespace_secret)
        call = _Call(image, reference, own, lacks, guarded=self._guard.guards(reference.registry))
        try:
            return await self._get(call, url, accept, limit, digest)
        except RegistryDenied as denied:
            raise ImageNotFound(image, _DENIED.format(server=denied)) from None
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise call.unavailable(f"the registry {reference.registry} does not answer") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise call.unavailable(f"the registry {reference.registry} cannot be reached: {why}") from None

    async def _get(self, call: "_Call", url: URL, accept: str, limit: int, digest: str) -> Answer:
        image, reference = call.image, call.reference
        credentials = call.own.credentials if call.own is not None else self._config.credentials(reference, image)
        # The administrator gave credentials for the registry, and so named it. A namespace names none by its own.
        call.guarded = call.guarded and (credentials is None or call.own is not None)
        key = (reference.registry, reference.repository, credentials)
        token = self._tokens.get(key)
        known = token is not None and token.until > time.monotonic()
        header = token.header if token is not None and known else ""
        response = await self._follow(call, url, {"Accept": accept, **_authorization(header)})
        if response.status == HTTPStatus.UNAUTHORIZED:
            challenge = response.headers.get("WWW-Authenticate", "")
            token = await self._authorize(call, challenge, credentials)
            if token is not None:
                response.release()
                self._keep(key, token)
                response = await self._follow(call, url, {"Accept": accept, **_authorization(token.header)})
        async with response:
            if response.status != HTTPStatus.OK:
                raise await _refusal(call, response)
            following = response.links.get("next")
            body = await _read(response, limit)
            if not call.tells and not _is_of_registry(response, body, digest):
                raise call.unavailable("what answers is no registry")
            if body is None:
                raise ImageNotFound(
                    image, f"the registry {reference.registry} describes it with more than {limit} bytes"
                )
            return Answer(body, response.content_type, URL(str(following["url"])) if following else None)

    def _keep(self, key: _TokenKey, token: _Token) -> None:
        """Keep a token, within a limit: packages name any number of repositories."""
        self._tokens.pop(key, None)
        self._tokens[key] = token
        if len(self._tokens) > _KEPT:
            del self._tokens[next(iter(self._tokens))]

    async def _follow(self, call: "_Call", url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Follow redirects, without showing another host the headers for the first one, nor leaving encryption."""
        for _ in range(_REDIRECTS):
            client = await self._client_for(call, url)
            response = await client.get(url, headers=headers, allow_redirects=False)
            location = response.headers.get("Location")
            if response.status not in _MOVED or not location:
                return response
            response.release()
            target = url.join(URL(location))
            if target.scheme != "https" and target.origin() != url.origin():
                raise aiohttp.ClientError(f"it redirects to {target.origin()}, which is not encrypted")
            if target.origin() != url.origin():
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            url = target
        raise aiohttp.ClientError("it redirects without an end")

    async def _authorize(self, call: "_Call", challenge: str, credentials: Credentials | None) -> _Token | None:
        """Return the token for a registry's challenge; None if it requires credentials that do not exist."""
        reference = call.reference
        scheme, _, parameters = challenge.partition(" ")
        if credentials is not None and credentials.access_token:
            return _Token(f"Bearer {credentials.access_token}", math.inf)
        if scheme.lower() == "basic":
            return _Token(_basic(credentials), math.inf) if credentials is not None and credentials.user else None
        if scheme.lower() != "bearer":
            return None
        found = parameters_of(parameters)
        realm = URL(found.get("realm", ""))
        if realm.scheme != "https" and reference.registry not in self._insecure:
            why = f"the registry {reference.registry} sends for a token to a place without encryption"
            raise ImageNotFound(call.image, why)
        wanted = {"service": found.get("service", ""), "scope": f"repository:{reference.repository}:pull"}
        return await self._token(call, realm, wanted, credentials)

    async def _token(
        self, call: "_Call", realm: URL, wanted: dict[str, str], credentials: Credentials | None
    ) -> _Token:
        client = await self._client_for(call, realm)
        if credentials is not None and credentials.identity_token:
            form = {**wanted, "grant_type": "refresh_token", "client_id": "porchflow"}
            form["refresh_token"] = credentials.identity_token
            asked = client.post(realm, data=form, allow_redirects=False)
        else:
            headers = _authorization(_basic(credentials)) if credentials is not None and credentials.user else {}
            asked = client.get(realm.update_query(wanted), headers=headers, allow_redirects=False)
        async with asked as response:
            if response.status != HTTPStatus.OK:
                raise await _refusal(call, response)
            body = await _read(response, TOKEN_BYTES)
        try:
            given = json.loads(body or b"")
            token = given.get("token") or given["access_token"]
            seconds = float(given.get("expires_in") or _TOKEN_SECONDS)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise call.unavailable(f"{realm.host} gives no token for {call.reference.registry}") from None
        return _Token(f"Bearer {token}", time.monotonic() + seconds / 2)

    async def _client_for(self, call: "_Call", url: URL) -> aiohttp.ClientSession:
        """Return the client for one request of a call, with the server's addresses checked where they have to be.

        Raises:
            RegistryDenied: The server may not be connected to.
            OSError: Its name means nothing.
        """
        if not call.guarded:
            return self._client(checked=False)
        proxied = self._trust_env and is_proxied(url)
        addresses: Sequence[str] = ()
        try:
            addresses = await self._guard.addresses(url)
        except OSError:
            # The proxy may know the name.
            if not proxied:
                raise
        # What one server inside says counts for all that it leads to.
        call.tells = call.tells and answers_are_told(addresses)
        return self._client(checked=not proxied)

    def _client(self, *, checked: bool) -> aiohttp.ClientSession:
        """Return the client that checks the address of each connection, or the other one."""
        if checked not in self._clients:
            # A kept connection would be one to an address that was checked for another call.
            connector = (
                aiohttp.TCPConnector(ssl=self._context, resolver=CheckedResolver(self._guard), force_close=True)
                if checked
                else aiohttp.TCPConnector(ssl=self._context)
            )
            trust_env = self._trust_env and not checked
            self._clients[checked] = aiohttp.ClientSession(
                connector=connector,
                timeout=_TIMEOUT,
                trust_env=trust_env,
                # A cookie would open for one namespace what the credentials of another one opened.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._clients[checked]


@dataclass
class _Call:
    """One question about an image.

    Attributes:
        image: For errors.
        reference: The image in its registry.
        own: The namespace's own credentials; None for those of the session.
        lacks: What to say of an image that the registry does not show.
        guarded: Whether an author of packages chose the registry.
        tells: Whether the author is told how the servers answer that were asked.
    """

    image: str
    reference: Reference
    own: OwnCredentials | None
    lacks: str
    guarded: bool
    tells: bool = True

    def unavailable(self, why: str) -> RegistryUnavailable:
        """Return the error of a server that gives no answer, in full only where the author may know."""
        if self.tells:
            return RegistryUnavailable(self.image, why)
        _log.info("%s: %s", self.image, why)
        return RegistryUnavailable(self.image, _UNTOLD.format(registry=self.reference.registry))


def _authorization(header: str) -> dict[str, str]:
    return {"Authorization": header} if header else {}


def _basic(credentials: Credentials) -> str:
    return f"Basic {base64.b64encode(f'{credentials.user}:{credentials.password}'.encode()).decode()}"


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Read an answer; None if it is larger than the limit."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > limit:
            response.close()
            return None
    return bytes(body)


def _is_of_registry(response: aiohttp.ClientResponse, body: bytes | None, digest: str) -> bool:
    """Return whether a good answer is one of a registry: by its header, its type, or the content that was asked for."""
    if _OF_REGISTRIES in response.headers or response.content_type.startswith(_TYPES):
        return True
    return bool(digest) and body is not None and digest == f"sha256:{hashlib.sha256(body).hexdigest()}"


async def _refusal(call: _Call, response: aiohttp.ClientResponse) -> ImageNotFound | RegistryUnavailable:
    """Return the error for a status that is no success."""
    image, reference, status = call.image, call.reference, response.status
    words = _words(await _read(response, REGISTRY_ERROR_BYTES) or b"")
    said = f" ({words})" if words else ""
    if not call.tells and not words and not response.headers.get(_OF_REGISTRIES):
        # It may be any server. Of one inside of the network the author is to learn nothing.
        return call.unavailable(f"it answers with {status}")
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RegistryUnavailable(image, f"the registry {reference.registry} answers with {status}{said}")
    if status == HTTPStatus.NOT_FOUND:
        return ImageNotFound(image, f"the registry {reference.registry} has no such image{said}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ImageNotFound(
            image,
            f"the registry {reference.registry} does not show it{said}: either there is none, or {call.lacks}",
        )
    return ImageNotFound(image, f"the registry {reference.registry} refuses to show it with {status}{said}")


def _words(body: bytes) -> str:
    """Return the registry's message of an error, in one line."""
    try:
        errors = json.loads(body)["errors"]
        text = "; ".join(str(error.get("message") or error.get("code")) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return "".join(each if each.isprintable() else " " for each in text)[:_WORDS]
