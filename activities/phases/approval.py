"""Who approved: what the API server wrote down when somebody published, and nothing that a client could have."""

import time
from collections.abc import Mapping
from typing import Any

from porchflow.api.names import APPROVED_BY_ANNOTATION, RECORDS_POLICY
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, NotFound, NotServed
from porchflow.kube.kinds import MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS

_KNOWN_SECONDS = 60.0
"""How long the policy is taken to be there: an administrator who takes it away can do more than that."""


class Approvals:
    """Tells approvers from annotations that anybody can write."""

    def __init__(self, kube: KubeClient) -> None:
        """Take the API client."""
        self._kube = kube
        self._installed_until = 0.0

    async def fields(self, annotations: Mapping[str, str]) -> dict[str, Any]:
        """Return `publishedBy` of a published revision.

        Nothing is said where the API server does not write approvers down: what stands in the annotation then is what
        somebody wrote there, and what the status says already is kept.

        Raises:
            KubeError: The API server cannot be reached.
        """
        approver = annotations.get(APPROVED_BY_ANNOTATION)
        if not approver or not await self._installed():
            return {}
        return {"publishedBy": approver}

    async def _installed(self) -> bool:
        if time.monotonic() < self._installed_until:
            return True
        try:
            for resource in (MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS):
                await self._kube.get(resource, None, RECORDS_POLICY)
        except (NotFound, NotServed, Forbidden):
            return False
        self._installed_until = time.monotonic() + _KNOWN_SECONDS
        return True
