"""The type that a text has in a field: that which the API server reads there, where it is known.

Setters and other functions have texts (`8080`, `true`) for fields that may be numbers. The schemas that come with
porchflow say what fields of Kubernetes' own kinds hold; the labels and annotations of every kind are texts.
"""

import json
from collections.abc import Sequence
from functools import cache

from porchflow.functions.builtin.toolkit.kubernetes_schemas import definitions, versions
from porchflow.functions.builtin.toolkit.sdk import Item
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.scalars import resolve_plain

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TEXT = "string"
_TEMPLATES = ("podAnnotations", "podLabels")
"""Maps of texts by what they are called in many custom resources."""


def typed(text: str, item: Item, path: Sequence[str | int], otherwise: Value) -> Value:
    """Return a text as the value of a field of a resource.

    Args:
        text: As it would be written without quotes.
        item: The resource.
        path: Keys and indices from its root; elements of lists may be named by anything.
        otherwise: The value for a field whose type is not known, or has no room for the text's.
    """
    plain = resolve_plain(text)
    if isinstance(plain, str):
        return text
    types = _types_of(item, path)
    if types is None:
        return otherwise
    if types & _names_of(plain):
        return plain
    return text if _TEXT in types else otherwise


def _names_of(value: Value) -> set[str]:
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return {"integer", "number"}
    return {"number"} if isinstance(value, float) else set()


def _types_of(item: Item, path: Sequence[str | int]) -> set[str] | None:
    """Return the names of the types that a field may have, as JSON schemas call them; None for those not known."""
    if path and path[0] == "metadata":
        return _descend(_definitions()[_OBJECT_META], path[1:])
    found = _kinds().get((item.api_version, item.kind))
    if found is not None:
        return _descend(_definitions()[found], path)
    return {_TEXT} if _is_map_of_texts(path) else None


def _is_map_of_texts(path: Sequence[str | int]) -> bool:
    """Return whether a field of a custom resource lies in the labels or annotations of a template, or in a selector."""
    above = path[-2:-1]
    if above and above[0] in ("matchLabels", "nodeSelector", *_TEMPLATES):
        return True
    return len(path) > len(_METADATA) and path[-3] == "metadata" and path[-2] in ("labels", "annotations")


_METADATA = ("metadata", "labels")


def _descend(schema: Value, path: Sequence[str | int]) -> set[str] | None:
    for step in path:
        schema = _resolved(schema)
        if "items" in schema:
            schema = schema["items"]
        elif step in map_of(schema, "properties"):
            schema = schema["properties"][step]
        else:
            schema = schema.get("additionalProperties")
        if not isinstance(schema, dict):
            return None
    return _types(_resolved(schema)) or None


def _resolved(schema: Value) -> dict[str, Value]:
    while isinstance(schema, dict) and "$ref" in schema:
        schema = _definitions()[schema["$ref"].rpartition("/")[2]]
    return schema if isinstance(schema, dict) else {}


def _types(schema: dict[str, Value]) -> set[str]:
    listed = schema.get("type", [])
    found = {listed} if isinstance(listed, str) else set(listed)
    for choice in schema.get("oneOf", []):
        found |= _types(choice)
    return found - {"null"}


@cache
def _definitions() -> dict[str, Value]:
    newest = list(versions().values())[-1]
    found: dict[str, Value] = json.loads(definitions(newest))["$defs"]
    return found


@cache
def _kinds() -> dict[tuple[str, str], str]:
    """Return the names of the definitions of kinds by API version and kind."""
    return {
        (version, kind): name
        for name, schema in _definitions().items()
        for kind in map_of(schema, "properties", "kind").get("enum", [])
        for version in map_of(schema, "properties", "apiVersion").get("enum", [])
    }
