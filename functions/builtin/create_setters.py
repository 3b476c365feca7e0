"""create-setters v0.1: marks fields with the setters whose values they hold.

Source: docs/reference/kpt-functions.md, "create-setters".
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import re2

from porchflow.api.limits import SOUGHT_CHARACTERS
from porchflow.functions.builtin.toolkit.patterns import OPTIONS
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, quoted, scalar_text, strings
from porchflow.functions.builtin.toolkit.setter_comments import Path, fields, put_comments, shown, takes_comments
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.document import load
from porchflow.yamltext.nodes import ScalarNode, SequenceNode, Value
from porchflow.yamltext.yaml_error import YamlError


@dataclass(frozen=True)
class _Setters:
    """The values of the setters: a text each, or a sorted list of texts."""

    scalars: dict[str, str]
    lists: dict[str, list[str]]

    def pattern(self, value: str) -> str:
        """Return a value with the texts of setters replaced by references, the longest text first."""
        if value in self._by_text:
            return f"${{{self._by_text[value]}}}"
        if not self._sought:
            return value
        return str(self._texts.sub(lambda found: f"${{{self._by_text[found[0]]}}}", value))

    @cached_property
    def _by_text(self) -> dict[str, str]:
        return {text: name for name, text in reversed(self.scalars.items())}

    @cached_property
    def _sought(self) -> list[str]:
        """The texts that are looked for inside of others, longest first; a longer one can only be all of a value."""
        texts = [text for text in self._by_text if len(text) <= SOUGHT_CHARACTERS]
        return sorted(texts, key=len, reverse=True)

    @cached_property
    def _texts(self) -> Any:  # noqa: ANN401 - what re2 compiles to; the library is not typed
        try:
            return re2.compile("|".join(map(re2.escape, self._sought)), OPTIONS)
        except re2.error:
            raise FunctionError("the values of all setters together are too long to be looked for") from None


def run(call: Call) -> None:
    """Put a comment after every field that holds the value of a setter."""
    try:
        setters = _read_config(call.config)
        for item in call.items:
            _mark(call, item, setters)
        if not call.results:
            raise FunctionError("no matches for the input list of setters")  # noqa: TRY301 - one place reports
    except FunctionError as error:
        call.say(f"failed to create setters: {error}", "error")
        raise


def _read_config(config: Value) -> _Setters:
    data = strings(map_of(config, "data"))
    if not data:
        raise FunctionError("config map cannot be empty")
    setters = _Setters({}, {})
    for name, text in data.items():
        try:
            value = load(text)
        except YamlError:
            raise FunctionError(f"the value of setter {name} is not YAML: write a scalar or a list") from None
        if isinstance(value, list):
            setters.lists[name] = _texts(value)
        elif text and not isinstance(value, dict):
            setters.scalars[name] = text
    return setters


def _texts(values: list[Value]) -> list[str]:
    return sorted("" if isinstance(value, dict | list) else scalar_text(value) for value in values)


def _mark(call: Call, item: Item, setters: _Setters) -> None:
    if not takes_comments(item.document.root):
        return
    comments: dict[Path, str] = {}
    for field in fields(item.document.root):
        if isinstance(field.node, ScalarNode):
            said, marked = field.node.raw, _of_scalar(field.node, setters)
        else:
            said, marked = f"[{' '.join(_raw(field.node))}]", _of_list(field.node, setters)
        if not marked:
            continue
        comments[field.path] = f"kpt-set: {marked}"
        message = f"Added line comment {quoted(f'kpt-set: {marked}')} for field with value {quoted(said)}"
        call.say(message, field={"path": shown(field.path)}, file={"path": item.path})
    if comments:
        item.rewrite(put_comments(item.text, comments))


def _of_scalar(node: ScalarNode, setters: _Setters) -> str:
    pattern = setters.pattern(node.raw)
    return pattern if pattern != node.raw and "\n" not in node.raw else ""


def _of_list(node: SequenceNode, setters: _Setters) -> str:
    texts = _raw(node)
    return next((f"${{{name}}}" for name, wanted in setters.lists.items() if wanted == texts), "")


def _raw(node: SequenceNode) -> list[str]:
    return sorted(item.raw if isinstance(item, ScalarNode) else "" for item in node.items)
