"""Field specifications in kustomize's terms: a set of resources, and a field of each.

Source: docs/reference/kpt-functions.md, "Field specifications".
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from porchflow.functions.builtin.toolkit.sdk import FunctionError, Item
from porchflow.kpt.format.krm import text_of
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
    """

    path: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""
    create: bool = False

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
        return _change(value, self.path, update, create=self.create)


def spec(path: str, *, group: str = "", version: str = "", kind: str = "", create: bool = False) -> FieldSpec:
    r"""Return a field by its path: `/` between keys, `\/` for a slash in a key; `[]` after a key changes nothing."""
    keys = tuple(key.replace("\\/", "/").removesuffix("[]") for key in _SEPARATOR.split(path.strip("/")))
    return FieldSpec(keys, group, version, kind, create)


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


def _change(value: Value, path: tuple[str, ...], update: Callable[[Value], Value], *, create: bool) -> Value:
    if not path:
        return update(value)
    if isinstance(value, list):
        elements = [_change(element, path, update, create=create) for element in value]
        return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
    if value is None and create:
        value = {}
    if not isinstance(value, dict):
        return value
    old = value.get(path[0])
    if old is None and not create:
        return value
    new = _change(old, path[1:], update, create=create)
    return value if new is old else {**value, path[0]: new}
