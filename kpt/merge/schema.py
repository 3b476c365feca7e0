"""Which lists of which kinds are merged by element, from the Kubernetes schemas and the package's own CRDs.

`merge_keys.json` holds the facts of the Kubernetes schemas, see `generate.py`. A CRD of the package states the same
facts of its kind (`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`, and the patch extensions).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final

from porchflow.kpt.format.files import is_krm
from porchflow.kpt.format.krm import is_kustomization, map_of, text_of
from porchflow.kpt.merge.documents import parse_file
from porchflow.kpt.merge.shape import PLAIN, Keying, Shape, by_fields, by_value
from porchflow.kpt.merge.sides import LOCAL, NEW_UPSTREAM, OLD_UPSTREAM, Sides
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.nodes import Value

_CRD: Final = "CustomResourceDefinition"
_OBJECT_META: Final = "apimachinery.pkg.apis.meta.v1.ObjectMeta"
_BY_NAME: Final = Shape(keying=by_fields(["name"]))
_KUSTOMIZATION: Final = Shape(fields={"configMapGenerator": _BY_NAME, "secretGenerator": _BY_NAME})


class Schemas:
    """The shapes of the resources in a package."""

    def __init__(self, sides: Sides) -> None:
        self._sides = sides

    def shape_of(self, value: Value) -> Shape:
        """Return the shape of a resource; for an unknown kind only the metadata is known."""
        version, kind = text_of(value, "apiVersion"), text_of(value, "kind")
        if not version or not kind:
            return PLAIN
        if is_kustomization("", value):
            return _KUSTOMIZATION
        name = f"{version}/{kind}"
        return _known(name) or self._custom.get(name) or _with_metadata(PLAIN)

    @cached_property
    def _custom(self) -> dict[str, Shape]:
        """By `apiVersion/kind`; the new upstream wins over the local package, and that over the old upstream."""
        shapes: dict[str, Shape] = {}
        sides = ((OLD_UPSTREAM, self._sides.base), (LOCAL, self._sides.local), (NEW_UPSTREAM, self._sides.upstream))
        for side, files in sides:
            for path in sorted(files):
                if is_krm(path) and _CRD.encode() in files[path]:
                    shapes.update(_custom_shapes(side, path, files[path]))
        return shapes


def _custom_shapes(side: str, path: str, content: bytes) -> dict[str, Shape]:
    try:
        documents = parse_file(side, path, content).documents
    except InvalidPackage:
        # Another step decides whether the file itself can be merged.
        return {}
    shapes = {}
    for document in documents:
        spec = map_of(document.value, "spec")
        if text_of(document.value, "kind") != _CRD:
            continue
        versions = spec.get("versions")
        for version in versions if isinstance(versions, list) else []:
            name = f"{text_of(spec, 'group')}/{text_of(version, 'name')}/{text_of(spec, 'names', 'kind')}"
            shapes[name] = _with_metadata(_schema_shape(map_of(version, "schema", "openAPIV3Schema")))
    return shapes


def _schema_shape(schema: Mapping[str, Value]) -> Shape:
    properties = map_of(schema, "properties")
    fields = {name: _schema_shape(field) for name, field in properties.items() if isinstance(field, dict)}
    items = schema.get("items") or schema.get("additionalProperties")
    return Shape(_keying(schema), fields, _schema_shape(items) if isinstance(items, dict) else None)


def _keying(schema: Mapping[str, Value]) -> Keying | None:
    keys, kind = schema.get("x-kubernetes-list-map-keys"), schema.get("x-kubernetes-list-type")
    merged = "merge" in text_of(schema, "x-kubernetes-patch-strategy").split(",")
    if kind == "map" and isinstance(keys, list) and keys and all(isinstance(key, str) for key in keys):
        return by_fields(keys)
    if merged and text_of(schema, "x-kubernetes-patch-merge-key"):
        return by_fields([text_of(schema, "x-kubernetes-patch-merge-key")])
    return by_value if kind == "set" or (merged and "items" in schema) else None


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        resources.files("porchflow.kpt.merge").joinpath("merge_keys.json").read_text("utf-8")
    )
    return data


def _known(name: str) -> Shape | None:
    kind = _data()["kinds"].get(name)
    return _TypeShape(type=kind) if kind is not None else None


def _with_metadata(shape: Shape) -> Shape:
    return Shape(fields={**shape.fields, "metadata": _TypeShape(type=_OBJECT_META)}, items=shape.items)


@dataclass(frozen=True)
class _TypeShape(Shape):
    """The shape of a type in the data file; fields are looked up one by one, because types refer to each other."""

    type: str = ""

    def child(self, name: str) -> Shape:
        described = _data()["types"].get(self.type, {}).get(name)
        if described is None:
            return PLAIN
        inner = _TypeShape(type=described.get("of", ""))
        if "keys" in described:
            return Shape(keying=by_fields(described["keys"]), items=inner)
        if "set" in described:
            return Shape(keying=by_value)
        return Shape(items=inner) if "map" in described else inner
