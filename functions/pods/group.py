"""The pods of one image and the calls that wait for them: who goes where, and when another pod is due."""

import asyncio
import math
from collections import deque

from porchflow.functions.function_errors import FunctionUnavailable
from porchflow.functions.pods.member import FunctionPod, Standing
from porchflow.functions.pods.pod_limits import Limits


class Group:
    """The pods of one image, and the calls that wait for one of them, in order.

    Attributes:
        pods: all pods of the image, those that are leaving or not ours to use too.
        creating: pods that are being created and not seen yet.
        blocked_until: before this no more pods are started besides those that work, because one could not be;
            `time.monotonic()`.
        problem: why a pod could not be started last; empty after one could.
    """

    def __init__(self, image: str, limits: Limits) -> None:
        """Begin without pods."""
        self.image = image
        self.limits = limits
        self.pods: dict[str, FunctionPod] = {}
        self.creating = 0
        self.blocked_until = 0.0
        self.failures = 0
        self.problem = ""
        self._waiting: deque[asyncio.Future[FunctionPod]] = deque()
        self._picks = 0

    @property
    def live(self) -> int:
        """Pods that there are or will be."""
        return self.creating + sum(pod.is_live for pod in self.pods.values())

    @property
    def usable(self) -> list[FunctionPod]:
        """Pods that can be given calls."""
        return [pod for pod in self.pods.values() if pod.is_usable]

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return sum(not future.done() for future in self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is worth remembering."""
        return not self.pods and not self.creating and not self.waiting

    def due(self, now: float) -> int:
        """How many pods to start now for those who wait."""
        if not self._may_grow(now):
            return 0
        wanted = math.ceil(self.waiting / self.limits.max_queue) - self.coming
        return max(0, min(wanted, self.limits.max_pods - self.live))

    def join(self) -> asyncio.Future[FunctionPod]:
        """Begin to wait; whoever gets a pod must `leave` it."""
        future: asyncio.Future[FunctionPod] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def forget(self, future: asyncio.Future[FunctionPod]) -> FunctionPod | None:
        """Stop waiting; returns the pod that was given meanwhile, if one was."""
        if future in self._waiting:
            self._waiting.remove(future)
        if future.done() and not future.cancelled() and future.exception() is None:
            return future.result()
        future.cancel()
        return None

    def serve(self, now: float) -> None:
        """Give pods to those who wait, in order, as far as there are."""
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            pod = self._best(now)
            if pod is None:
                return
            self._waiting.popleft().set_result(self.give(pod))

    def give(self, pod: FunctionPod) -> FunctionPod:
        """Count a call that goes to a pod."""
        self._picks += 1
        pod.picked = self._picks
        pod.calls += 1
        return pod

    def least(self) -> FunctionPod | None:
        """The pod with the least calls, whatever there are; those with as many take turns."""
        return min(self.usable, key=lambda pod: (pod.calls, pod.picked), default=None)

    def fail(self, error: Exception) -> None:
        """Tell all who wait that there will be no pod."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def unavailable(self, seconds: float, problem: str) -> FunctionUnavailable:
        """The error of a call that waited so long, with what is in the way, for all images or for this one."""
        told = {Standing.CURRENT, Standing.DOOMED}
        words = [
            f"pod {pod.name}: {pod.words}" for pod in self.pods.values() if pod.standing in told and not pod.is_usable
        ]
        words += [each for each in (problem, self.problem) if each]
        return FunctionUnavailable(
            self.image, f"no pod was ready within {seconds:g} s: {'; '.join(words) or 'none was started yet'}"
        )

    def trouble(self, old: float) -> str | None:
        """Why no pod can be called; empty if one can, None if that is not known yet.

        Args:
            old: seconds since 1970; a pod that was created before and cannot be called is in trouble.
        """
        if self.usable:
            return ""
        words = [
            f"pod {pod.name}: {pod.words}"
            for pod in self.pods.values()
            if pod.is_live and (pod.diagnosis.stuck or pod.created_at < old)
        ]
        return "; ".join([*words, *([self.problem] if self.problem else [])]) or None

    def unblock(self) -> None:
        """What kept pods from being started may be mended: try at once."""
        self.failures, self.blocked_until = 0, 0.0

    def _best(self, now: float) -> FunctionPod | None:
        """The pod for who waits longest; None to let it wait."""
        best = self.least()
        if best is None or best.calls < self.limits.max_queue:
            return best
        if self._may_grow(now) and self.live < self.limits.max_pods:
            return None
        # As many wait for each pod to come as there are calls in the best one; the first of them find it free.
        waits = max(self.limits.max_queue, best.calls) * self.coming
        return None if self.waiting <= waits else best

    @property
    def coming(self) -> int:
        """Pods that may soon be given calls."""
        # Pods that wait for room on a node may wait for ever: nobody counts on them.
        return self.creating + sum(pod.is_starting and not pod.diagnosis.stuck for pod in self.pods.values())

    def _may_grow(self, now: float) -> bool:
        if any(pod.is_live and pod.diagnosis.stuck for pod in self.pods.values()):
            return False
        return now >= self.blocked_until or not self.usable
