"""Writes values as new YAML text, for parts of a document that did not exist before."""

from dataclasses import dataclass

from porchflow.api.limits import YAML_DEPTH
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.scalars import literal_header, render_scalar
from porchflow.yamltext.yaml_error import YamlError

_LONGEST_KEY = 1000
"""libyaml reads a key of at most 1,024 characters without the explicit `? key` form."""


@dataclass(frozen=True)
class Style:
    """The style of new text, taken from the document that it joins."""

    wide_lists: bool = False
    """List items two columns right of their key, as opposed to right below it."""
    json_text: bool = False
    literals: tuple[str, ...] = ("|", "|-", "|+")
    """Block headers that are allowed here: with some, blank lines or deep comments that follow would become part of the
    block.
    """


def check(value: Value, depth: int = 0) -> None:
    """Refuse values that the YAML of Kubernetes cannot hold, before any text is touched.

    Raises:
        YamlError: The message names the type, key or depth.
    """
    if depth > YAML_DEPTH:
        raise YamlError(f"nested deeper than {YAML_DEPTH} levels (the limit)")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_key(key)
            check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            check(item, depth + 1)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise YamlError(f"cannot write a {type(value).__name__} as YAML")


def _check_key(key: object) -> None:
    if not isinstance(key, str):
        raise YamlError(f"mapping key {key!r} is not a string")
    if len(render_key(key)) > _LONGEST_KEY:
        raise YamlError(f'mapping key "{key[:40]}…" is longer than {_LONGEST_KEY} characters')


def render_key(key: str, style: Style = Style(), *, flow: bool = False) -> str:
    """Return a mapping key on one line."""
    return render_scalar(key, flow=flow, json_text=style.json_text)


def flow(value: Value, style: Style = Style()) -> str:
    """Return the value on one line: a scalar, or a collection in brackets."""
    if isinstance(value, dict):
        entries = (f"{render_key(key, style, flow=True)}: {flow(item, style)}" for key, item in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item, style) for item in value) + "]"
    return render_scalar(value, flow=True, json_text=style.json_text)


def is_block(value: Value) -> bool:
    """Return whether the value takes lines of its own."""
    return isinstance(value, dict | list) and bool(value)


def inline(value: Value, column: int, style: Style) -> list[str]:
    """Return the lines after `key: ` or `- `: a scalar, an empty collection, or a literal with its text.

    Args:
        value: A scalar or empty collection.
        column: Column of the key or dash.
        style: Style of the document.
    """
    if isinstance(value, dict | list):
        return ["{}" if isinstance(value, dict) else "[]"]
    header = literal_header(value) if isinstance(value, str) and not style.json_text else None
    if header not in style.literals:
        return [render_scalar(value, json_text=style.json_text)]
    return [str(header), *literal_lines(value, column + 2)]


def literal_lines(text: str, column: int) -> list[str]:
    """Return the lines of a literal block."""
    lines = text.removesuffix("\n").split("\n")
    return [" " * column + line if line else "" for line in lines]


def block(value: Value, column: int, style: Style) -> list[str]:
    """Return the lines of a non-empty collection whose keys or dashes stand at `column`."""
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            lines += entry(key, item, column, style)
    else:
        for element in value:
            lines += item_lines(element, column, style)
    return lines


def entry(key: str, value: Value, column: int, style: Style) -> list[str]:
    """Return the lines of one `key: value`."""
    head = " " * column + render_key(key, style) + ":"
    if is_block(value):
        return [head, *block(value, child_column(value, column, style), style)]
    first, *rest = inline(value, column, style)
    return [f"{head} {first}", *rest]


def item_lines(value: Value, column: int, style: Style) -> list[str]:
    """Return the lines of one `- value`."""
    dash = " " * column + "- "
    if is_block(value):
        first, *rest = block(value, column + 2, style)
        return [dash + first[column + 2 :], *rest]
    first, *rest = inline(value, column, style)
    return [dash + first, *rest]


def child_column(value: Value, column: int, style: Style) -> int:
    """Return the column of a collection below a key at `column`."""
    return column + 2 if isinstance(value, dict) or style.wide_lists else column
