"""Field specifications in kustomize's terms: which resources, and which field of them.

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
        path: keys on the way; lists are entered without being named.
        group: API group the resource must have; empty for any.
        version: API version it must have; empty for any.
        kind: kind it must have; empty for any.
        create: whether missing mappings on the way are made.
    """

    path: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""
    create: bool = False

    def selects(self, item: Item) -> bool:
        """Whether the field is meant of this resource."""
        version = item.api_version.rpartition("/")[2]
        return self.group in ("", item.group) and self.version in ("", version) and self.kind in ("", item.kind)

    def change(self, value: Value, update: Callable[[Value], Value]) -> Value:
        """A copy of a resource with the field updated wherever it stands; the very same object if nothing changed.

        Args:
            value: the resource.
            update: makes the new value from the old one, which is None where `create` made the place.
        """
        return _change(value, self.path, update, create=self.create)


def spec(path: str, *, group: str = "", version: str = "", kind: str = "", create: bool = False) -> FieldSpec:
    r"""A field by its path with `/` between keys, `\/` for a slash in a key; `[]` behind a key changes nothing."""
    keys = tuple(key.replace("\\/", "/").removesuffix("[]") for key in _SEPARATOR.split(path.strip("/")))
    return FieldSpec(keys, group, version, kind, create)


def read_specs(value: Value, field: str) -> list[FieldSpec]:
    """The additional fields of a functionConfig.

    Args:
        value: list of mappings with `path`, and `group`, `version`, `kind`, `create` as wanted; None for no list.
        field: its name, for messages.

    Raises:
        FunctionError: it is no such list.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise FunctionError(f"`{field}` must be a list of field specifications")
    return [_read_spec(entry, f"{field}[{index}]") for index, entry in enumerate(value)]


def select(specs: Iterable[FieldSpec], item: Item) -> list[FieldSpec]:
    """Those of the fields that are meant of a resource."""
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
