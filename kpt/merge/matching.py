"""Matches the resources of two sides: by identity, and where that fails as moved or renamed."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from posixpath import basename
from typing import Final

from porchflow.api.limits import RENAMES_COMPARED
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.krm import text_of
from porchflow.kpt.merge.documents import ParsedFile
from porchflow.kpt.merge.resource_identity import Identity, identity_of
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import Value

_ALIKE: Final = 0.7
"""Share of fields that two resources have in common when one is the other renamed."""


@dataclass(frozen=True, eq=False)
class Item:
    """One document of one side.

    Attributes:
        path: Of its file.
        part: Index of its part of the file.
        position: Its place among the documents of the file.
        document: The parsed document.
        identity: The identity that names it.
    """

    path: str
    part: int
    position: int
    document: Document
    identity: Identity

    @property
    def is_resource(self) -> bool:
        """Whether more than its place tells it apart from others."""
        return bool(self.identity.kind)

    @cached_property
    def fields(self) -> frozenset[tuple[object, ...]]:
        """Its scalars with their paths, without those that name it."""
        return frozenset(_leaves(self.document.value, ()))


Pairs = dict[Item, Item]
"""From an item of the older side to the item it became."""


def items_of(path: str, parsed: ParsedFile) -> list[Item]:
    """Return the documents of a file. One without a kind or name is named by its place among others of that sort."""
    items: list[Item] = []
    nameless = 0
    for position, document in enumerate(parsed.documents):
        known = Identity("", KPTFILE, "", "") if basename(path) == KPTFILE else identity_of(document)
        if basename(path) != KPTFILE and not (known.kind and known.name):
            known = Identity("", "", "", f"#{nameless}")
            nameless += 1
        items.append(Item(path, parsed.source.documents[position], position, document, known))
    return items


def pair(olds: Sequence[Item], news: Sequence[Item], *, guess: bool = True) -> Pairs:
    """Find for each item of one side its counterpart on another.

    In this order: the same identity in the same file; the same identity elsewhere (moved); in the same file the same
    kind and name in another namespace; in the same file the same kind with most fields the same (renamed). Each step
    takes only unambiguous pairs.

    Args:
        olds: Of the older side.
        news: Of the newer side.
        guess: Whether to take the last two steps.
    """
    pairs: Pairs = {}
    _by(lambda item: (item.path, item.identity), olds, news, pairs)
    _by(lambda item: item.identity if item.is_resource and basename(item.path) != KPTFILE else item, olds, news, pairs)
    if guess:
        _by(_without_namespace, olds, news, pairs)
        _by_likeness(olds, news, pairs)
    return pairs


def _without_namespace(item: Item) -> Hashable:
    if not item.is_resource:
        return item
    value = item.document.value
    return item.path, item.identity.group, item.identity.kind, text_of(value, "metadata", "name")


def _by(key: Callable[[Item], Hashable], olds: Sequence[Item], news: Sequence[Item], pairs: Pairs) -> None:
    """Pair items whose key is unique on both sides."""
    before, after = _grouped(key, _rest(olds, pairs)), _grouped(key, _rest(news, pairs.values()))
    for name, candidates in before.items():
        if len(candidates) == 1 and len(after.get(name, ())) == 1:
            pairs[candidates[0]] = after[name][0]


def _by_likeness(olds: Sequence[Item], news: Sequence[Item], pairs: Pairs) -> None:
    before = _grouped(_file_and_kind, [item for item in _rest(olds, pairs) if item.is_resource])
    after = _grouped(_file_and_kind, [item for item in _rest(news, pairs.values()) if item.is_resource])
    for name, candidates in before.items():
        others = after.get(name, [])
        if len(candidates) * len(others) > RENAMES_COMPARED:
            continue
        scored = [
            (-_likeness(old, new), abs(old.position - new.position), old.position, new.position, old, new)
            for old in candidates
            for new in others
        ]
        taken: set[Item] = set()
        for score, _, _, _, old, new in sorted(scored, key=lambda one: one[:4]):
            if -score >= _ALIKE and old not in taken and new not in taken:
                taken |= {old, new}
                pairs[old] = new


def _file_and_kind(item: Item) -> Hashable:
    return item.path, item.identity.group, item.identity.kind


def _likeness(old: Item, new: Item) -> float:
    """Return the share of common fields, from 0 to 1; two resources with nothing but a name are alike."""
    total = len(old.fields) + len(new.fields)
    return 2 * len(old.fields & new.fields) / total if total else 1.0


def _leaves(value: Value, path: tuple[object, ...]) -> Iterable[tuple[object, ...]]:
    if path in _NAMES:
        return
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    else:
        yield (*path, type(value).__name__, str(value))


_NAMES: Final = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}


def _rest(items: Sequence[Item], taken: Iterable[Item]) -> list[Item]:
    known = set(taken)
    return [item for item in items if item not in known]


def _grouped(key: Callable[[Item], Hashable], items: Iterable[Item]) -> dict[Hashable, list[Item]]:
    groups: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups
