"""The endpoint that forges notify of pushes: the Repositories of a push are synced at once.

A request only ever triggers a look, so that a request that arrives twice, late or out of order does no harm.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from aiohttp import web

from porchflow.api.host_port import host_and_port
from porchflow.api.limits import WEBHOOK_BYTES
from porchflow.api.webhook_secrets import repository_secret
from porchflow.kube.following import Key
from porchflow.watcher.indexes.places import Places
from porchflow.watcher.watcher_settings import WEBHOOK_PATH, WatcherSettings
from porchflow.watcher.webhooks.payloads import Push, Refused, authenticate, check_signed, read_push
from porchflow.watcher.webhooks.webhook_bodies import Bodies

logger = logging.getLogger(__name__)

_SPACING: Final = 2.0
"""Seconds between two syncs of one Repository because of pushes: forges report porchflow's own pushes, too."""


class Webhooks:
    """Handles the requests."""

    def __init__(
        self, secrets: Sequence[str], places: Places, sync: Callable[[Key], None], *, spacing: float = _SPACING
    ) -> None:
        """Create the endpoint.

        Args:
            secrets: Each of them is accepted for every Repository, and what is derived from it for one of them.
            places: The Repositories by address.
            sync: Starts the sync of a Repository.
            spacing: Seconds between two syncs of one Repository.
        """
        self._secrets = secrets
        self._places = places
        self._sync = sync
        self._spacing = spacing
        self._last: dict[Key, float] = {}
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._bodies = Bodies()

    def application(self) -> web.Application:
        """Return what aiohttp serves."""
        app = web.Application(client_max_size=WEBHOOK_BYTES)
        app.router.add_post(WEBHOOK_PATH, self._handle)
        app.router.add_post(WEBHOOK_PATH + "/{namespace}/{repository}", self._handle)
        return app

    def close(self) -> None:
        """Drop the syncs that wait."""
        for timer in self._later.values():
            timer.cancel()

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            check_signed(request.headers)
            body = await self._body(request)
            authenticate(request.headers, body, self._accepted(request))
            push = read_push(request.headers, body)
        except Refused as refused:
            logger.warning("refused a webhook request from %s: %s", request.remote, refused)
            return web.json_response({"error": str(refused)}, status=refused.status)
        if push is None:
            return web.json_response({"synced": [], "message": "this event is not a push"})
        return self._answer(push, self._concerned(request, push))

    async def _body(self, request: web.Request) -> bytes:
        try:
            return await self._bodies.read(request.remote or "", request.read)
        except web.HTTPRequestEntityTooLarge:
            raise Refused(
                413, f"more than {WEBHOOK_BYTES} bytes: the regular sync of the Repository will find what was pushed"
            ) from None

    def _accepted(self, request: web.Request) -> list[str]:
        """Return the secrets that a request may have been made with."""
        named = request.match_info
        if not named:
            return [*self._secrets]
        own = [repository_secret(secret, named["namespace"], named["repository"]) for secret in self._secrets]
        return [*own, *self._secrets]

    def _concerned(self, request: web.Request, push: Push) -> list[Key]:
        named = request.match_info
        if not named:
            return self._places.concerned(push.addresses, push.ref)
        key = named["namespace"], named["repository"]
        return [key] if self._places.holds(key, push.ref) else []

    def _answer(self, push: Push, concerned: list[Key]) -> web.Response:
        for key in concerned:
            self._ask(key)
        names = [f"{namespace}/{name}" for namespace, name in concerned]
        if names:
            return web.json_response({"synced": names}, status=202)
        message = f"no Repository at one of these addresses has packages in {push.ref}: {', '.join(push.addresses)}"
        return web.json_response({"synced": [], "message": message})

    def _ask(self, key: Key) -> None:
        """Sync a Repository. Pushes shortly after one another make two syncs: one now, one after the last push."""
        if key in self._later:
            return
        wait = self._last.get(key, float("-inf")) + self._spacing - time.monotonic()
        if wait <= 0:
            self._now(key)
        else:
            self._later[key] = asyncio.get_running_loop().call_later(wait, self._now, key)

    def _now(self, key: Key) -> None:
        self._later.pop(key, None)
        self._last[key] = time.monotonic()
        self._sync(key)


@contextlib.asynccontextmanager
async def serve_webhooks(settings: WatcherSettings, places: Places, sync: Callable[[Key], None]) -> AsyncIterator[None]:
    """Serve while the context is open; do nothing where no address is set.

    Raises:
        OSError: The server cannot listen on the address.
    """
    if not settings.webhook_address:
        yield
        return
    webhooks = Webhooks(settings.webhook_secrets, places, sync)
    host, port = host_and_port(settings.webhook_address)
    # The rest of a refused body is not waited for. No forge compresses, and the signature is of the body as it comes.
    runner = web.AppRunner(
        webhooks.application(), access_log=None, shutdown_timeout=2, lingering_time=0.0, auto_decompress=False
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, port).start()
        logger.info("taking webhooks at %s%s", settings.webhook_address, WEBHOOK_PATH)
        yield
    finally:
        await runner.cleanup()
        webhooks.close()
