"""Connections to Temporal and Kubernetes at start: wait, say for what, go on when they appear."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from cli.settings import Settings
from kube.client import KubeClient
from kube.errors import KubeError
from kube.resources import PACKAGEREVISIONS

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.5
_MAX_DELAY = 10.0

_Connected = TypeVar("_Connected")


async def connect_temporal(settings: Settings) -> Client:
    """Connect to Temporal; waits until it answers."""

    async def attempt() -> Client:
        return await Client.connect(
            settings.temporal_address,
            namespace=settings.temporal_namespace,
            data_converter=pydantic_data_converter,
        )

    return await _persist(f"Temporal at {settings.temporal_address}", attempt, (RuntimeError, RPCError, OSError))


async def connect_kubernetes(settings: Settings) -> KubeClient:
    """Connect to the Kubernetes API; waits until it serves PackageRevisions.

    Raises:
        KubeError: The credentials cannot be loaded at all: waiting would not help.
    """
    client = await KubeClient.connect(settings.kubeconfig)

    async def attempt() -> KubeClient:
        await client.list_page(PACKAGEREVISIONS, limit=1)
        return client

    try:
        return await _persist("the Kubernetes API to serve PackageRevisions", attempt, (KubeError,))
    except BaseException:
        await client.aclose()
        raise


async def _persist(
    what: str, attempt: Callable[[], Awaitable[_Connected]], expected: tuple[type[Exception], ...]
) -> _Connected:
    delay, waited = _FIRST_DELAY, False
    while True:
        try:
            connected = await attempt()
        except expected as error:
            logger.warning("waiting for %s: %s; next attempt in %.1f s", what, error, delay)
            await asyncio.sleep(delay)
            delay, waited = min(delay * 2, _MAX_DELAY), True
        else:
            if waited:
                logger.info("connected to %s", what)
            return connected
