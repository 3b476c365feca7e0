"""Work on pods that no call waits for: deleting them, and recording their use."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from porchflow.functions.pods.cluster import Cluster, ClusterError, Manifest
from porchflow.functions.pods.member import FunctionPod
from porchflow.functions.pods.template import USED_ANNOTATION

_log = logging.getLogger(__name__)

_TOUCHES = 4
"""Records of a pod's use within its time to live."""
_LAST_DELETIONS = 5.0
"""Seconds for deletions under way when the runner stops."""


class Background:
    """Background tasks of a pool, which end with it."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float], forget: Callable[[Manifest], None]) -> None:
        """Create the tasks' owner.

        Args:
            cluster: The pods' cluster.
            clock: Seconds since 1970.
            forget: Called with a pod that was gone before its deletion.
        """
        self._cluster = cluster
        self._clock = clock
        self._forget = forget
        self._tasks: set[asyncio.Task[None]] = set()
        self._deletions: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task; its failure is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def delete(self, pod: FunctionPod, version: str = "") -> None:
        """Delete a pod; with a version, only if the pod has not changed since."""
        self._deletions.add(self.spawn(self._delete(pod, version)))

    def touch(self, pod: FunctionPod, time_to_live: float) -> None:
        """Note that a pod is used, and record it in the pod's annotation if the last record is old.

        Args:
            pod: The pod.
            time_to_live: Seconds that an unused pod is kept.
        """
        now = self._clock()
        pod.use(now)
        if now - pod.touched_at >= time_to_live / _TOUCHES:
            pod.touched_at = now
            self.spawn(self._write_use(pod, now))

    async def close(self) -> None:
        """Cancel all tasks, once deletions had some seconds to end: other runners keep an unused pod for long."""
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
