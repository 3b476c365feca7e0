"""The pods of one image, for one owner or for all, and the calls that wait for them.

Says which call gets which pod, and when to start another.
"""

import asyncio
import math
from collections import deque

from porchflow.functions.function_errors import FunctionUnavailable
from porchflow.functions.pods.member import FunctionPod, Standing
from porchflow.functions.pods.pod_limits import Limits


class Group:
    """The pods of one image, and the calls that wait for one of them, in order.

    Attributes:
        image: Full name of the image.
        owner: The namespace whose own credentials open the image, and whose calls alone the pods serve; empty for the
            pods that serve all others.
        limits: Its limits of pods and calls.
        pods: All pods of the image by name, also those that are being deleted or that this runner does not use.
        creating: Pods under creation that the watch has not shown yet.
        blocked_until: After a failed start no pod starts before this `time.monotonic()`, if another one works.
        failures: Failed starts since the last pod that worked.
        problem: Why the last start of a pod failed; empty after a success.
    """

    def __init__(self, image: str, limits: Limits, owner: str = "") -> None:
        """Create a group without pods."""
        self.image = image
        self.owner = owner
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
        """Number of live pods, including those under creation."""
        return self.creating + sum(pod.is_live for pod in self.pods.values())

    @property
    def usable(self) -> list[FunctionPod]:
        """Pods that can be given calls."""
        return [pod for pod in self.pods.values() if pod.is_usable]

    @property
    def waiting(self) -> int:
        """Number of waiting calls."""
        return sum(not future.done() for future in self._waiting)

    @property
    def is_idle(self) -> bool:
        """Whether it has neither pods nor waiting calls, and may be dropped."""
        return not self.pods and not self.creating and not self.waiting

    def due(self, now: float) -> int:
        """Return the number of pods to start now for the waiting calls."""
        if not self._may_grow(now):
            return 0
        wanted = math.ceil(self.waiting / self.limits.max_queue) - self.coming
        return max(0, min(wanted, self.limits.max_pods - self.live))

    def join(self) -> asyncio.Future[FunctionPod]:
        """Add a waiting call; the future gets its pod, which counts the call until the caller leaves it."""
        future: asyncio.Future[FunctionPod] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def forget(self, future: asyncio.Future[FunctionPod]) -> FunctionPod | None:
        """Remove a waiting call.

        Returns:
            The pod that the call was given meanwhile; None if there is none.
        """
        if future in self._waiting:
            self._waiting.remove(future)
        if future.done() and not future.cancelled() and future.exception() is None:
            return future.result()
        future.cancel()
        return None

    def serve(self, now: float) -> None:
        """Give pods to the waiting calls, in order, while pods have room."""
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            pod = self._best(now)
            if pod is None:
                return
            self._waiting.popleft().set_result(self.give(pod))

    def give(self, pod: FunctionPod) -> FunctionPod:
        """Count a call of a pod, and return the pod."""
        self._picks += 1
        pod.picked = self._picks
        pod.calls += 1
        return pod

    def least(self) -> FunctionPod | None:
        """Return the usable pod with the fewest calls, however many; pods with equally many take turns."""
        return min(self.usable, key=lambda pod: (pod.calls, pod.picked), default=None)

    def fail(self, error: Exception) -> None:
        """Fail all waiting calls."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)

    def unavailable(self, seconds: float, problem: str) -> FunctionUnavailable:
        """Return the error of a call that waited too long, with all obstacles.

        Args:
            seconds: Seconds that the call waited.
            problem: The obstacle for the pods of all images; empty for none.
        """
        told = {Standing.CURRENT, Standing.DOOMED}
        words = [
            f"pod {pod.name}: {pod.words}" for pod in self.pods.values() if pod.standing in told and not pod.is_usable
        ]
        words += [each for each in (problem, self.problem) if each]
        return FunctionUnavailable(
            self.image, f"no pod was ready within {seconds:g} s: {'; '.join(words) or 'none was started yet'}"
        )

    def trouble(self, old: float) -> str | None:
        """Return why no pod can be called; empty if one can, None if that is not known yet.

        Args:
            old: Seconds since 1970; a pod that was created earlier and cannot be called counts as failed.
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
        """Let pods start at once again, as the cause of failures may be mended."""
        self.failures, self.blocked_until = 0, 0.0

    def _best(self, now: float) -> FunctionPod | None:
        """Return the pod for the call that waits longest; None to let it wait."""
        best = self.least()
        if best is None or best.calls < self.limits.max_queue:
            return best
        if self._may_grow(now) and self.live < self.limits.max_pods:
            return None
        # Each coming pod may have as many waiting calls as the best pod has calls: there they find a free pod first.
        waits = max(self.limits.max_queue, best.calls) * self.coming
        return None if self.waiting <= waits else best

    @property
    def coming(self) -> int:
        """Number of pods that may soon get calls."""
        # Pods that wait for room on a node do not count: they may wait for ever.
        return self.creating + sum(pod.is_starting and not pod.diagnosis.stuck for pod in self.pods.values())

    def _may_grow(self, now: float) -> bool:
        if any(pod.is_live and pod.diagnosis.stuck for pod in self.pods.values()):
            return False
        return now >= self.blocked_until or not self.usable
