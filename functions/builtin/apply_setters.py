"""apply-setters v0.1 and v0.2: writes values into the fields whose comments name them.

Source: docs/reference/kpt-functions.md, "apply-setters".
"""

from typing import NamedTuple

import re2

from porchflow.api.limits import SETTERS_OF_A_PATTERN
from porchflow.functions.builtin.toolkit.field_types import typed
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, quoted, strings
from porchflow.functions.builtin.toolkit.setter_comments import Field, Path, assign, comment_of, shown
from porchflow.yamltext.document import load
from porchflow.yamltext.nodes import MappingNode, Node, ScalarNode, SequenceNode, Value
from porchflow.yamltext.scalars import resolve_plain
from porchflow.yamltext.yaml_error import YamlError

MARK = "# kpt-set: "
_REFERENCE = re2.compile(r"\$\{([^}]*)\}")


class Change(NamedTuple):
    """One field that a setter wrote."""

    path: str
    value: str


class _SetterError(Exception):
    """A setter cannot be applied."""


def run(call: Call) -> None:
    """Apply the setters of `data` to every item, local configuration included."""
    _apply_all(call, _setters(call))
    if not call.results:
        call.say("no matches for input setter(s)")


def run_0_1(call: Call) -> None:
    """Apply the setters as v0.1.1 does: none, and none that a comment names, is an error."""
    setters = _setters(call)
    if not setters:
        raise _failure(call, "input setters list cannot be empty")
    _apply_all(call, setters)
    if not call.results:
        raise _failure(call, "no matches for the input list of setters")


def _setters(call: Call) -> dict[str, str]:
    return strings(call.config.get("data")) if isinstance(call.config, dict) else {}


def _apply_all(call: Call, setters: dict[str, str]) -> None:
    try:
        for item in call.items:
            if MARK in item.text:
                _apply(call, item, setters)
    except _SetterError as error:
        raise _failure(call, str(error)) from None


def _failure(call: Call, problem: str) -> FunctionError:
    message = f"failed to apply setters: {problem}"
    call.results.clear()
    call.say(message, "error")
    return FunctionError(message)


def _apply(call: Call, item: Item, setters: dict[str, str]) -> None:
    path = item.path
    visitor = _Visitor(item, setters)
    root = item.document.root
    if root is not None:
        value = visitor.value_of(root, ())
        # Elements of a list that is written as a whole may move. All others keep their places.
        item.replace(assign(item.value, visitor.lists), by_position=False)
        item.replace(value)
    for change in visitor.changes:
        call.say(f"set field value to {quoted(change.value)}", field={"path": change.path}, file={"path": path})


class _Visitor:
    """Walks a document and builds its new value."""

    def __init__(self, item: Item, setters: dict[str, str]) -> None:
        self.item = item
        self.text = item.text
        self.setters = setters
        self.changes: list[Change] = []
        self.lists: dict[Path, Value] = {}

    def value_of(self, node: Node, path: Path) -> Value:
        """Return the new value of a node; the old object where nothing changed.

        Args:
            node: Of the document.
            path: Of the node.
        """
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return self._elements(node, path)
        if isinstance(node, ScalarNode):
            pattern = setter_pattern(self.text, Field((), None, node))
            if self._is_wanted(pattern):
                return self._scalar(node, path, pattern)
        return node.value

    def _mapping(self, node: MappingNode, path: Path) -> Value:
        changed: dict[str, Value] = {}
        for key, value in node.entries:
            if key.raw not in node.value or (key.raw == "<<" and node.merged):
                continue
            below = (*path, key.raw)
            pattern = self._list_pattern(key, value) if isinstance(value, SequenceNode) else ""
            new = self._list(value, below, pattern) if pattern else self.value_of(value, below)
            if new is not value.value:
                changed[key.raw] = new
        return {**node.value, **changed} if changed else node.value

    def _list_pattern(self, key: ScalarNode, value: SequenceNode) -> str:
        """Return the pattern for a whole list, if a given setter is in it: after the brackets, or after the key."""
        pattern = setter_pattern(self.text, Field((), key, value))
        return pattern if self._is_wanted(pattern) else ""

    def _elements(self, node: SequenceNode, path: Path) -> Value:
        new = [self.value_of(item, (*path, index)) for index, item in enumerate(node.items)]
        return new if any(a is not b for a, b in zip(new, node.value, strict=True)) else node.value

    def _is_wanted(self, pattern: str) -> bool:
        return any(name in self.setters for name in setters_in(pattern))

    def _list(self, node: Node, path: Path, pattern: str) -> Value:
        names = setters_in(pattern)
        if len(names) != 1 or not pattern.startswith("${") or not pattern.endswith("}"):
            raise _SetterError(f"invalid setter pattern for array node: {quoted(pattern)}")
        text = self.setters[names[0]]
        self.changes.append(Change(shown(path), text))
        new = _parsed_list(text) if text else []
        if new == node.value:
            return node.value
        self.lists[path] = new
        return new

    def _scalar(self, node: ScalarNode, path: Path, pattern: str) -> Value:
        text = _resolved(pattern, node.raw, self.setters)
        self.changes.append(Change(shown(path), text))
        if text == node.raw:
            return node.value
        return text if node.style or not text else typed(text, self.item, path, resolve_plain(text))


def setter_pattern(text: str, field: Field) -> str:
    """Return the pattern in the comment of a field, which makes its value; empty if it is no setter comment."""
    comment = comment_of(text, field)
    return comment.removeprefix(MARK).strip() if comment.startswith(MARK) else ""


def setters_in(pattern: str) -> list[str]:
    """Return the setters that a pattern refers to, in order."""
    return list(_REFERENCE.findall(pattern))


def _parsed_list(text: str) -> list[Value]:
    try:
        value = load(text)
    except YamlError:
        value = None
    if not isinstance(value, list):
        raise _SetterError(f"input to array setter must be an array of values, but found {quoted(text)}")
    return value


def _resolved(pattern: str, current: str, setters: dict[str, str]) -> str:
    """Return the pattern with every reference replaced: by the given setters, else by the current value's."""
    given = _substituted(pattern, setters)
    if _REFERENCE.search(given):
        given = _substituted(given, derive(pattern, current))
    missing = [match[0] for match in _REFERENCE.finditer(given)]
    if missing:
        raise _SetterError(f"values for setters [{' '.join(missing)}] must be provided")
    return given


def _substituted(pattern: str, values: dict[str, str]) -> str:
    return str(_REFERENCE.sub(lambda match: values.get(match[1], match[0]), pattern))


def derive(pattern: str, current: str) -> dict[str, str]:
    """Return the value of each setter of a pattern with which it gives the current value.

    Works like the regular expression with a greedy `(.*)` for every reference, unanchored and within one line, but in
    linear time: placing the literal parts from the right, each as far right as possible, gives the greedy match.

    Returns:
        Nothing if the value does not match, if any setter would be empty, or if there are too many of them.
    """
    names = setters_in(pattern)
    if len(names) > SETTERS_OF_A_PATTERN:
        return {}
    literals = _REFERENCE.split(pattern)[::2]
    for line in current.split("\n"):
        captured = _captured(literals, line)
        if captured is not None:
            return dict(zip(names, captured, strict=True)) if all(captured) else {}
    return {}


def _captured(literals: list[str], line: str) -> list[str] | None:
    """Return the texts between the literal parts of a pattern in one line; None if they do not all fit."""
    first, *rest = literals
    start = line.find(first)
    if start < 0:
        return None
    begin, edge = start + len(first), len(line)
    places: list[int] = []
    for literal in reversed(rest):
        edge = line.rfind(literal, begin, edge)
        if edge < 0:
            return None
        places.append(edge)
    captured: list[str] = []
    for place, literal in zip(reversed(places), rest, strict=True):
        captured.append(line[begin:place])
        begin = place + len(literal)
    return captured
