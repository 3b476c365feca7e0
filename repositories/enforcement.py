"""Whether the API server enforces an admission policy of ours: annotations that it guards count only then."""

import time
from typing import Any

from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, NotFound, NotServed
from porchflow.kube.kinds import Resource

_KNOWN_SECONDS = 60.0
"""Seconds until a policy is looked up again. Removing one needs more rights than this minute gives away."""


class Enforcement:
    """Looks up whether one policy is installed, and bound so that it holds for all objects."""

    def __init__(self, kube: KubeClient, policy: Resource, binding: Resource, name: str) -> None:
        """Create the look-up of one policy.

        Args:
            kube: Client of the API server.
            policy: Kind of the policy.
            binding: Kind of its binding.
            name: Of the policy and of the binding.
        """
        self._kube = kube
        self._policy = policy
        self._binding = binding
        self._name = name
        self._until = 0.0

    async def holds(self) -> bool:
        """Return whether the API server enforces the policy; False where the worker may not read it.

        Raises:
            KubeError: The API server cannot be reached.
        """
        if time.monotonic() < self._until:
            return True
        try:
            await self._kube.get(self._policy, None, self._name)
            binding = await self._kube.get(self._binding, None, self._name)
        except (NotFound, NotServed, Forbidden):
            return False
        if not _binds_everything(binding, self._name):
            return False
        self._until = time.monotonic() + _KNOWN_SECONDS
        return True


def _binds_everything(binding: dict[str, Any], policy: str) -> bool:
    """Whether a raw binding names the policy, denies instead of warning, and leaves no objects out."""
    spec = binding.get("spec") or {}
    # The binding of a mutating policy has no `validationActions`.
    acts = "Deny" in spec.get("validationActions", ["Deny"])
    return spec.get("policyName") == policy and acts and not spec.get("matchResources")
