"""Approvers and proposers: what the API server wrote down, and nothing that a client could have."""

from collections.abc import Mapping

from porchflow.api.names import APPROVED_BY_ANNOTATION, PROPOSED_BY_ANNOTATION, RECORDS_POLICY
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS
from porchflow.repositories.enforcement import Enforcement


class Approvals:
    """Tells approvers and proposers from annotations that anybody can write."""

    def __init__(self, kube: KubeClient) -> None:
        """Take the API client."""
        self._records = Enforcement(kube, MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS, RECORDS_POLICY)

    async def approver(self, annotations: Mapping[str, str]) -> str:
        """Return who published; empty where nobody knows.

        Nothing is said where the API server does not write approvers down: what stands in the annotation then is what
        somebody wrote there.

        Raises:
            KubeError: The API server cannot be reached.
        """
        return await self._recorded(annotations, APPROVED_BY_ANNOTATION)

    async def proposer(self, annotations: Mapping[str, str]) -> str:
        """Return who proposed last; as `approver`."""
        return await self._recorded(annotations, PROPOSED_BY_ANNOTATION)

    async def _recorded(self, annotations: Mapping[str, str], key: str) -> str:
        name = annotations.get(key, "")
        return name if name and await self._records.holds() else ""
