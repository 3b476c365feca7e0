"""The label that marks the newest published revision of a package."""

from collections.abc import Mapping
from typing import Any

from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.names import LATEST_REVISION_LABEL, NEWER_REVISION_ANNOTATION
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS

_MAY_STAND_ALONE = (0, 1)
"""Numbers of revisions whose worker may write the label without a list: the first, or one that has no number yet."""


class LatestLabel:
    """Sets `porch.kpt.dev/latest-revision` on all revisions of a package."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def refresh(self, obj: dict[str, Any], *, is_first: bool = False) -> None:
        """Set the label to "true" on the highest published revision of the object's package, else to "false".

        A revision that is being deleted does not count.

        The list is read again after every change: of two workers that publish at the same time, the last to read sees
        both revisions and corrects the other's label. A package of one revision is not read again: a second one sets
        the labels when it is published.

        The API server compares every object of the namespace for such a list. So the first revision of a package goes
        without one. Whichever revision is published next marks it: a label that is still to be written is not, and its
        worker reads the list too.

        Args:
            obj: Any revision of the package, raw, as last written.
            is_first: Whether the object was published now, while Git held no other published revision of the package.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        if not (is_first and await self._label_alone(obj)):
            await self._label_all(obj)

    async def _label_alone(self, obj: dict[str, Any]) -> bool:
        """Set the label of the only revision; return False where another one was published meanwhile."""
        metadata = obj["metadata"]
        if "deletionTimestamp" in metadata or NEWER_REVISION_ANNOTATION in (metadata.get("annotations") or {}):
            return False
        try:
            await self._label(obj, "true", resourceVersion=metadata["resourceVersion"])
        except Conflict:
            return False
        return True

    async def _label_all(self, obj: dict[str, Any]) -> None:
        namespace, spec = obj["metadata"]["namespace"], obj["spec"]
        selector = f"spec.repository={spec['repository']},spec.packageName={spec['packageName']}"
        changed = True
        while changed:
            changed = False
            found = [item async for item in self._kube.list_all(PACKAGEREVISIONS, namespace, field_selector=selector)]
            published = {each["metadata"]["name"]: number for each in found if (number := _published(each)) is not None}
            latest = max(published, key=lambda name: published[name], default="")
            published.setdefault(latest, 0)
            for item in found:
                name = item["metadata"]["name"]
                marks = {}
                if published[latest] and published.get(name) in _MAY_STAND_ALONE and name != latest:
                    marks = {NEWER_REVISION_ANNOTATION: str(published[latest])}
                changed |= await self._label(item, "true" if name == latest and published[name] else "false", marks)
            changed &= len(found) > 1

    async def _label(
        self, item: dict[str, Any], value: str, marks: Mapping[str, str] | None = None, **precondition: str
    ) -> bool:
        """Write what an object lacks; return whether it lacked anything."""
        metadata = item["metadata"]
        patch: dict[str, Any] = {}
        if (metadata.get("labels") or {}).get(LATEST_REVISION_LABEL) != value:
            patch["labels"] = {LATEST_REVISION_LABEL: value}
        if marks and not marks.keys() <= (metadata.get("annotations") or {}).keys():
            patch["annotations"] = marks
        if not patch or "deletionTimestamp" in metadata:
            return False
        try:
            await self._kube.merge_patch(
                PACKAGEREVISIONS, metadata["namespace"], metadata["name"], {"metadata": {**patch, **precondition}}
            )
        except NotFound:
            return False
        return True


def _published(item: dict[str, Any]) -> int | None:
    """Return the number of a published revision, 0 while none is reported.

    Returns:
        None for one that does not count: it is no published one, is being deleted, or is the content of the branch,
        which has the number -1.
    """
    revision = PackageRevision.model_validate(item)
    lifecycle, number = revision.spec.lifecycle, revision.status.revision or 0
    if "deletionTimestamp" in item["metadata"] or lifecycle is None or not lifecycle.is_published or number < 0:
        return None
    return number
