"""Field specifications in kustomize's terms: a set of resources, and a field of each.

Source: docs/reference/kpt-functions.md, "Field specifications".
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from porchflow.functions.builtin.toolkit.sdk import FunctionError, Item
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.nodes import Value

_SEPARATOR = re.compile(r"(?<!\\)/")


@dataclass(frozen=True)
class FieldSpec:
    """A field of some resources.

    Attributes:
        path: Keys on the way; lists are entered without being named.
        group: API group that the resource must have; empty for any.
        version: API version that it must have; empty for any.
        kind: Kind that it must have; empty for any.
        create: Whether missing mappings on the way are made.
        lists: The keys of the path, by their places in it, that hold lists: these are not made.
    """

    path: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""
    create: bool = False
    lists: frozenset[int] = frozenset()

    def selects(self, item: Item) -> bool:
        """Return whether the field applies to this resource."""
        version = item.api_version.rpartition("/")[2]
        return self.group in ("", item.group) and self.version in ("", version) and self.kind in ("", item.kind)

    def change(self, value: Value, update: Callable[[Value], Value]) -> Value:
        """Return a copy of a resource with the field updated at each place; the very same object if nothing changed.

        Args:
            value: The resource.
            update: Returns the new value for the old one, which is None where `create` made the place.
        """
        made = [self.create and place not in self.lists for place in range(len(self.path))]
        return _change(value, list(zip(self.path, made, strict=True)), update)


def spec(path: str, *, group: str = "", version: str = "", kind: str = "", create: bool = False) -> FieldSpec:
    r"""Return a field by its path: `/` between keys, `\/` for a slash in a key; `[]` after a key of a list."""
    steps = [key.replace("\\/", "/") for key in _SEPARATOR.split(path.strip("/"))]
    lists = frozenset(place for place, key in enumerate(steps) if key.endswith("[]"))
    return FieldSpec(tuple(key.removesuffix("[]") for key in steps), group, version, kind, create, lists)


def read_specs(value: Value, field: str) -> list[FieldSpec]:
    """Return the additional fields of a functionConfig.

    Args:
        value: List of mappings with `path`, and `group`, `version`, `kind`, `create` as wanted; None for no list.
        field: Its name, for messages.

    Raises:
        FunctionError: It is no such list.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise FunctionError(f"`{field}` must be a list of field specifications")
    return [_read_spec(entry, f"{field}[{index}]") for index, entry in enumerate(value)]


def deprecated_specs(config: Value, field: str) -> list[FieldSpec]:
    """Return the additional fields of a functionConfig, which older ones call `fieldSpecs`; see `read_specs`.

    Raises:
        FunctionError: It has both, or one that is no such list.
    """
    old, new = map_of(config).get("fieldSpecs"), map_of(config).get(field)
    if old is not None and new is not None:
        raise FunctionError(f"`fieldSpecs` has been deprecated, please rename it to `{field}`")
    return read_specs(new, field) if old is None else read_specs(old, "fieldSpecs")


def select(specs: Iterable[FieldSpec], item: Item) -> list[FieldSpec]:
    """Return the fields that apply to a resource."""
    return [field for field in specs if field.selects(item)]


def _read_spec(entry: Value, field: str) -> FieldSpec:
    path = text_of(entry, "path")
    if not path:
        raise FunctionError(f"`{field}` must be a mapping with a `path`")
    return spec(
        path,
        group=text_of(entry, "group"),
        version=text_of(entry, "version"),
        kind=text_of(entry, "kind"),
        create=entry.get("create") is True,
    )


def _change(value: Value, path: list[tuple[str, bool]], update: Callable[[Value], Value]) -> Value:
    """Return a copy of a value with the value at a path updated.

    Args:
        value: Where to begin.
        path: Keys, and of each whether it is made where it is missing.
        update: Returns the new value for the old one.
    """
    if not path:
        return update(value)
    if isinstance(value, list):
        elements = [_change(element, path, update) for element in value]
        return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
    (key, is_made), rest = path[0], path[1:]
    if value is None and is_made:
        value = {}
    if not isinstance(value, dict):
        return value
    old = value.get(key)
    if old is None and not is_made:
        return value
    new = _change(old, rest, update)
    return value if new is old else {**value, key: new}
