r"""Paths of kustomize's replacements: the fields of a resource that they name, and their syntax.

`spec.containers.[name=web].image`, `spec.list.0`, `spec.containers.*.image`, `metadata.annotations.[a.b/c]`, and `\.`
for a dot in a key (docs/reference/kpt-functions.md, "apply-replacements").
"""

import re
from collections.abc import Callable
from typing import Any

from porchflow.functions.builtin.toolkit.patterns import Pattern, PatternError, compiled
from porchflow.functions.builtin.toolkit.sdk import scalar_text
from porchflow.yamltext.nodes import Value

_DOT = re.compile(r"(?<!\\)\.")
MISSING: Any = object()
"""Stands for a field that does not exist."""


class PathError(Exception):
    """A value cannot have an element of a path."""


def split(path: str) -> list[str]:
    """Return the elements of a path. Text in brackets stays together: with them for `[a=b]`, without for a key."""
    elements: list[str] = []
    pending: list[str] = []
    for part in (part.replace("\\.", ".") for part in _DOT.split(path)):
        pending.append(part)
        if pending[0].startswith("[") and not part.endswith("]"):
            continue
        elements.append(_element(".".join(pending)))
        pending = []
    return [*elements, *([".".join(pending)] if pending else [])]


def _element(text: str) -> str:
    return text if "=" in text or not text.startswith("[") else text.strip("[]")


def look_up(value: Value, path: list[str]) -> Value:
    """Return the value at a path that names one field; `MISSING` if there is none."""
    for element in path:
        if isinstance(value, list):
            value = _one_of(value, element)
        elif isinstance(value, dict):
            value = value.get(element, MISSING)
        else:
            return MISSING
    return value


def _one_of(values: list[Value], element: str) -> Value:
    if _is_index(element):
        return values[int(element)] if int(element) < len(values) else MISSING
    if not _is_match(element):
        raise PathError(f"`{element}` cannot select an element of a list: write an index or [field=value]")
    field, wanted = _field_and_value(element)
    found = [value for value in values if _field_of(value, field) == wanted]
    return found[0] if found else MISSING


class Writer:
    """Writes to every field that a path names.

    Attributes:
        count: Fields found so far.
    """

    def __init__(self, update: Callable[[Value], Value], new: Value = MISSING) -> None:
        """Prepare the writer.

        Args:
            update: Returns the new value of a field for the old one.
            new: A value of the kind that a missing field is made with; `MISSING` to make none.
        """
        self._update = update
        self._new = new
        self.count = 0

    def write(self, value: Value, path: list[str]) -> Value:
        """Return a copy of the value with the fields at a path written; the same object if nothing changed.

        Raises:
            PathError: The path has an element that this value cannot have.
        """
        if not path:
            self.count += 1
            return self._update(value)
        element, rest = path[0], path[1:]
        if _is_index(element) and not isinstance(value, dict):
            return self._index(value, int(element), rest)
        if _is_match(element):
            return self._matching(value, element, rest)
        if element == "*":
            return self._every(self._list(value, element), rest, lambda _: True)
        return self._field(value, element, rest)

    def _field(self, value: Value, key: str, rest: list[str]) -> Value:
        if not isinstance(value, dict):
            return value
        old = value.get(key, MISSING)
        if old is MISSING or old is None:
            if self._new is MISSING:
                return value
            old = self._made(rest)
        new = self.write(old, rest)
        return value if new is value.get(key, MISSING) else {**value, key: new}

    def _index(self, value: Value, index: int, rest: list[str]) -> Value:
        elements = list(self._list(value, str(index)))
        if index == len(elements) and self._new is not MISSING:
            elements.append(self._made(rest))
        if index >= len(elements):
            raise PathError(f"index {index} specified but only {len(elements)} elements found")
        new = self.write(elements[index], rest)
        if index < len(value) and new is value[index]:
            return value
        return [*elements[:index], new, *elements[index + 1 :]]

    def _matching(self, value: Value, element: str, rest: list[str]) -> Value:
        field, wanted = _field_and_value(element)
        pattern = _pattern(wanted)

        def matches(candidate: Value) -> bool:
            text = _field_of(candidate, field)
            return text is not MISSING and pattern.search(text) is not None

        elements = self._list(value, element)
        if self._new is not MISSING and not any(map(matches, elements)):
            elements = [*elements, {field: wanted} if field else wanted]
        return self._every(elements, rest, matches)

    def _every(self, values: list[Value], rest: list[str], matches: Callable[[Value], bool]) -> list[Value]:
        new = [self.write(value, rest) if matches(value) else value for value in values]
        return values if all(a is b for a, b in zip(new, values, strict=True)) else new

    def _made(self, rest: list[str]) -> Value:
        """Return the value of a missing field before the rest of its path is written."""
        if not rest:
            return [] if isinstance(self._new, list) else {} if isinstance(self._new, dict) else None
        return [] if _is_index(rest[0]) or _is_match(rest[0]) else {}

    def _list(self, value: Value, element: str) -> list[Value]:
        if not isinstance(value, list):
            raise PathError(f"`{element}` selects elements of a list, but there is none")
        return value


class FirstWriter(Writer):
    """Writes to the one field that a path names in kustomize before 4.5: no `*`, and the first element that is equal.

    A field that is missing stays so, unless it is made.
    """

    def write(self, value: Value, path: list[str]) -> Value:
        """Return a copy of the value with the field at a path written; see `Writer.write`."""
        if path and path[0] == "*":
            raise PathError("wildcard is not supported: this version finds one element of a list, by [field=value]")
        if path and value is not None and not isinstance(value, list if _is_in_list(path[0]) else dict):
            raise PathError(f"`{path[0]}` cannot be found in a value of this kind")
        return value if path and value is None else super().write(value, path)

    def _field(self, value: Value, key: str, rest: list[str]) -> Value:
        if not rest and value.get(key, MISSING) is None:
            return {**value, key: self._update(None)}
        return super()._field(value, key, rest)

    def _index(self, value: Value, index: int, rest: list[str]) -> Value:
        return value if index >= len(value) else super()._index(value, index, rest)

    def _matching(self, value: Value, element: str, rest: list[str]) -> Value:
        field, wanted = _field_and_value(element)
        places = [index for index, candidate in enumerate(value) if _field_of(candidate, field) == wanted]
        if places:
            return super()._index(value, places[0], rest)
        if self._new is MISSING:
            return value
        return [*value, self.write({field: wanted} if field else wanted, rest)]


def _is_in_list(element: str) -> bool:
    return _is_index(element) or _is_match(element)


def _is_index(element: str) -> bool:
    return element.isdecimal()


def _is_match(element: str) -> bool:
    return element.startswith("[") and element.endswith("]")


def _field_and_value(element: str) -> tuple[str, str]:
    field, separator, wanted = element[1:-1].partition("=")
    if not separator:
        raise PathError(f"`{element}`: list path element must contain fieldName=fieldValue for element to match")
    return field, wanted


def _field_of(value: Value, field: str) -> Value:
    if field:
        value = value.get(field, MISSING) if isinstance(value, dict) else MISSING
    return MISSING if value is MISSING or isinstance(value, dict | list) else scalar_text(value)


def _pattern(wanted: str) -> Pattern:
    try:
        return compiled(wanted)
    except PatternError:
        return compiled(re.escape(wanted))
