"""The check that a YAML document is a Kubernetes resource, and readers of fields of its value."""

from posixpath import basename

from porchflow.yamltext.nodes import Value
from porchflow.yamltext.quoting import shown

_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def krm_problem(path: str, value: Value) -> str:
    """Return why a document is not a resource, in kpt's words; empty if it is one.

    Kustomization files are exempt: they have no name.
    """
    if not isinstance(value, dict):
        return "resource must have `apiVersion`, `kind`, and `name`"
    if is_kustomization(path, value):
        return ""
    for field in ("apiVersion", "kind"):
        if not text_of(value, field):
            return f"resource must have `{field}`{_as_text(value.get(field))}"
    if text_of(value, "metadata", "name"):
        return ""
    if isinstance(value.get("items"), list):
        return "resource must have `metadata.name`; write the items of a list as documents of their own"
    return f"resource must have `metadata.name`{_as_text(map_of(value, 'metadata').get('name'))}"


def _as_text(value: Value) -> str:
    """Return how to mend a value that is no string; empty for a missing value or a string."""
    if value is None or isinstance(value, str):
        return ""
    return " as a text" if isinstance(value, dict | list) else f' as a text: write "{shown(str(value))}" in quotes'


def is_kustomization(path: str, value: Value) -> bool:
    """Return whether kpt accepts the document without a name."""
    version, kind = text_of(value, "apiVersion"), text_of(value, "kind")
    if basename(path) in _KUSTOMIZATIONS or version.startswith("kustomize.config.k8s.io"):
        return True
    return not version and kind == "Kustomization"


def text_of(value: Value, *path: str) -> str:
    """Return the string at a path of keys; empty if there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def map_of(value: Value, *path: str) -> dict[str, Value]:
    """Return the mapping at a path of keys; empty if there is none."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def describe(value: Value) -> str:
    """Return the name of a resource for messages: `apiVersion/kind namespace/name`."""
    namespace, name = text_of(value, "metadata", "namespace"), text_of(value, "metadata", "name")
    return f"{text_of(value, 'apiVersion')}/{text_of(value, 'kind')} {namespace + '/' if namespace else ''}{name}"
