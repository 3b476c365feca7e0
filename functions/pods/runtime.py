"""Functions in pods of their images.

Source: docs/reference/porch-function-runner.md, "Pods".
"""

from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound, FunctionUnavailable
from porchflow.functions.pods.diagnosis import killed_for_memory, restarts
from porchflow.functions.pods.member import FunctionPod
from porchflow.functions.pods.pool import PodPool
from porchflow.functions.pods.wrapper_connection import PodLost
from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.private import PrivateImages
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

_ATTEMPTS = 3
_KILLS = 2
"""Pods that run out of memory during a call until the call counts as the cause."""
_TELL_SECONDS = 2.0
"""Seconds to wait for the API server's report of a lost pod."""


class PodRuntime:
    """Runs any image in pods, which stay for the next call."""

    def __init__(
        self,
        pool: PodPool,
        configs: FunctionConfigs,
        allowed: AllowedImages | None = None,
        private: PrivateImages | None = None,
    ) -> None:
        """Create a runtime over a pool.

        Args:
            pool: The pods.
            configs: FunctionConfigs; no image is looked up before all are listed.
            allowed: Images that may run; None for all.
            private: Images that run on behalf of some namespaces only; None for none.
        """
        self._private = private or PrivateImages()
        self._allowed = allowed or AllowedImages()
        self._pool = pool
        self._configs = configs

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `porchflow.functions.runner.evaluators.FunctionRuntime`.

        The time limit begins once the pod has the call; the wait for the pod has a limit of its own. A call whose pod
        goes away is given to another pod, since functions have no side effects.
        """
        if not self._configs.complete:
            raise FunctionNotFound(image)
        # The look-up of the image checks it too. But a pod that was started under other settings needs no look-up.
        self._allowed.check(image)
        self._private.check(image)
        kills, words = 0, ""
        for _ in range(_ATTEMPTS):
            async with self._pool.lease(image, time_limit) as pod:
                before = restarts(pod.manifest)
                try:
                    return await _call(pod, image, resource_list, time_limit)
                except PodLost as lost:
                    words = f"pod {pod.name} was lost: {lost}"
                await pod.next_seen(_TELL_SECONDS)
                kills += killed_for_memory(pod.manifest, before)
                self._pool.doom(pod)
            if kills == _KILLS:
                raise FunctionFailed(image, f"function {image!r} was killed: its pods ran out of memory", exit_code=137)
        raise FunctionUnavailable(image, f"{words}; so were {_ATTEMPTS - 1} others before")


async def _call(pod: FunctionPod, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
    if pod.connection is None:
        raise PodLost("its container ended")
    return await pod.connection.evaluate(image, resource_list, time_limit)
