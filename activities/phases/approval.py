"""Approvers and proposers, as the API server recorded them."""

from collections.abc import Mapping

from porchflow.api.names import APPROVED_BY_ANNOTATION, PROPOSED_BY_ANNOTATION, RECORDS_POLICY
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS
from porchflow.repositories.enforcement import Enforcement


class Approvals:
    """Reads approvers and proposers from annotations, only while an admission policy protects these.

    Without the policy any user could write any name there.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._records = Enforcement(kube, MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS, RECORDS_POLICY)

    async def approver(self, annotations: Mapping[str, str]) -> str:
        """Return the name of the user who set Published; empty where the API server does not record it.

        Args:
            annotations: Of the PackageRevision.

        Raises:
            KubeError: The API server cannot be reached.
        """
        return await self._recorded(annotations, APPROVED_BY_ANNOTATION)

    async def proposer(self, annotations: Mapping[str, str]) -> str:
        """Return the name of the user who proposed last; see `approver`."""
        return await self._recorded(annotations, PROPOSED_BY_ANNOTATION)

    async def _recorded(self, annotations: Mapping[str, str], key: str) -> str:
        name = annotations.get(key, "")
        return name if name and await self._records.holds() else ""
