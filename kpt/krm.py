"""What makes a YAML document a Kubernetes resource, and small readers of its identity."""

from posixpath import basename

from kpt.yaml_nodes import Value

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def krm_problem(path: str, value: Value) -> str:
    """Why a document is not a resource, in kpt's words; empty if it is one.

    Kustomization files are exempt: they have no name.
    """
    if not isinstance(value, dict):
        return "resource must have `apiVersion`, `kind`, and `name`"
    if is_kustomization(path, value):
        return ""
    for field in ("apiVersion", "kind"):
        if not text_of(value, field):
            return f"resource must have `{field}`"
    return "" if text_of(value, "metadata", "name") else "resource must have `metadata.name`"


def is_kustomization(path: str, value: Value) -> bool:
    """Whether kpt lets the document pass without a name."""
    version, kind = text_of(value, "apiVersion"), text_of(value, "kind")
    if basename(path) in _KUSTOMIZATIONS or version.startswith("kustomize.config.k8s.io"):
        return True
    return not version and kind == "Kustomization"


def text_of(value: Value, *path: str) -> str:
    """The string at a path of keys; empty if there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def map_of(value: Value, *path: str) -> dict[str, Value]:
    """The mapping at a path of keys; empty if there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def describe(value: Value) -> str:
    """A resource in a message, as `apiVersion/kind namespace/name`."""
    namespace, name = text_of(value, "metadata", "namespace"), text_of(value, "metadata", "name")
    return f"{text_of(value, 'apiVersion')}/{text_of(value, 'kind')} {namespace + '/' if namespace else ''}{name}"
