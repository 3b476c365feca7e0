"""Client side of Porch's v1alpha1 API.

Source: docs/reference/porch-api.md, "PackageRevisions of v1alpha1".
"""

from collections.abc import AsyncIterator
from typing import Any, Final

from porchflow.api.names import CONTENT_API_VERSION, PACKAGE_REVISION_KIND, PACKAGE_REVISION_PLURAL, PORCH_GROUP
from porchflow.cli.migrate.models import Revision
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotServed
from porchflow.kube.kinds import Resource

_VERSION: Final = CONTENT_API_VERSION.partition("/")[2]
V1ALPHA1_REVISIONS: Final = Resource(PORCH_GROUP, _VERSION, PACKAGE_REVISION_PLURAL, PACKAGE_REVISION_KIND)
V1ALPHA1_RESOURCES: Final = Resource(PORCH_GROUP, _VERSION, "packagerevisionresources", "PackageRevisionResources")

_OWN = ("kpt.dev/", "porch.kpt.dev/", "internal.kpt.dev/", "kubectl.kubernetes.io/")
"""Prefixes of labels and annotations that Porch and kubectl set; all others are users'."""


async def revisions_of(porch: KubeClient, namespace: str, repository: str) -> AsyncIterator[tuple[str, Revision]]:
    """Read the package revisions of a Repository, by name.

    Raises:
        KubeError: Porch cannot be reached or refuses; `NotServed` where the cluster has no Porch.
    """
    if not await porch.serves(V1ALPHA1_REVISIONS):
        # The content API serves this version too, without package revisions: their list would be empty, not refused.
        raise NotServed(
            f"{PACKAGE_REVISION_PLURAL}.{PORCH_GROUP} of version {_VERSION} are not served: there is no Porch here to"
            " migrate from"
        )
    # The whole namespace is read: field selectors differ between versions of Porch, and the objects have no labels.
    async for obj in porch.list_all(V1ALPHA1_REVISIONS, namespace):
        if (obj.get("spec") or {}).get("repository") == repository:
            yield obj["metadata"]["name"], revision_of(obj)


def revision_of(obj: dict[str, Any]) -> Revision:
    """Return the revision that a raw v1alpha1 PackageRevision describes."""
    spec, metadata = obj["spec"], obj["metadata"]
    return Revision(
        package=spec.get("packageName", ""),
        workspace=spec.get("workspaceName", ""),
        lifecycle=spec.get("lifecycle") or "Draft",
        revision=_number(spec.get("revision")),
        labels=_of_users(metadata.get("labels")),
        annotations=_of_users(metadata.get("annotations")),
    )


async def content_of(porch: KubeClient, namespace: str, name: str) -> dict[str, str]:
    """Read the files of a package revision, by path.

    Raises:
        KubeError: Porch cannot be reached or refuses.
    """
    obj = await porch.get(V1ALPHA1_RESOURCES, namespace, name)
    return dict((obj.get("spec") or {}).get("resources") or {})


def _number(value: object) -> int:
    """Return the number of a revision, which older versions of Porch write as text such as `v1`; 0 for none."""
    text = str(value or "").removeprefix("v")
    return int(text) if text.removeprefix("-").isdigit() else 0


def _of_users(values: dict[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (values or {}).items() if not key.startswith(_OWN)}
