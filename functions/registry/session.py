"""Requests to registries: authentication, redirects, limits (OCI distribution specification 1.1).

The existing libraries (oras, python-dxf) block a thread per request and read answers of any size.
"""

import base64
import hashlib
import json
import math
import ssl
import time
from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
import re2
from yarl import URL

from porchflow.api.limits import REGISTRY_ERROR_BYTES, TOKEN_BYTES
from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from porchflow.functions.registry.credentials import Credentials, DockerConfig
from porchflow.functions.registry.references import Reference

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=10)
_REDIRECTS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_WORDS: Final = 300
_KEPT: Final = 1000
_TOKEN_SECONDS: Final = 60
"""Lifetime of a token that states none (Docker's token specification)."""

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
    ) -> None:
        """Create a session; it connects at the first request.

        Args:
            config: Credentials.
            ca_bundle: PEM file of CAs beside the system's.
            insecure: Registries, with their port, that use plain HTTP.
            trust_env: Whether HTTPS_PROXY and the like count.

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
        self._client: aiohttp.ClientSession | None = None
        self._tokens: dict[_TokenKey, _Token] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()

    def url(self, reference: Reference, path: str) -> URL:
        """Return the address of a part of an image's repository."""
        scheme = "http" if reference.registry in self._insecure else "https"
        return URL(f"{scheme}://{reference.host}/v2/{reference.repository}/{path}")

    async def get(self, image: str, reference: Reference, url: URL, *, accept: str = "*/*", limit: int) -> Answer:
        """Send a request to a registry, with a token where it requires one.

        Args:
            image: For errors.
            reference: The image in its registry.
            url: See `url`, or the next page of an answer.
            accept: Content types that the caller reads.
            limit: Bytes that are read at most.

        Raises:
            ImageNotFound: The registry does not have it, or does not show it.
            RegistryUnavailable: There is no answer now.
        """
        try:
            return await self._get(image, reference, url, accept, limit)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise RegistryUnavailable(image, f"the registry {reference.registry} does not answer") from None
        except (aiohttp.ClientError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise RegistryUnavailable(image, f"the registry {reference.registry} cannot be reached: {why}") from None

    async def _get(self, image: str, reference: Reference, url: URL, accept: str, limit: int) -> Answer:
        credentials = self._config.credentials(reference, image)
        key = (reference.registry, reference.repository, credentials)
        token = self._tokens.get(key)
        known = token is not None and token.until > time.monotonic()
        header = token.header if token is not None and known else ""
        response = await self._follow(url, {"Accept": accept, **_authorization(header)})
        if response.status == HTTPStatus.UNAUTHORIZED:
            challenge = response.headers.get("WWW-Authenticate", "")
            token = await self._authorize(image, reference, challenge, credentials)
            if token is not None:
                response.release()
                self._keep(key, token)
                response = await self._follow(url, {"Accept": accept, **_authorization(token.header)})
        async with response:
            if response.status != HTTPStatus.OK:
                raise await _refusal(image, reference, response)
            following = response.links.get("next")
            body = await _read(response, limit)
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

    async def _follow(self, url: URL, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Follow redirects, without showing another host the headers for the first one, nor leaving encryption."""
        for _ in range(_REDIRECTS):
            response = await self._session().get(url, headers=headers, allow_redirects=False)
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

    async def _authorize(
        self, image: str, reference: Reference, challenge: str, credentials: Credentials | None
    ) -> _Token | None:
        """Return the token for a registry's challenge; None if it requires credentials that do not exist."""
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
            raise ImageNotFound(
                image, f"the registry {reference.registry} sends for a token to a place without encryption"
            )
        wanted = {"service": found.get("service", ""), "scope": f"repository:{reference.repository}:pull"}
        return await self._token(image, reference, realm, wanted, credentials)

    async def _token(
        self, image: str, reference: Reference, realm: URL, wanted: dict[str, str], credentials: Credentials | None
    ) -> _Token:
        if credentials is not None and credentials.identity_token:
            form = {**wanted, "grant_type": "refresh_token", "client_id": "porchflow"}
            form["refresh_token"] = credentials.identity_token
            asked = self._session().post(realm, data=form, allow_redirects=False)
        else:
            headers = _authorization(_basic(credentials)) if credentials is not None and credentials.user else {}
            asked = self._session().get(realm.update_query(wanted), headers=headers, allow_redirects=False)
        async with asked as response:
            if response.status != HTTPStatus.OK:
                raise await _refusal(image, reference, response)
            body = await _read(response, TOKEN_BYTES)
        try:
            given = json.loads(body or b"")
            token = given.get("token") or given["access_token"]
            seconds = float(given.get("expires_in") or _TOKEN_SECONDS)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RegistryUnavailable(image, f"{realm.host} gives no token for {reference.registry}") from None
        return _Token(f"Bearer {token}", time.monotonic() + seconds / 2)

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            connector = aiohttp.TCPConnector(ssl=self._context)
            self._client = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, trust_env=self._trust_env)
        return self._client


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


async def _refusal(
    image: str, reference: Reference, response: aiohttp.ClientResponse
) -> ImageNotFound | RegistryUnavailable:
    """Return the error for a status that is no success."""
    status = response.status
    words = _words(await _read(response, REGISTRY_ERROR_BYTES) or b"")
    said = f" ({words})" if words else ""
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RegistryUnavailable(image, f"the registry {reference.registry} answers with {status}{said}")
    if status == HTTPStatus.NOT_FOUND:
        return ImageNotFound(image, f"the registry {reference.registry} has no such image{said}")
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return ImageNotFound(
            image,
            f"the registry {reference.registry} does not show it{said}: either there is none, or it takes credentials"
            " that the function runner does not have",
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
