"""Heartbeats of an activity while it works."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from temporalio import activity

from porchflow.kube.background import in_background

_HEARTBEAT_SECONDS = 1.0
"""Seconds between heartbeats. Temporal delivers a cancellation with one; a shorter activity sends none."""


@contextlib.asynccontextmanager
async def heartbeating(progress: Callable[[], str] | None = None) -> AsyncIterator[None]:
    """Heartbeat in the background, so that a lost worker is noticed and a cancellation arrives.

    Args:
        progress: Returns how far the activity is; the Temporal UI shows it.
    """
    if activity.info().is_local:
        # A local activity has no heartbeats: the worker keeps its workflow's task alive.
        yield
        return
    async with in_background(_beat(progress)):
        yield


async def _beat(progress: Callable[[], str] | None) -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        activity.heartbeat(*([progress()] if progress is not None else []))
