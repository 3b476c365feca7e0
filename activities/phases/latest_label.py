"""The label that marks the newest published revision of a package."""

from typing import Any

from porchflow.api.names import LATEST_REVISION_LABEL
from porchflow.api.packagerevision import PackageRevision
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS


class LatestLabel:
    """Sets `porch.kpt.dev/latest-revision` on all revisions of a package."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def refresh(self, obj: dict[str, Any]) -> None:
        """Set the label to "true" on the highest published revision of the object's package, else to "false".

        A revision that is being deleted does not count.

        The list is read again after every change: of two workers that publish at the same time, the last to read sees
        both revisions and corrects the other's label. A package of one revision is not read again: a second one sets
        the labels when it is published.

        Args:
            obj: Any revision of the package, raw.

        Raises:
            KubeError: The API server cannot be reached or refuses.
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
