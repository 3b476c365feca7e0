"""Removal of pods that are unused or never got ready."""

from collections.abc import Callable

from porchflow.functions.pods.background import Background
from porchflow.functions.pods.diagnosis import PodPhase
from porchflow.functions.pods.group import Group
from porchflow.functions.pods.member import FunctionPod, Standing
from porchflow.functions.pods.pull_secrets import waits_for_secret

_STUCK_AFTER = 5
"""A pod that does not start is replaced after the start timeout times this; its image may be large."""
_SECRET_SECONDS = 30.0
"""A pod that waits longer for its pull secret has lost the runner that would create it."""


class Upkeep:
    """Removes superfluous pods of groups."""

    def __init__(self, background: Background, start_timeout: float, clock: Callable[[], float]) -> None:
        """Create the upkeep of a pool.

        Args:
            background: Deletes pods and records their use.
            start_timeout: Seconds that a call waits for a pod.
            clock: Seconds since 1970.
        """
        self._background = background
        self._start_timeout = start_timeout
        self._clock = clock

    def collect(self, group: Group, keep: int) -> None:
        """Remove the superfluous pods of a group.

        Args:
            group: The pods of an image.
            keep: Unused pods to keep.
        """
        now = self._clock()
        for pod in list(group.pods.values()):
            if pod.diagnosis.phase is PodPhase.LEAVING:
                continue
            if pod.calls:
                self._background.touch(pod, group.limits.time_to_live)
            elif pod.is_ending or self._never_starts(pod, now):
                pod.standing = Standing.DOOMED
                self._background.delete(pod)
            elif pod.standing is not Standing.CURRENT and now - pod.used_at > group.limits.time_to_live:
                self._background.delete(pod, pod.version)
        self._collect_unused(group, keep, now)

    def _never_starts(self, pod: FunctionPod, now: float) -> bool:
        seconds = _SECRET_SECONDS if waits_for_secret(pod.manifest) else self._start_timeout * _STUCK_AFTER
        return pod.is_live and pod.connection is None and pod.created_at < now - seconds

    def _collect_unused(self, group: Group, keep: int, now: float) -> None:
        # Sorted by name, so that all runners remove and keep the same pods.
        live = sorted((pod for pod in group.pods.values() if pod.is_live), key=lambda pod: (len(pod.name), pod.name))
        for index, pod in enumerate(live):
            expired = index >= keep and now - pod.used_at > group.limits.time_to_live
            if not pod.calls and (expired or index >= group.limits.max_pods):
                # With the version: a runner that began to use the pod meanwhile has recorded that in it.
                self._background.delete(pod, pod.version)
