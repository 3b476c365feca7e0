"""Sends requests to the API server and turns each kind of failure into a `KubeError`."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

import aiohttp
from opentelemetry import trace
from yarl import URL

from porchflow.kube.connection import Connection
from porchflow.kube.errors import KubeUnavailable, TimedOut, Unauthorized, error_from_response
from porchflow.kube.kinds import Resource

JSON: Final = "application/json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"

METADATA: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_CONNECT_TIMEOUT = 10.0

_tracer = trace.get_tracer("porchflow")


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server.

    Attributes:
        method: HTTP method.
        resource: The kind it is about.
        path: URL path.
        name: `namespace/name` of the object, for messages.
        query: URL parameters.
        body: JSON value to send; None sends no body.
        content_type: Of the body; tells kinds of patch apart.
        accept: Media type of the answer.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    resource: Resource
    path: str
    name: str = ""
    query: Mapping[str, str] | None = None
    body: Any = None
    content_type: str = JSON
    accept: str = JSON

    @property
    def target(self) -> str:
        """Path with URL parameters."""
        return self.path + (f"?{urlencode(self.query)}" if self.query else "")


@dataclass(slots=True)
class Tally:
    """Count and time of the requests with the same method, resource and status code."""

    count: int = 0
    seconds: float = 0.0
    """Until their answers began, summed."""


class Transport:
    """Requests over one connection pool; loads the credentials again once when they are refused."""

    def __init__(self, connection: Connection, *, user_agent: str, request_timeout: float) -> None:
        """Create the transport.

        Args:
            connection: The pool.
            user_agent: Shown in the audit log of the API server.
            request_timeout: Seconds that a request may take.
        """
        self._connection = connection
        self._user_agent = user_agent
        self.requests: dict[tuple[str, str, int], Tally] = {}
        """By method, plural name of the resource, and status code; code 0 had no answer."""
        self._limits = aiohttp.ClientTimeout(total=request_timeout, sock_connect=min(request_timeout, _CONNECT_TIMEOUT))

    @property
    def host(self) -> str:
        """The API server's address."""
        return self._connection.host

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connection.close()

    async def request(self, request: Request) -> dict[str, Any]:
        """Send a request and return the object in the answer.

        Raises:
            KubeError: Its subclass names the cause.
        """
        response = await self._authorized(request, self._limits)
        with _lost(request):
            body = await response.read()
        try:
            parsed = json.loads(body)
        except ValueError as error:
            raise _unavailable(request, "the API server answered with something that is no JSON") from error
        if not isinstance(parsed, dict):
            raise _unavailable(request, "the API server answered with something that is no object")
        return parsed

    @contextlib.asynccontextmanager
    async def stream(self, request: Request, *, inactivity_timeout: float) -> AsyncIterator[aiohttp.StreamReader]:
        """Send a request and yield the body as it arrives, for an answer without an end.

        Args:
            request: What to send.
            inactivity_timeout: Seconds without a byte after which the connection counts as lost.

        Yields:
            The body.

        Raises:
            TimedOut: Also from inside the context, after that silence.
            KubeUnavailable: Also from inside the context, when the connection is lost.
        """
        limits = aiohttp.ClientTimeout(
            total=None, sock_connect=min(inactivity_timeout, _CONNECT_TIMEOUT), sock_read=inactivity_timeout
        )
        response = await self._authorized(request, limits)
        try:
            with _lost(request):
                yield response.content
        finally:
            # Close, not release: releasing would wait for the rest of an endless body.
            response.close()

    async def _authorized(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        try:
            return await self._send(request, limits)
        except Unauthorized:
            if not await self._connection.reload():
                raise
            return await self._send(request, limits)

    async def _send(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = await self._headers(request)
        with _lost(request), self._counted(request) as sent:
            answer = await self._connection.rest.request(  # type: ignore[no-untyped-call] # the library has no types there
                request.method,
                URL(self.host + request.target, encoded=True),
                headers=headers,
                body=request.body,
                _request_timeout=limits,
            )
            response: aiohttp.ClientResponse = answer.response
            sent.code = response.status
            if response.ok:
                return response
            body = await response.read()
        raise error_from_response(
            response.status,
            body,
            retry_after=response.headers.get("Retry-After"),
            resource=str(request.resource),
            name=request.name,
        )

    @contextlib.contextmanager
    def _counted(self, request: Request) -> Iterator["_Sent"]:
        sent, began = _Sent(), time.monotonic()
        attributes = {"porchflow.object": request.name}
        name = f"{request.method} {request.resource.plural}"
        try:
            with _tracer.start_as_current_span(name, attributes=attributes, record_exception=False):
                yield sent
        finally:
            tally = self.requests.setdefault((request.method, request.resource.plural, sent.code), Tally())
            tally.count += 1
            tally.seconds += time.monotonic() - began

    async def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "Accept": request.accept,
            # The API server is near, and compressing a list costs it more than sending it.
            "Accept-Encoding": "identity",
            "Content-Type": request.content_type,
            "User-Agent": self._user_agent,
        }
        authorization = await self._connection.authorization()
        if authorization:
            headers["Authorization"] = authorization
        return headers


@dataclass(slots=True)
class _Sent:
    code: int = 0


@contextlib.contextmanager
def _lost(request: Request) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        message = "the API server did not answer in time"
        raise TimedOut(message, resource=str(request.resource), name=request.name) from error
    except (aiohttp.ClientError, OSError) as error:
        raise _unavailable(request, f"cannot reach the API server: {str(error) or type(error).__name__}") from error


def _unavailable(request: Request, message: str) -> KubeUnavailable:
    return KubeUnavailable(message, resource=str(request.resource), name=request.name)
