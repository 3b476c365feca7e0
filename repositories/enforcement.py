"""Whether the API server enforces an admission policy of ours: what it guards may be believed only then."""

import time
from typing import Any

from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, NotFound, NotServed
from porchflow.kube.kinds import Resource

_KNOWN_SECONDS = 60.0
"""How long a policy is taken to be there: an administrator who takes it away can do more than that."""


class Enforcement:
    """Looks whether one policy is installed, and bound so that it holds everywhere."""

    def __init__(self, kube: KubeClient, policy: Resource, binding: Resource, name: str) -> None:
        """Take the API client, the kinds of the policy and of its binding, and the name of both."""
        self._kube = kube
        self._policy = policy
        self._binding = binding
        self._name = name
        self._until = 0.0

    async def holds(self) -> bool:
        """Say whether the API server enforces the policy; not where that cannot be seen.

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
    """Whether a binding is to the policy, and neither warns instead of refusing nor leaves objects out."""
    spec = binding.get("spec") or {}
    # A policy that mutates has no actions to choose from.
    acts = "Deny" in spec.get("validationActions", ["Deny"])
    return spec.get("policyName") == policy and acts and not spec.get("matchResources")
