"""Which lists of a value are merged element by element, and how their elements are told apart."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from porchflow.yamltext.nodes import Value

Key = Hashable | None
"""Tells an element of a list from its siblings; None for an element without a key."""

Keying = Callable[[Sequence[list[Value]]], Callable[[Value], Key] | None]
"""Returns a function from element to key for the versions of one list; None if no key tells them apart."""


@dataclass(frozen=True)
class Shape:
    """The known schema of a value.

    Attributes:
        keying: For a list that is merged by element.
        fields: Of a mapping, by name.
        items: Of a list, or of the values of a mapping with free keys.
        stays_removed: Whether an element that was removed locally stays away when upstream changes it. Otherwise the
            fields that upstream changed come back.
    """

    keying: Keying | None = None
    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    items: "Shape | None" = None
    stays_removed: bool = False

    def child(self, name: str) -> "Shape":
        """Return the shape of a field."""
        return self.fields.get(name) or self.items or PLAIN

    @property
    def element(self) -> "Shape":
        """The shape of an element."""
        return self.items or PLAIN


PLAIN: Final = Shape()
"""Nothing is known: lists are values like any other."""

_DEFAULTS: Final = {"protocol": "TCP"}
"""Kubernetes' defaults for missing parts of a merge key."""


def by_fields(names: Sequence[str]) -> Keying:
    """Return the keying of elements that are mappings and differ in these fields."""

    def key(element: Value) -> Key:
        if not isinstance(element, dict):
            return None
        parts = [element.get(name, _DEFAULTS.get(name)) for name in names]
        if all(part is None for part in parts) or any(isinstance(part, dict | list) for part in parts):
            return None
        return tuple(zip(names, map(_scalar, parts), strict=True))

    return lambda lists: key if all(unique(key, elements) for elements in lists) else None


def by_value(lists: Sequence[list[Value]]) -> Callable[[Value], Key] | None:
    """Return the keying of elements that are scalars of a set."""

    def key(element: Value) -> Key:
        return None if isinstance(element, dict | list) else _scalar(element)

    return key if all(unique(key, elements) for elements in lists) else None


def unique(key: Callable[[Value], Key], elements: Sequence[Value]) -> bool:
    """Return whether every element has a key of its own."""
    keys = [key(element) for element in elements]
    return None not in keys and len(set(keys)) == len(keys)


def _scalar(value: Value) -> Key:
    return value if value is None or isinstance(value, str) else (type(value).__name__, value)
