"""Documents with the lists of Kubernetes, written so that the text after an edit is known: a model, and its writer."""

import copy
import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st


@dataclass
class Scalar:
    """A scalar with the way in which it is written."""

    value: Any
    quote: str = ""
    comment: str = ""

    @property
    def text(self) -> str:
        if self.quote == "|":
            return f"|-{self.comment}"
        return f"{self.quote}{self.value}{self.quote}"


@dataclass
class Item:
    """An item of a list with the comment lines above it."""

    node: Any
    head: list[str] = field(default_factory=list)


@dataclass
class Items:
    """A list; in brackets where `flow`."""

    items: list[Item]
    flow: bool = False
    wide: bool = False
    comment: str = ""


def value_of(node: Any) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [value_of(item.node) for item in node.items]
    return {key: value_of(child) for key, child in node.items()}


def text_of(node: dict[str, Any]) -> str:
    return "".join(line + "\n" for line in _lines(node, 0))


def _lines(node: Any, column: int) -> list[str]:
    lines: list[str] = []
    if isinstance(node, Items):
        for item in node.items:
            lines += [" " * column + comment for comment in item.head]
            first, *rest = _value(item.node, column + 2, inside_list=True)
            lines += [" " * column + "- " + first.lstrip(), *rest]
        return lines
    for key, child in node.items():
        first, *rest = _value(child, column, inside_list=False)
        lines += [f"{' ' * column}{key}:{first}", *rest]
    return lines


def _value(node: Any, column: int, *, inside_list: bool) -> list[str]:
    """Return the lines of a value: the rest of the key's line first; for an item the text behind the dash."""
    if isinstance(node, Scalar) and node.quote == "|":
        deep = column if inside_list else column + 2
        return [f" |-{node.comment}", *(" " * deep + line for line in node.value.split("\n"))]
    if isinstance(node, Scalar):
        return [f" {node.text}{node.comment}"]
    if isinstance(node, Items) and node.flow:
        return [" [" + ", ".join(_flow(item.node) for item in node.items) + "]" + node.comment]
    if inside_list:
        return _lines(node, column)
    deep = column + 2 if isinstance(node, dict) or node.wide else column
    return [node.comment if isinstance(node, Items) else "", *_lines(node, deep)]


def _flow(node: Any) -> str:
    if isinstance(node, Scalar):
        return node.text
    return "{" + ", ".join(f"{key}: {_flow(child)}" for key, child in node.items()) + "}"


def scalars_of(node: Any) -> list[Scalar]:
    if isinstance(node, Scalar):
        return [node]
    children = [item.node for item in node.items] if isinstance(node, Items) else list(node.values())
    return [scalar for child in children for scalar in scalars_of(child)]


def lists_of(node: Any) -> list[Items]:
    if isinstance(node, Scalar):
        return []
    own = [node] if isinstance(node, Items) else []
    children = [item.node for item in node.items] if isinstance(node, Items) else list(node.values())
    return own + [inner for child in children for inner in lists_of(child)]


@dataclass
class Words:
    """Texts that are all different, so that it is plain which scalar is which."""

    numbers: Any = field(default_factory=lambda: itertools.count(100))

    def fresh(self) -> str:
        return f"w{next(self.numbers)}"


_SHAPES: dict[str, list[str]] = {
    "containers": ["name", "image", "command"],
    "env": ["name", "value"],
    "ports": ["name", "containerPort", "protocol"],
    "subjects": ["kind", "name", "namespace"],
    "rules": ["apiGroups", "resources", "verbs"],
    "hosts": [],
}
_LISTS_INSIDE = {"command", "apiGroups", "resources", "verbs"}


@st.composite
def manifests(draw: st.DrawFn) -> tuple[dict[str, Any], Words]:
    """A manifest with lists with and without names, block and flow, nested, with comments, markers and quotes."""
    words = Words()
    node: dict[str, Any] = {"kind": Scalar("Any"), "metadata": {"name": _scalar(draw, words)}}
    for kind in draw(st.lists(st.sampled_from(sorted(_SHAPES)), min_size=1, max_size=2, unique=True)):
        node[kind] = _list(draw, words, kind)
    node["last"] = _scalar(draw, words, block=True)
    return node, words


def _list(draw: st.DrawFn, words: Words, kind: str, most: int = 4) -> Items:
    flow = not draw(st.integers(0, 4)) and kind not in {"containers", "rules"}
    named = draw(st.booleans())
    items = []
    for _ in range(draw(st.integers(1, most))):
        node = fresh_item(draw, words, kind, flow=flow, named=named)
        head = draw(st.lists(st.just(f"# above {words.fresh()}"), max_size=1)) if not flow else []
        items.append(Item(node, head))
    return Items(items, flow, draw(st.booleans()), "" if not flow else draw(_comments(words)))


def fresh_item(draw: st.DrawFn, words: Words, kind: str, *, flow: bool, named: bool, plain: bool = False) -> Any:
    """Return an item of a kind of list; `plain` without comments and quotes, as an inserted one is written."""
    if not _SHAPES[kind]:
        return _scalar(draw, words, flow=flow, plain=plain)
    node: dict[str, Any] = {}
    for key in _SHAPES[kind]:
        if key == "name" and not named:
            continue
        if key in _LISTS_INSIDE:
            inner = [Item(_scalar(draw, words, plain=plain)) for _ in range(draw(st.integers(1, 3)))]
            node[key] = Items(inner, comment="" if plain else draw(_comments(words)))
        else:
            node[key] = _scalar(draw, words, flow=flow, plain=plain, block=key == "value")
    if kind == "containers" and not plain and draw(st.booleans()):
        node["env"] = _list(draw, words, "env", 2)
    return node


def _scalar(draw: st.DrawFn, words: Words, *, flow: bool = False, plain: bool = False, block: bool = False) -> Scalar:
    if plain:
        return Scalar(words.fresh())
    comment = "" if flow else draw(_comments(words))
    if block and not flow and not draw(st.integers(0, 3)):
        return Scalar(f"{words.fresh()}\n{words.fresh()}", "|", comment)
    return Scalar(words.fresh(), draw(st.sampled_from(["", "'", '"'])), comment)


def _comments(words: Words) -> st.SearchStrategy[str]:
    return st.sampled_from(["", f" # kpt-set: ${{{words.fresh()}}}", "  # pinned because of CVE"])


@st.composite
def edits(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A manifest and the same one edited: scalars changed, or items of one list moved or inserted as well."""
    old, words = draw(manifests())
    new = copy.deepcopy(old)
    chosen = draw(st.sampled_from(lists_of(new)))
    kind = next((key for key, child in new.items() if child is chosen), None)
    how = draw(st.sampled_from(["change", "move", "insert", "remove"]))
    if how == "change" or (how == "insert" and kind is None):
        for scalar in draw(st.lists(st.sampled_from(scalars_of(new)), min_size=1, max_size=8, unique_by=id)):
            _change(scalar, words)
        return old, new
    # What is moved or inserted beside it may change as well, as long as most of it stays.
    changeable = [scalars for item in chosen.items if len(scalars := scalars_of(item.node)) > 2]
    one_more = draw(st.booleans())
    if changeable and one_more:
        scalars = draw(st.sampled_from(changeable))
        _change(draw(st.sampled_from(scalars)), words)
    if how == "move":
        chosen.items = draw(st.permutations(chosen.items))
    elif how == "remove" and len(chosen.items) > 1:
        del chosen.items[draw(st.integers(0, len(chosen.items) - 1))]
    elif how == "insert":
        assert kind is not None
        first = chosen.items[0].node
        named = isinstance(first, dict) and "name" in first
        node = fresh_item(draw, words, kind, flow=chosen.flow, named=named, plain=True)
        for inner in lists_of(node):
            inner.wide = _first_is_wide(old)
        chosen.items.insert(draw(st.integers(1, len(chosen.items))), Item(node))
    return old, new


def _first_is_wide(node: dict[str, Any]) -> bool:
    """Whether the first block list of the document, whose style new lists take, stands right of its key."""
    return next((inner.wide for inner in lists_of(node) if not inner.flow), False)


def _change(scalar: Scalar, words: Words) -> None:
    scalar.value = f"{words.fresh()}\n{words.fresh()}" if scalar.quote == "|" else words.fresh()
