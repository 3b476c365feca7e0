"""The endpoint that forges tell about pushes: what was pushed is synced at once.

A request only ever asks for a look, so that one that comes twice, late or out of order does no harm.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from porchflow.api.limits import WEBHOOK_BYTES
from porchflow.kube.following import Key
from porchflow.watcher.payloads import Push, Refused, authenticate, read_push
from porchflow.watcher.places import Places

logger = logging.getLogger(__name__)

PATH: Final = "/webhooks"

_READ_SECONDS: Final = 15.0
_AT_ONCE: Final = 16
_SPACING: Final = 2.0
"""Seconds between two syncs of one Repository because of pushes: porchflow's own pushes are told, too."""


@dataclass(frozen=True)
class WebhookOptions:
    """Where to listen, and what requests have to know.

    Attributes:
        address: host:port.
        secrets: Any of them will do, so that they can be changed one after the other.
    """

    address: str
    secrets: Sequence[str] = field(repr=False)


class Webhooks:
    """Answers the requests."""

    def __init__(
        self, secrets: Sequence[str], places: Places, sync: Callable[[Key], None], *, spacing: float = _SPACING
    ) -> None:
        """Take the secrets, the Repositories, what syncs one, and the seconds between two syncs of one."""
        self._secrets = secrets
        self._places = places
        self._sync = sync
        self._spacing = spacing
        self._last: dict[Key, float] = {}
        self._later: dict[Key, asyncio.TimerHandle] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def application(self) -> web.Application:
        """Return what aiohttp serves."""
        app = web.Application(client_max_size=WEBHOOK_BYTES)
        app.router.add_post(PATH, self._handle)
        app.router.add_post(PATH + "/{namespace}/{repository}", self._handle)
        return app

    def close(self) -> None:
        """Drop what waits."""
        for timer in self._later.values():
            timer.cancel()

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            body = await self._body(request)
            authenticate(request.headers, body, self._secrets)
            push = read_push(request.headers, body)
        except Refused as refused:
            logger.warning("refused a webhook request from %s: %s", request.remote, refused)
            return web.json_response({"error": str(refused)}, status=refused.status)
        if push is None:
            return web.json_response({"synced": [], "message": "this event says of no push"})
        return self._answer(push, self._concerned(request, push))

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with self._slots, asyncio.timeout(_READ_SECONDS):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(
                413, f"more than {WEBHOOK_BYTES} bytes: the regular sync of the Repository will find what was pushed"
            ) from None
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {_READ_SECONDS:g} seconds") from None

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
        """Sync a Repository; several pushes shortly after one another make two syncs, now and after the last."""
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
async def serve_webhooks(
    options: WebhookOptions | None, places: Places, sync: Callable[[Key], None]
) -> AsyncIterator[None]:
    """Serve while the context is open; nothing where there are no options.

    Raises:
        OSError: The address cannot be listened on.
    """
    if options is None:
        yield
        return
    webhooks = Webhooks(options.secrets, places, sync)
    host, _, port = options.address.rpartition(":")
    runner = web.AppRunner(webhooks.application(), access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.removeprefix("[").removesuffix("]") or None, int(port)).start()
        logger.info("taking webhooks at %s%s", options.address, PATH)
        yield
    finally:
        await runner.cleanup()
        webhooks.close()
