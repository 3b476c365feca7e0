"""Discovery of the API, in the two forms of Kubernetes (API concepts, "Discovery API")."""

from typing import Any, Final

from porchflow.api.names import PACKAGE_REVISION_RESOURCES_KIND, PACKAGE_REVISION_RESOURCES_PLURAL, PORCH_GROUP
from porchflow.content.serving.requests import VERSION

VERBS: Final = ("get", "list", "patch", "update", "watch")
_GROUP_VERSION: Final = f"{PORCH_GROUP}/{VERSION}"
_DISCOVERY_GROUP: Final = "apidiscovery.k8s.io"

_VERSION_ENTRY: Final = {"groupVersion": _GROUP_VERSION, "version": VERSION}

API_GROUP: Final[dict[str, Any]] = {
    "kind": "APIGroup",
    "apiVersion": "v1",
    "name": PORCH_GROUP,
    "versions": [_VERSION_ENTRY],
    "preferredVersion": _VERSION_ENTRY,
}
"""Answer of `/apis/porch.kpt.dev`."""

API_GROUPS: Final[dict[str, Any]] = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [API_GROUP]}
"""Answer of `/apis` in the older form."""

API_RESOURCES: Final[dict[str, Any]] = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": _GROUP_VERSION,
    "resources": [
        {
            "name": PACKAGE_REVISION_RESOURCES_PLURAL,
            "singularName": PACKAGE_REVISION_RESOURCES_PLURAL,
            "namespaced": True,
            "kind": PACKAGE_REVISION_RESOURCES_KIND,
            "verbs": list(VERBS),
        }
    ],
}
"""Answer of `/apis/porch.kpt.dev/v1alpha1`."""


def aggregated(version: str) -> dict[str, Any]:
    """Return the answer of `/apis` in the newer form, which holds every group, version and resource."""
    resource = {
        "resource": PACKAGE_REVISION_RESOURCES_PLURAL,
        "responseKind": {"group": PORCH_GROUP, "version": VERSION, "kind": PACKAGE_REVISION_RESOURCES_KIND},
        "scope": "Namespaced",
        "singularResource": PACKAGE_REVISION_RESOURCES_PLURAL,
        "verbs": list(VERBS),
    }
    versions = [{"version": VERSION, "resources": [resource], "freshness": "Current"}]
    item = {"metadata": {"name": PORCH_GROUP, "creationTimestamp": None}, "versions": versions}
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"{_DISCOVERY_GROUP}/{version}",
        "metadata": {},
        "items": [item],
    }


def aggregated_type(version: str) -> str:
    """Return the media type of the newer form."""
    return f"application/json;g={_DISCOVERY_GROUP};v={version};as=APIGroupDiscoveryList"


def wanted_version(accept: str) -> str:
    """Return the version of the newer form that a client accepts first; empty for the older form."""
    for entry in accept.split(","):
        media, *parameters = [part.strip() for part in entry.split(";")]
        given = dict(part.partition("=")[::2] for part in parameters)
        if media != "application/json":
            continue
        if given.get("as") == "APIGroupDiscoveryList" and given.get("g") == _DISCOVERY_GROUP:
            version = given.get("v", "")
            if version in {"v2", "v2beta1"}:
                return version
        elif "as" not in given:
            return ""
    return ""
