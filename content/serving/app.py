"""The aggregated API server: admits requests and hands each to its handler."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from opentelemetry import propagate, trace

from porchflow.api.host_port import host_and_port
from porchflow.content.access.authorization import Attributes, Authorizer
from porchflow.content.access.frontproxy import NAMESPACE, FrontProxyWatch
from porchflow.content.access.identity import NotTrusted, User
from porchflow.content.access.rate_limits import RateLimit
from porchflow.content.access.tls import ServingTls
from porchflow.content.content_settings import ContentSettings
from porchflow.content.packages.bodies import BodyReader
from porchflow.content.packages.content_cache import ContentCache
from porchflow.content.packages.opening import Packages
from porchflow.content.packages.pushing import Writer
from porchflow.content.packages.render_requests import RenderRequests
from porchflow.content.refusals import ApiError, method_not_allowed, of_failure
from porchflow.content.serving.answers import COMMIT, STARTED
from porchflow.content.serving.handlers import Resources
from porchflow.content.serving.listing import Lister
from porchflow.content.serving.request_metrics import ContentMetrics
from porchflow.content.serving.requests import Address, flag, parse_address
from porchflow.content.serving.static import static_document
from porchflow.content.serving.watches import Watches
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.background import in_background
from porchflow.kube.client import KubeClient

logger = logging.getLogger(__name__)
audit = logging.getLogger("content.audit")

ADDRESS: Final = web.RequestKey("address", Address)
VERB: Final = web.RequestKey("verb", str)

_tracer = trace.get_tracer("porchflow")

_GONE: Final = 499
"""Logged where the client went away before there was an answer; it is never sent."""
_TLS_CHECK_SECONDS = 10.0
_HANDSHAKE_SECONDS = 10.0
_SHUTDOWN_SECONDS = 10.0
_SILENT_SECONDS = 30.0
"""Until a new connection must have sent its first request."""


@dataclass(frozen=True)
class Clients:
    """The clients of the server's peers.

    Attributes:
        kube: The API server.
        watching: The API server, for watches: each keeps a connection, and must not block other requests.
        git: The repositories.
    """

    kube: KubeClient
    watching: KubeClient
    git: GitStore


class ContentServer:
    """Answers requests: authenticates, limits, authorizes, and calls the handler."""

    def __init__(
        self,
        settings: ContentSettings,
        clients: Clients,
        proxies: FrontProxyWatch,
        metrics: ContentMetrics,
        *,
        silence: float = _SILENT_SECONDS,
    ) -> None:
        """Create a server that does not listen yet."""
        kube, git = clients.kube, clients.git
        self._metrics = metrics
        self._settings = settings
        self._silence = silence
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        self._proxies = proxies
        self._authorizer = Authorizer(kube)
        self._rate = RateLimit(settings.rate, settings.burst)
        self.cache = ContentCache(settings.cache)
        self.requests = RenderRequests(kube)
        packages = Packages(kube, git, self.cache)
        self._writer = Writer(packages, git, self.requests)
        self.watches = Watches(clients.watching, packages, settings.watches)
        bodies = BodyReader(settings.max_body)
        self._resources = Resources(packages, Lister(kube, packages), self.watches, self._writer, bodies)

    async def aclose(self) -> None:
        """Finish the pushes in progress, and drop everything else."""
        for timer in self._silent.values():
            timer.cancel()
        await self._writer.aclose()
        await self.requests.aclose()
        await self.cache.aclose()

    def connected(self, runner: web.AppRunner) -> web.RequestHandler:
        """Return the handler of a connection. It closes a connection that stays without a request."""
        assert runner.server is not None  # noqa: S101 - it is set up before anything connects
        connection = runner.server()

        def close() -> None:
            del self._silent[connection]
            connection.force_close()

        self._silent[connection] = asyncio.get_running_loop().call_later(self._silence, close)
        return connection

    async def on_shutdown(self, _: web.Application) -> None:
        """End the requests that would not end by themselves: the watches."""
        self.watches.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, and log its user, its verb and the result."""
        if timer := self._silent.pop(request.protocol, None):
            timer.cancel()
        began = time.monotonic()
        user: User | None = None
        try:
            user = self._user(request)
            # After the check of the caller: only a request of the front proxy may continue a trace.
            with _tracer.start_as_current_span("request", propagate.extract(request.headers), record_exception=False):
                response = await self._limited(request, user)
        except asyncio.CancelledError:
            self._answered(request, user, _GONE, time.monotonic() - began)
            raise
        except Exception as error:
            response = _failure(error)
            if STARTED in request:
                # The answer is incomplete: only a connection that closes early tells the client.
                logger.warning("an answer broke off: %s", error)
                if request.transport is not None:
                    request.transport.abort()
                raise
        self._answered(request, user, response.status, time.monotonic() - began)
        return response

    def _answered(self, request: web.Request, user: User | None, status: int, seconds: float) -> None:
        self._metrics.answered(request.get(VERB, ""), status, seconds)
        _audit(request, user, status, seconds)

    def _user(self, request: web.Request) -> User:
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        try:
            return self._proxies.current.user(certificate, request.headers)
        except NotTrusted as error:
            raise ApiError(401, "Unauthorized", f"Unauthorized: {error}") from None

    async def _limited(self, request: web.Request, user: User) -> web.StreamResponse:
        try:
            async with asyncio.timeout(self._settings.timeout) as limit:
                return await self._route(request, user, limit)
        except TimeoutError:
            raise ApiError(
                504, "Timeout", f"not done within {self._settings.timeout:g} s; try again", retry_after=1
            ) from None

    async def _route(self, request: web.Request, user: User, limit: asyncio.Timeout) -> web.StreamResponse:
        path = request.rel_url.raw_path.rstrip("/") or "/"
        if document := static_document(path, request):
            return document
        address = parse_address(path)
        verb = _verb(request, address)
        request[ADDRESS], request[VERB] = address, verb
        self._rate.take(user.name)
        await self._authorizer.check(user, Attributes(verb, address.resource, address.namespace, address.name))
        handler = self._resources.handler(verb, address)
        if verb == "watch":
            limit.reschedule(None)
        return await handler(request, user, address)


def _verb(request: web.Request, address: Address) -> str:
    match request.method:
        case "GET" if address.name:
            return "get"
        case "GET":
            return "watch" if flag(request.query, "watch") else "list"
        case "PUT":
            return "update"
        case "PATCH":
            return "patch"
        case "POST":
            return "create"
        case "DELETE":
            return "delete" if address.name else "deletecollection"
    raise method_not_allowed(request.method)


def _failure(error: Exception) -> web.Response:
    known = of_failure(error)
    if known is None:
        logger.error("unexpected %s", type(error).__name__, exc_info=error)
        known = ApiError(
            500,
            "InternalError",
            f"Internal error occurred: {type(error).__name__}; the log of the content API has more",
        )
    headers = {"Retry-After": str(known.retry_after)} if known.retry_after is not None else {}
    return web.json_response(known.status(), status=known.code, headers=headers)


def _audit(request: web.Request, user: User | None, status: int, seconds: float) -> None:
    """Log a request's user, verb and result; never content."""
    address = request.get(ADDRESS)
    what = f"{address.namespace}/{address.name}".strip("/") if address else ""
    audit.info(
        "user=%s verb=%s object=%s status=%d%s ms=%d groups=%s path=%s",
        json.dumps(user.name if user else ""),
        request.get(VERB, request.method),
        what if what.isprintable() and " " not in what else json.dumps(what),
        status,
        f" commit={request[COMMIT]}" if COMMIT in request else "",
        seconds * 1000,
        json.dumps(user.groups if user else ()),
        json.dumps(request.rel_url.raw_path),
    )


@contextlib.asynccontextmanager
async def running_server(
    settings: ContentSettings,
    clients: Clients,
    metrics: ContentMetrics | None = None,
    *,
    front_proxy_namespace: str = NAMESPACE,
    silence: float = _SILENT_SECONDS,
) -> AsyncIterator["Running"]:
    """Serve while the context is open; waits first until the cluster's configuration names its front proxy.

    Args:
        settings: With the files of the certificate.
        clients: What the server talks to.
        metrics: Counts the requests.
        front_proxy_namespace: Namespace of the ConfigMap that names the front proxy.
        silence: Seconds until a new connection must have sent its first request.

    Yields:
        The server, with the port that it listens on.
    """
    assert settings.tls_cert and settings.tls_key  # noqa: S101, PT018 - checked at the start, or kept in the cluster
    tls = ServingTls(settings.tls_cert, settings.tls_key)
    host, port = host_and_port(settings.address)
    async with contextlib.AsyncExitStack() as stack:
        following = FrontProxyWatch.following(clients.watching, tls, front_proxy_namespace)
        proxies = await stack.enter_async_context(following)
        await stack.enter_async_context(in_background(_keep_fresh(tls)))
        server = ContentServer(settings, clients, proxies, metrics or ContentMetrics(), silence=silence)
        stack.push_async_callback(server.aclose)
        runner = await _runner(server, settings)
        stack.push_async_callback(runner.cleanup)
        listener = await asyncio.get_running_loop().create_server(
            lambda: server.connected(runner),
            host or None,
            port,
            ssl=tls.context,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS,
        )
        stack.callback(listener.close)
        port = int(listener.sockets[0].getsockname()[1])
        logger.info("serving package content on port %d", port)
        yield Running(server, tls, port)


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    server: ContentServer
    tls: ServingTls
    port: int


async def serve(
    settings: ContentSettings, clients: Clients, ready: Callable[[], None], metrics: ContentMetrics
) -> None:
    """Serve until cancelled; `ready` is called when the server accepts requests."""
    async with running_server(settings, clients, metrics):
        ready()
        await asyncio.Event().wait()


async def _runner(server: ContentServer, settings: ContentSettings) -> web.AppRunner:
    app = web.Application(client_max_size=settings.max_body)
    app.router.add_route("*", "/{path:.*}", server.handle)
    app.on_shutdown.append(server.on_shutdown)
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        # A client that has gone needs no answer, and its watch would stay open.
        handler_cancellation=True,
    )
    await runner.setup()
    return runner


async def _keep_fresh(tls: ServingTls) -> None:
    while True:
        await asyncio.sleep(_TLS_CHECK_SECONDS)
        await asyncio.to_thread(tls.refresh)
