"""The manifests of this version: what `deploy/` holds, with the components that somebody chooses."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from porchflow.api.names import RECORDS_POLICY
from porchflow.cli.manifests.kustomizations import Composition, read_manifests
from porchflow.kube.client import Object

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
NAMESPACE: Final = "porchflow-system"
"""The namespace that the manifests name."""
FUNCTIONS_NAMESPACE: Final = "porch-fn-system"
"""The namespace of FunctionConfigs and function pods, which Porch has too."""

IMAGE: Final = "porchflow"
"""Name of the image in the manifests."""
SETTINGS: Final = "porchflow-settings"
"""The ConfigMap with the settings of all processes; its name ends with a digest of them."""

_OWN_NAMESPACE: Final = re.compile(rf"(?<![\w-]){NAMESPACE}(?![\w-])")


def component_names() -> list[str]:
    """Return the names of the components, in the order of the alphabet."""
    return sorted(path.parent.name for path in (DEPLOY / "components").glob("*/kustomization.yaml"))


def composed(
    components: Sequence[str], *, settings: Mapping[str, str] | None = None, image: str = "", namespace: str = NAMESPACE
) -> list[Object]:
    """Return what a kustomization of deploy/ with components makes, without namespaces and CRDs.

    Args:
        components: Their names, of `component_names`; the order does not matter.
        settings: Entries of the ConfigMap with the settings, by variable.
        image: Reference of the image; empty for the one of this version.
        namespace: Namespace of the processes.
    """
    whole = Composition()
    whole.add(DEPLOY)
    for name in components:
        whole.add(DEPLOY / "components" / name)
    whole.objects = [_moved(one, namespace) for one in whole.objects]
    whole.merge_config(SETTINGS, namespace, settings or {})
    if image:
        whole.set_image(IMAGE, image)
    return whole.finished()


def namespace_manifests(namespace: str = NAMESPACE) -> list[Object]:
    """Return the Namespaces.

    Args:
        namespace: The namespace of the processes.
    """
    return [_moved(one, namespace) for one in _of_folder(DEPLOY / "namespaces")]


def crd_manifests() -> list[Object]:
    """Return the CustomResourceDefinitions of this version."""
    return [one for one in _of_folder(DEPLOY / "crds") if one["kind"] == "CustomResourceDefinition"]


def role_manifests() -> list[Object]:
    """Return the ClusterRoles of people: viewer, author and approver."""
    return read_manifests(DEPLOY / "base" / "roles.yaml")


def policy_manifests() -> list[Object]:
    """Return the policies before their bindings; those of `RECORDS_POLICY` come last among their kind.

    The API server loads policies in the order of their creation.
    """
    found = _of_folder(DEPLOY / "admission")
    found.sort(key=lambda one: (one["kind"].endswith("Binding"), one["metadata"]["name"] == RECORDS_POLICY))
    return found


def _of_folder(folder: Path) -> list[Object]:
    return [manifest for path in sorted(folder.rglob("*.yaml")) for manifest in read_manifests(path)]


def _moved(value: Any, namespace: str) -> Any:  # noqa: ANN401 - JSON
    """Return a value with another namespace wherever a text names ours, such as in host names and settings."""
    if isinstance(value, dict):
        return {key: _moved(each, namespace) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, namespace) for each in value]
    return _OWN_NAMESPACE.sub(namespace, value) if isinstance(value, str) else value
