"""Resources with comments of all kinds, and edits of them whose text is known: a model, its writer, and its edits.

Two edits that touch different parts of one resource merge to the resource with both edits made, byte for byte. One
random number makes everything: a draw of hypothesis for each comment would take longer than the merges.
"""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

Path = tuple[str, ...]
"""Keys and names of elements that lead to an entry."""


@dataclass
class Entry:
    """A field of a mapping, or an element of a list.

    Attributes:
        name: The key, or the name of the element among its siblings.
        value: The text of a scalar as it is written, or the entries below.
        head: Comments on lines of their own above it; an empty one is a blank line.
        behind: The comment behind the value, or behind the key of a collection.
        kind: `scalar`, `map`, `named` (a list whose elements have names), `plain` (a list that is merged as a whole),
            `flow` (such a list in brackets).
        wide: Whether a list stands right of its key.
    """

    name: str
    value: "str | list[Entry]"
    head: list[str] = field(default_factory=list)
    behind: str = ""
    kind: str = "scalar"
    wide: bool = False

    @property
    def below(self) -> "list[Entry]":
        return self.value if isinstance(self.value, list) else []

    @property
    def is_block(self) -> bool:
        return isinstance(self.value, str) and self.value.startswith("|")


@dataclass
class Resource:
    """A resource: its entries, the comments behind the last one, and its line ends."""

    entries: list[Entry]
    end: list[str] = field(default_factory=list)
    newline: str = "\n"

    @property
    def text(self) -> str:
        return "".join(line + self.newline for line in [*_mapping(self.entries, 0), *self.end])


def _mapping(entries: list[Entry], column: int) -> list[str]:
    lines = []
    for entry in entries:
        lines += _above(entry, column)
        first, *rest = _entry(entry, column)
        lines += [" " * column + first, *rest]
    return lines


def _above(entry: Entry, column: int) -> list[str]:
    return [" " * column + comment if comment else "" for comment in entry.head]


def _entry(entry: Entry, column: int) -> list[str]:
    if isinstance(entry.value, str):
        first, *rest = entry.value.split("\n")
        return [f"{entry.name}: {first}{entry.behind}", *(" " * (column + 2) + line for line in rest)]
    if entry.kind == "flow":
        return [f"{entry.name}: [{', '.join(str(item.value) for item in entry.value)}]{entry.behind}"]
    first = f"{entry.name}:{entry.behind}"
    if entry.kind == "map":
        return [first, *_mapping(entry.value, column + 2)]
    return [first, *_items(entry, column + 2 * entry.wide)]


def _items(entry: Entry, column: int) -> list[str]:
    lines = []
    for item in entry.below:
        lines += _above(item, column)
        if isinstance(item.value, str):
            lines.append(" " * column + f"- {item.value}{item.behind}")
        else:
            first, *rest = _mapping(item.value, column + 2)
            lines += [" " * column + "- " + first.lstrip(), *rest]
    return lines


def walk(entries: list[Entry], before: Path = ()) -> Iterator[tuple[Path, Entry]]:
    """Yield every entry with its path."""
    for entry in entries:
        path = (*before, entry.name)
        yield path, entry
        yield from walk(entry.below, path)


# Making resources and edits

_FIELDS: Final = ("paused", "replicas", "revision", "strategy", "timeout")


@dataclass(frozen=True)
class Edit:
    """An edit of one part of one entry.

    Attributes:
        path: The entry.
        part: `value`, `behind`, `head`, `gone`, or `add` (of a field or element at the end).
        whole: The list that holds the entry and is merged as a whole; None for none.
        make: Makes it in a resource; the same in every copy.
    """

    path: Path
    part: str
    whole: Path | None
    make: Callable[[Resource], None]


class Maker:
    """Makes resources and edits; all texts in them are different, so that it is plain which one is which."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._last = 99

    def word(self, before: str = "w") -> str:
        self._last += 1
        return f"{before}{self._last}"

    def edits(self, of: Resource, near: Sequence[Edit] = ()) -> list[Edit]:
        """Return some edits, of which half are of the same parts as others."""
        found: list[Edit] = []
        made = [self._edit(of) for _ in range(self.chance.randint(1, 4))]
        made += [self._edit(of, other) for other in near if self.chance.random() < 0.5]
        for edit in made:
            # Two that go could leave an empty collection.
            if edit.part != "gone" or all(one.part != "gone" or one.path[:-1] != edit.path[:-1] for one in found):
                found.append(edit)
        return found

    def resource(self) -> Resource:
        """Return a Deployment with random fields, containers, lists, quotes and comments."""
        metadata = [Entry("name", "web"), *self._map("labels"), *self._map("annotations")]
        wide = self.chance.random() < 0.5
        count = self.chance.randint(1, 3)
        containers = Entry("containers", [self._container(wide=wide) for _ in range(count)], kind="named", wide=wide)
        pod = Entry("spec", [containers, *self._map("nodeSelector")], kind="map")
        names = self.chance.sample(_FIELDS, self.chance.randint(0, 3))
        spec = [*map(self._field, names), Entry("template", [pod], kind="map")]
        entries = [
            Entry("apiVersion", "apps/v1"),
            Entry("kind", "Deployment"),
            Entry("metadata", metadata, kind="map"),
            Entry("spec", spec, kind="map"),
        ]
        for path, entry in walk(entries):
            inside_brackets = any(found.kind == "flow" and path[:-1] == at for at, found in walk(entries))
            if inside_brackets:
                continue
            if _has_head(path):
                entry.head = self._head()
            if _has_behind(entry):
                entry.behind = self._behind()
        return Resource(entries, self._head(), self.chance.choice(["\n", "\n", "\r\n"]))

    def _container(self, *, wide: bool) -> Entry:
        fields = [Entry("name", self.word("c")), self._field("image")]
        if self.chance.random() < 0.5:
            items = [Entry(str(index), self.word("-")) for index in range(self.chance.randint(1, 3))]
            fields.append(Entry("args", items, kind=self.chance.choice(["plain", "flow"]), wide=wide))
        if self.chance.random() < 0.5:
            env = [self._variable() for _ in range(self.chance.randint(1, 3))]
            fields.append(Entry("env", env, kind="named", wide=wide))
        return Entry(str(fields[0].value), fields, kind="map")

    def _variable(self) -> Entry:
        name = Entry("name", self.word("E"))
        return Entry(str(name.value), [name, self._field("value", block=True)], kind="map")

    def _map(self, name: str) -> list[Entry]:
        fields = [self._field(self.word("key-")) for _ in range(self.chance.randint(0, 3))]
        return [Entry(name, fields, kind="map")] if fields else []

    def _field(self, name: str, *, block: bool = False) -> Entry:
        return Entry(name, self._written(self.chance.choice(["", "", "'", '"', "|" if block else ""])))

    def _written(self, quote: str) -> str:
        if quote == "|":
            return f"|-\n{self.word()}\n{self.word()} # no comment"
        return f"{quote}{self.word()}{quote}"

    def _head(self, *, blanks: bool = False) -> list[str]:
        lines = [self.word("# above ") for _ in range(max(self.chance.randint(-2, 2), 0))]
        return ["", *lines] if blanks and lines and self.chance.random() < 0.3 else lines

    def _behind(self) -> str:
        note, marker = self.word(" # note "), f" # kpt-set: ${{{self.word()}}}"
        return self.chance.choice(["", "", note, marker])

    def _edit(self, of: Resource, like: Edit | None = None) -> Edit:
        places = [(path, entry) for path, entry in walk(of.entries) if path[-1] != "name"]
        path, entry = self.chance.choice([place for place in places if like is None or place[0] == like.path])
        whole = next((at for at, found in places if found.kind in ("plain", "flow") and path[: len(at)] == at), None)
        siblings = next((found.below for at, found in places if at == path[:-1]), of.entries)
        inside = whole is not None and whole != path
        in_brackets = inside and any(found.kind == "flow" for at, found in places if at == whole)
        parts = _parts(path, entry, len(siblings), inside=inside, in_brackets=in_brackets)
        part = like.part if like is not None else self.chance.choice(parts)
        new = self._new(part, entry)

        def make(resource: Resource) -> None:
            _apply(resource, path, part, copy.deepcopy(new))

        return Edit(path, part, whole, make)

    def _new(self, part: str, entry: Entry) -> object:
        if part == "head":
            return self._head()
        if part == "behind":
            return self._behind()
        if part == "add":
            return self._addition(named=entry.kind == "named")
        text = str(entry.value)
        return self._written(text[0] if text[0] in "'\"|" else "") if part == "value" else None

    def _addition(self, *, named: bool) -> Entry:
        """Return a field or element in the style that comes from another side: without quotes that it does not need."""
        if not named:
            return Entry(self.word("new-"), self.word(), self._head(), self._behind())
        name = Entry("name", self.word("N"), [], self._behind())
        value = Entry("value", self.word(), self._head(), self._behind())
        return Entry(str(name.value), [name, value], self._head(), kind="map")


def _has_head(path: Path) -> bool:
    """Whether comments above an entry are its own: the first field of an element shares its line with the dash."""
    return not (path[-1] == "name" and len(path) > 2)


def _has_behind(entry: Entry) -> bool:
    return entry.kind != "map" and not entry.is_block


def _parts(path: Path, entry: Entry, siblings: int, *, inside: bool, in_brackets: bool) -> list[str]:
    parts = [] if in_brackets else ["head"]
    if not in_brackets and _has_behind(entry):
        parts += ["behind"]
    if entry.kind == "scalar" and path not in (("apiVersion",), ("kind",)):
        parts += ["value", "value"]
    # What an empty collection becomes, and a resource without a template, are other questions.
    if not inside and siblings > 1 and len(path) > 1 and entry.name != "template":
        parts.append("gone")
    if entry.kind in ("map", "named") and len(path) > 1:
        parts.append("add")
    return parts


def _apply(of: Resource, path: Path, part: str, new: object) -> None:
    entry = next((found for at, found in walk(of.entries) if at == path), None)
    if entry is None:
        return
    if part == "gone":
        next(found.below for at, found in walk(of.entries) if at == path[:-1]).remove(entry)
    elif part == "add":
        assert isinstance(new, Entry)
        entry.below.append(new)
    else:
        setattr(entry, part, new)


def touch(one: Edit, other: Edit) -> bool:
    """Whether two edits of different sides cannot both be made without a question."""
    for outer, inner in ((one, other), (other, one)):
        if outer.part == "gone" and inner.path[: len(outer.path)] == outer.path:
            return True
    if one.part == other.part == "gone" and one.path[:-1] == other.path[:-1]:
        return True
    if one.whole is not None or other.whole is not None:
        return (one.whole or one.path) == (other.whole or other.path)
    # A comment behind a value says something of the value; fields that both add have an order to be agreed on.
    same_line = {one.part, other.part} <= {"value", "behind"}
    return one.path == other.path and (one.part == other.part or same_line)


def edited(resource: Resource, *edits: Edit) -> Resource:
    """Return a copy with edits made."""
    result = copy.deepcopy(resource)
    for edit in edits:
        edit.make(result)
    return result
