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
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

_ATTEMPTS = 3
_KILLS = 2
"""How many pods a call may take with it before it is to blame."""
_TELL_SECONDS = 2.0
"""How long the API server gets to say what became of a pod that was lost."""


class PodRuntime:
    """Runs any image, in pods that stay for the next call."""

    def __init__(self, pool: PodPool, configs: FunctionConfigs, allowed: AllowedImages | None = None) -> None:
        """Take the pods, what FunctionConfigs say, and the images that may be run; None for all."""
        self._allowed = allowed or AllowedImages()
        self._pool = pool
        self._configs = configs

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `porchflow.functions.evaluators.FunctionRuntime`.

        The time limit counts from when the pod has the call; waiting for the pod has a limit of its own. A call whose
        pod goes away is given to another, since functions change nothing but their answer.
        """
        if not self._configs.complete:
            raise FunctionNotFound(image)
        # Here too: a pod of before may still be there.
        self._allowed.check(image)
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
