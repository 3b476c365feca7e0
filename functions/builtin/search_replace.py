"""search-replace v0.2: finds fields by value, path or file, and writes values and comments.

Source: docs/reference/kpt-functions.md, "search-replace".
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from porchflow.api.limits import GLOB_CHARACTERS, PATH_ELEMENTS, PATTERNS_KEPT
from porchflow.functions.builtin.toolkit.field_types import typed
from porchflow.functions.builtin.toolkit.patterns import Pattern, PatternError, compiled
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, quoted, strings
from porchflow.functions.builtin.toolkit.setter_comments import (
    Field,
    Path,
    assign,
    comment_of,
    fields,
    put_comments,
    shown,
    takes_comments,
)
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.emit import flow
from porchflow.yamltext.nodes import MappingNode, Node, ScalarNode, Value
from porchflow.yamltext.scalars import resolve_plain

_KEYS = ("by-value", "by-file-path", "by-value-regex", "by-path", "put-value", "put-comment")
_QUOTES = ("'", '"')
_GROUP = re.compile(r"\$\{([0-9]+)\}")


@dataclass(frozen=True)
class _Search:
    """The criteria of a search, and the replacement; empty parts are not given."""

    by_value: str
    by_file_path: str
    by_value_regex: Pattern | None
    by_path: str
    put_value: str
    put_comment: str

    @property
    def by_any_value(self) -> bool:
        """Whether the value of a field matters."""
        return bool(self.by_value) or self.by_value_regex is not None

    @property
    def sets_path(self) -> bool:
        """Whether a value goes to one exact path, which is made where it is missing."""
        elements = self.by_path.split(".")
        is_exact = all(element and "*" not in element and "[" not in element for element in elements)
        return bool(self.put_value) and is_exact and not self.by_any_value

    def finds(self, path: str, value: str) -> bool:
        """Return whether a scalar meets the criteria."""
        if self.by_path and not path_matches(path, self.by_path):
            return False
        if not self.by_any_value:
            return bool(self.by_path)
        if self.by_value:
            return value == self.by_value
        return self.by_value_regex is not None and self.by_value_regex.search(value) is not None

    def resolved(self, pattern: str, value: str) -> str:
        """Return the replacement of a value: the pattern with the groups of the regular expression."""
        if self.by_value_regex is None:
            return pattern
        found = self.by_value_regex.search(value)
        for index, text in enumerate(found.groups if found else (), 1):
            pattern = pattern.replace(f"${{{index}}}", text)
        if _GROUP.search(pattern):
            raise FunctionError("unable to resolve capture groups")
        return pattern


def run(call: Call) -> None:
    """Search every item, and change the fields that are found."""
    try:
        search = _read_config(call.config)
        is_wanted = _glob(search.by_file_path) if search.by_file_path else None
        for item in call.items:
            if is_wanted is None or is_wanted.search(item.path):
                _Searcher(call, item, search).run()
    except FunctionError as error:
        call.results.clear()
        call.say(f"failed to perform search-replace operation: {quoted(str(error))}", "error")
        raise
    if not call.results:
        call.say("no matches")


def _read_config(config: Value) -> _Search:
    data = strings(map_of(config, "data"))
    wrong = next((key for key in data if key not in _KEYS), None)
    if wrong is not None:
        known = " ".join(f'"{key}"' for key in _KEYS)
        raise FunctionError(f'invalid matcher "{wrong}", must be one of [{known}]')
    if data.get("by-value") and data.get("by-value-regex"):
        raise FunctionError('only one of ["by-value", "by-value-regex"] can be provided')
    return _Search(
        by_value=data.get("by-value", ""),
        by_file_path=data.get("by-file-path", ""),
        by_value_regex=_compiled(data["by-value-regex"]) if data.get("by-value-regex") else None,
        by_path=data.get("by-path", ""),
        put_value=data.get("put-value", ""),
        put_comment=data.get("put-comment", ""),
    )


def _compiled(text: str) -> Pattern:
    try:
        return compiled(text)
    except PatternError as error:
        raise FunctionError(str(error)) from None


class _Searcher:
    """Searches one item."""

    def __init__(self, call: Call, item: Item, search: _Search) -> None:
        self.call = call
        self.item = item
        self.search = search
        self.values: dict[Path, Value] = {}
        self.comments: dict[Path, str] = {}

    def run(self) -> None:
        if self.search.put_comment and not takes_comments(self.item.document.root):
            self.call.say(f"{self.item.path or self.item.name} takes no comments: JSON has none", "warning")
            return
        if self.search.sets_path:
            self._set_path()
            return
        for field in fields(self.item.document.root):
            if isinstance(field.node, ScalarNode):
                self._scalar(field, field.node)
            else:
                self._list(field)
        self.item.replace(assign(self.item.value, self.values))
        if self.comments:
            self.item.rewrite(put_comments(self.item.text, self.comments))

    def _set_path(self) -> None:
        path, text = tuple(self.search.by_path.split(".")), self.search.put_value
        node = _node_at(self.item.document.root, path)
        self.item.replace(_set(self.item.value, path, self._value(text, path, node), self.item))
        self._say(self.search.by_path, self.search.put_value)

    def _scalar(self, field: Field, node: ScalarNode) -> None:
        path, search = shown(field.path), self.search
        if not search.finds(path, node.raw):
            return
        text = node.raw
        if search.put_value:
            text = search.resolved(search.put_value, node.raw)
            self.values[field.path] = self._value(text, field.path, node)
        comment = comment_of(self.item.text, field).rstrip()
        if search.put_comment:
            self.comments[field.path] = search.resolved(search.put_comment, node.raw)
            comment = f"# {self.comments[field.path]}"
        if self.item.path:
            quote = node.style if node.style in _QUOTES else ""
            shown_text = text.replace("'", "''") if quote == "'" else text
            self._say(path, f"{quote}{shown_text}{quote} {comment}".rstrip())

    def _value(self, text: str, path: Path, node: Node | None) -> Value:
        """Return what a field gets: text where it has quotes or is a block, else the type that the field has."""
        is_styled = isinstance(node, ScalarNode) and node.style
        return text if is_styled else typed(text, self.item, path, resolve_plain(text))

    def _list(self, field: Field) -> None:
        """Lists take comments only, and are found by path only."""
        search = self.search
        if not (search.put_comment and search.by_path and field.node.value):
            return
        if path_matches(shown(field.path), search.by_path):
            self.comments[field.path] = search.put_comment
            self._say(f"{search.by_path} # {search.put_comment}", flow(field.node.value))

    def _say(self, path: str, value: str) -> None:
        mutated = bool(self.search.put_value or self.search.put_comment)
        said = "Mutated field value to" if mutated else "Matched field value"
        self.call.say(f"{said} {quoted(value)}", field={"path": path}, file={"path": self.item.path})


def _node_at(node: Node | None, path: Path) -> Node | None:
    for step in path:
        entries = node.entries if isinstance(node, MappingNode) else []
        node = next((value for key, value in entries if key.raw == step), None)
    return node


def _set(value: Value, path: tuple[str, ...], new: Value, item: Item) -> Value:
    if not path:
        return new
    if value is not None and not isinstance(value, dict):
        raise FunctionError(f"`{path[0]}` cannot be set in {item.kind} {item.name}: it is no field of a mapping there")
    present = value or {}
    return {**present, path[0]: _set(present.get(path[0]), path[1:], new, item)}


@lru_cache(PATTERNS_KEPT)
def path_matches(path: str, pattern: str) -> bool:
    """Return whether a field's path matches: `*` is any one element, `**` any number, `a[*]` any element of a list.

    Raises:
        FunctionError: The pattern has too many elements.
    """
    if pattern.count(".") >= PATH_ELEMENTS:
        raise FunctionError(f"by-path has more than {PATH_ELEMENTS} elements (the limit)")
    names, wanted = path.split("."), pattern.split(".")
    matched = [[False] * (len(wanted) + 1) for _ in range(len(names) + 1)]
    matched[0][0] = True
    for column, element in enumerate(wanted, 1):
        matched[0][column] = element == "**" and matched[0][column - 1]
    for row, column in product(range(1, len(names) + 1), range(1, len(wanted) + 1)):
        element = wanted[column - 1]
        if element == "**":
            matched[row][column] = matched[row][column - 1] or matched[row - 1][column]
        elif element == "*" or _element_matches(names[row - 1], element):
            matched[row][column] = matched[row - 1][column - 1]
    return matched[-1][-1]


def _element_matches(name: str, pattern: str) -> bool:
    if name == pattern:
        return True
    field, bracket, index = name.partition("[")
    wanted, _, wanted_index = pattern.partition("[")
    return bool(bracket) and wanted in ("*", field) and wanted_index in ("*]", index)


@lru_cache(PATTERNS_KEPT)
def _glob(pattern: str) -> Pattern:
    """Return a path pattern with `*`, `**`, `?`, `[a-z]` and `{a,b}` as a regular expression."""
    if len(pattern) > GLOB_CHARACTERS:
        raise FunctionError(f"by-file-path has more than {GLOB_CHARACTERS} characters (the limit)")
    text, depth = "", 0
    for kind in _GLOB.findall(pattern):
        if kind == "{":
            depth += 1
        elif kind == "}":
            depth -= 1
        text += _translated(kind, inside_choice=depth > 0)
    try:
        return Pattern(rf"(?s)\A(?:{text})\z")
    except PatternError:
        raise FunctionError(f"syntax error in pattern `{pattern}` of by-file-path") from None


_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|\\.|.", re.DOTALL)
_GLOB_PARTS = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}


def _translated(part: str, *, inside_choice: bool) -> str:
    if part in _GLOB_PARTS:
        return _GLOB_PARTS[part]
    if part == "," and inside_choice:
        return "|"
    if part.startswith("["):
        return part.replace("[!", "[^")
    return re.escape(part.removeprefix("\\") or part)
