"""The label that marks the newest published revision of a package."""

from typing import Any

from porchflow.api.names import LATEST_REVISION_LABEL
from porchflow.api.packagerevision import PackageRevision
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS


class LatestLabel:
    """Keeps `porch.kpt.dev/latest-revision` right on all revisions of a package."""

    def __init__(self, kube: KubeClient) -> None:
        """Take the API client."""
        self._kube = kube

    async def refresh(self, obj: dict[str, Any]) -> None:
        """Set the label to "true" on the highest published revision of the object's package, else to "false".

        A revision that is being deleted does not count.

        Looks again after every change: of two workers that publish at the same time, the one that looks last sees both
        revisions, and mends what the other did. A package of one revision needs no second look: whatever appears now
        looks for itself long after this.

        Args:
            obj: Any revision of the package.
        """
        namespace, spec = obj["metadata"]["namespace"], obj["spec"]
        selector = f"spec.repository={spec['repository']},spec.packageName={spec['packageName']}"
        changed = True
        while changed:
            changed = False
            found = [item async for item in self._kube.list_all(PACKAGEREVISIONS, namespace, field_selector=selector)]
            latest = _latest(found)
            for item in found:
                changed |= await self._label(item, "true" if item["metadata"]["name"] == latest else "false")
            changed &= len(found) > 1

    async def _label(self, item: dict[str, Any], value: str) -> bool:
        metadata = item["metadata"]
        if "deletionTimestamp" in metadata or (metadata.get("labels") or {}).get(LATEST_REVISION_LABEL) == value:
            return False
        try:
            await self._kube.merge_patch(
                PACKAGEREVISIONS,
                metadata["namespace"],
                metadata["name"],
                {"metadata": {"labels": {LATEST_REVISION_LABEL: value}}},
            )
        except NotFound:
            return False
        return True


def _latest(items: list[dict[str, Any]]) -> str:
    published = []
    for item in items:
        revision = PackageRevision.model_validate(item)
        lifecycle, number = revision.spec.lifecycle, revision.status.revision or 0
        if (
            "deletionTimestamp" not in item["metadata"]
            and lifecycle is not None
            and lifecycle.is_published
            and number > 0
        ):
            published.append((number, item["metadata"]["name"]))
    return max(published, default=(0, ""))[1]
