"""What is done to pods while nobody waits for it: deleting them, and writing down that they are used."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from porchflow.functions.pods.cluster import Cluster, ClusterError, Manifest
from porchflow.functions.pods.member import FunctionPod
from porchflow.functions.pods.template import USED_ANNOTATION

_log = logging.getLogger(__name__)

_TOUCHES = 4
"""How often within its time to live the use of a pod is written down."""
_LAST_DELETIONS = 5.0
"""Seconds for pods that are being deleted when the runner stops."""


class Background:
    """Tasks of a pool, which end with it."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float], forget: Callable[[Manifest], None]) -> None:
        """Take where the pods are, the seconds since 1970, and who is told that a pod to delete was gone already."""
        self._cluster = cluster
        self._clock = clock
        self._forget = forget
        self._tasks: set[asyncio.Task[None]] = set()
        self._deletions: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something; if it fails, that is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def delete(self, pod: FunctionPod, version: str = "") -> None:
        """Delete a pod, unless it was written since the given version."""
        self._deletions.add(self.spawn(self._delete(pod, version)))

    def touch(self, pod: FunctionPod, time_to_live: float) -> None:
        """A pod is used: write that down, if that was last done long ago."""
        now = self._clock()
        pod.use(now)
        if now - pod.touched_at >= time_to_live / _TOUCHES:
            pod.touched_at = now
            self.spawn(self._write_use(pod, now))

    async def close(self) -> None:
        """End what is under way, deletions last: other runners leave pods that none would use alone for long."""
        if self._deletions:
            await asyncio.wait(self._deletions, timeout=_LAST_DELETIONS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _delete(self, pod: FunctionPod, version: str) -> None:
        try:
            if not await self._cluster.delete_pod(pod.name, uid=pod.uid, version=version):
                self._forget(pod.manifest)
        except ClusterError as error:
            _log.warning("cannot delete pod %s: %s", pod.name, error)

    async def _write_use(self, pod: FunctionPod, now: float) -> None:
        try:
            await self._cluster.annotate_pod(pod.name, uid=pod.uid, annotations={USED_ANNOTATION: f"{now:.0f}"})
        except ClusterError as error:
            _log.warning("cannot write that pod %s is used: %s", pod.name, error)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._deletions.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the pods of functions: %r", error, exc_info=error)
