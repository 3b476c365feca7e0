"""PackageRevisionResources objects: everything but the content.

Source: docs/reference/porch-api.md, "PackageRevisionResources".
"""

import json
import uuid
from typing import Any, Final, Protocol

from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.names import CONTENT_API_VERSION, PACKAGE_REVISION_RESOURCES_KIND
from porchflow.content.packages.encoding import Encoded, dumps
from porchflow.kube.client import Object

HIDDEN_ANNOTATION: Final = "porchflow.dev/hidden-files"
"""Names, as a JSON list, the files that text cannot represent; a push leaves them as they are."""

_UID_SPACE: Final = uuid.UUID("aac71d91-5c67-456f-8fd2-902ef6da820e")

RENDER_STATUS: Final = {"renderStatus": {"result": {"metadata": {}, "exitCode": 0}, "error": ""}}
"""Always present and always empty: rendering follows the push, and the PackageRevision reports it."""


class Shown(Protocol):
    """A package revision with a version of its content."""

    @property
    def obj(self) -> Object:
        """The PackageRevision as the API server returned it."""

    @property
    def revision(self) -> PackageRevision:
        """The same object, typed."""

    @property
    def name(self) -> str:
        """Name of the object."""

    @property
    def namespace(self) -> str:
        """Namespace of the object."""

    @property
    def commit(self) -> str:
        """The resource version of the content."""


def metadata_of(found: Shown, hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the metadata; the resource version is the commit that holds the content."""
    theirs = found.obj["metadata"]
    metadata = {
        "name": found.name,
        "namespace": found.namespace,
        "uid": uid_of(found.namespace, found.name),
        "resourceVersion": found.commit,
        "creationTimestamp": theirs.get("creationTimestamp"),
    }
    if labels := theirs.get("labels"):
        metadata["labels"] = labels
    if hidden:
        metadata["annotations"] = {HIDDEN_ANNOTATION: json.dumps(list(hidden), ensure_ascii=False)}
    return metadata


def uid_of(namespace: str, name: str) -> str:
    """Return the object's uid, derived from its namespace and name as in Porch."""
    return str(uuid.uuid5(_UID_SPACE, f"packagerevision:{CONTENT_API_VERSION}/{namespace}/{name}".lower()))


def spec_of(found: Shown) -> dict[str, Any]:
    """Return the spec without the content."""
    spec = found.revision.spec
    return {
        "packageName": spec.package_name,
        "workspaceName": spec.workspace_name,
        "revision": found.revision.status.revision or 0,
        "repository": spec.repository,
    }


def object_pieces(found: Shown, content: Encoded) -> list[bytes]:
    """Return an object as JSON, in pieces that are not copied."""
    head = {
        "kind": PACKAGE_REVISION_RESOURCES_KIND,
        "apiVersion": CONTENT_API_VERSION,
        "metadata": metadata_of(found, content.hidden),
        "status": RENDER_STATUS,
    }
    before = dumps(head)[:-1] + b',"spec":' + dumps(spec_of(found))[:-1] + f',"{content.field}":'.encode()
    return [before, *content.resources, b"}}"]
