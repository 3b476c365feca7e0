"""Pairs the elements of an old and a new list, so that an edit touches only changed elements.

Elements with the same unique `name`, and collections with the same content, are the same element wherever they stand.
The others are paired between these so that the fewest scalars change. Scalars that only changed their order count as
moved; otherwise they have no identity. Names that were exchanged or shifted identify nothing: where fewer scalars
change if each element keeps its place, it does.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from porchflow.api.limits import ELEMENTS_COMPARED
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.scalars import WrittenFloat, WrittenInt

Pair = tuple[int | None, int | None]
"""Index in the old and in the new list; None where the element was added or removed."""

_Place = tuple[str | int, ...]
"""Keys and indices that lead to a scalar; `()` for a scalar itself."""

_LEAVES_COMPARED: Final = 64
"""Scalars of an element that count when two elements are compared: enough to tell elements apart."""
_PAIRS_COMPARED: Final = 1024
"""Pairs of elements that are compared once more where some moved: as many as take some milliseconds."""
_CHANGED, _REMOVED, _ADDED = range(3)


def same(old: Value, new: Value) -> bool:
    """Return whether two values are equal; tells 1, 1.0 and true apart, and 1.1 from a 1.10 that was written so."""
    if old is new:
        return True
    if isinstance(new, WrittenInt | WrittenFloat) or type(old) is not type(new):
        return _same_number(old, new)
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(same(item, new[key]) for key, item in old.items())
    if isinstance(old, list):
        return len(old) == len(new) and all(map(same, old, new))
    return bool(old == new) or (old != old and new != new)  # noqa: PLR0124 - NaN is the one value unequal to itself


def _same_number(old: Value, new: Value) -> bool:
    """Return whether a number stays. One without an unusual spelling of its own keeps the spelling in the text."""
    for kind, written in ((int, WrittenInt), (float, WrittenFloat)):
        if all(type(value) in (kind, written) for value in (old, new)):
            return bool(old == new) and getattr(new, "text", None) in (None, getattr(old, "text", None))
    return False


def align(old: list[Value], new: list[Value]) -> list[Pair]:
    """Pair the elements of two lists.

    Args:
        old: The elements in the text.
        new: The wanted elements.

    Returns:
        Each index of both lists once, in the order of the new list; a removed element stands behind the one that is
        before it in the old list, or first. Old indices that do not grow are elements that moved.
    """
    head = 0
    while head < min(len(old), len(new)) and same(old[head], new[head]):
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    middle = _middle(old[head : len(old) - tail], new[head : len(new) - tail])
    found = {index: index for index in range(head)}
    found |= {j + head: i + head for j, i in middle.items()}
    found |= {len(new) - tail + index: len(old) - tail + index for index in range(tail)}
    return _in_order(found, len(old), len(new))


def _in_order(found: dict[int, int], olds: int, news: int) -> list[Pair]:
    kept = set(found.values())
    pairs: list[Pair] = []

    def removed_from(index: int) -> Iterator[Pair]:
        while index < olds and index not in kept:
            yield (index, None)
            index += 1

    pairs += removed_from(0)
    for j in range(news):
        i = found.get(j)
        pairs.append((i, j))
        if i is not None:
            pairs += removed_from(i + 1)
    return pairs


class _Element(NamedTuple):
    """An element of a list, prepared for comparisons.

    Attributes:
        places: Where its scalars are.
        leaves: Its scalars with their places, types and texts.
    """

    places: frozenset[_Place]
    leaves: frozenset[tuple[_Place, str, str]]

    @property
    def is_scalar(self) -> bool:
        return () in self.places


def _element(value: Value) -> _Element:
    leaves = list(_leaves(value, _LEAVES_COMPARED))
    return _Element(frozenset(place for place, *_ in leaves), frozenset(leaves))


def _name(value: Value) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def _leaves(value: Value, most: int) -> Iterator[tuple[_Place, str, str]]:
    """Yield the first scalars and empty collections of a value: place, type and text."""
    stack: list[tuple[_Place, Value]] = [((), value)]
    while stack and most:
        place, inner = stack.pop()
        if inner and isinstance(inner, dict):
            stack += [((*place, key), inner[key]) for key in reversed(inner)]
        elif inner and isinstance(inner, list):
            stack += [((*place, index), inner[index]) for index in range(len(inner) - 1, -1, -1)]
        else:
            most -= 1
            yield place, _kind(inner), str(inner)


def _kind(value: Value) -> str:
    """Return the type of a scalar; a number that remembers its spelling is a number like any other."""
    numbers = {WrittenInt: "int", WrittenFloat: "float"}
    return numbers.get(type(value)) or type(value).__name__


def _middle(old: list[Value], new: list[Value]) -> dict[int, int]:
    """Return the old index of each element of the new list that has one."""
    found = _by_name([_name(value) for value in old], [_name(value) for value in new])
    if max(len(old), len(new)) > ELEMENTS_COMPARED:
        for olds, news in list(_gaps(found, len(old), len(new))):
            found |= dict(zip(news, olds, strict=False))
        return found
    ours, theirs = [_element(value) for value in old], [_element(value) for value in new]
    _pair_equal(ours, theirs, found)
    for olds, news in list(_gaps(found, len(old), len(new))):
        chosen = _fewest_changes([ours[i] for i in olds], [theirs[j] for j in news])
        found |= {news[j]: olds[i] for i, j in chosen}
    _pair_moved(ours, theirs, found)
    return _in_place(ours, theirs, found)


def _in_place(old: Sequence[_Element], new: Sequence[_Element], found: dict[int, int]) -> dict[int, int]:
    """Return the pairs found, or pairs in the order of both lists if with these fewer scalars change, or none moves."""
    moved = len(_growing(sorted(found.items()))) < len(found)
    if not moved and len(found) == min(len(old), len(new)):
        return found
    cost = _total(old, new, found)
    if not cost:
        return found
    kept = _without_moves(old, new)
    kept_cost = _total(old, new, kept)
    return kept if kept_cost < cost or (moved and kept_cost == cost) else found


def _without_moves(old: Sequence[_Element], new: Sequence[_Element]) -> dict[int, int]:
    """Pair the elements in the order of both lists: those of long lists one by one."""
    if len(old) * len(new) <= _PAIRS_COMPARED:
        return {j: i for i, j in _fewest_changes(old, new)}
    return {i: i for i in range(min(len(old), len(new))) if _cost(old[i], new[i]) is not None}


def _total(old: Sequence[_Element], new: Sequence[_Element], found: dict[int, int]) -> int:
    """Return how many scalars are changed, removed and added with these pairs."""
    changed = sum(_difference(old[i], new[j]) for j, i in found.items())
    removed = sum(len(old[i].leaves) for i in _left(range(len(old)), found.values()))
    return changed + removed + sum(len(new[j].leaves) for j in _left(range(len(new)), found))


def _by_name(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Pair the elements with a name that is unique in both lists."""
    places = _unique(old)
    return {j: places[name] for name, j in _unique(new).items() if name in places}


def _unique(names: Sequence[str]) -> dict[str, int]:
    counts = Counter(names)
    return {name: index for index, name in enumerate(names) if name and counts[name] == 1}


def _pair_equal(old: Sequence[_Element], new: Sequence[_Element], found: dict[int, int]) -> None:
    """Pair equal collections; equal scalars only where one list has all the scalars of the other."""
    left_old, left_new = _left(range(len(old)), found.values()), _left(range(len(new)), found)
    ours, theirs = (
        Counter(element.leaves for element in map(side.__getitem__, left) if element.is_scalar)
        for side, left in ((old, left_old), (new, left_new))
    )
    reordered = ours <= theirs or theirs <= ours
    waiting: dict[frozenset[tuple[_Place, str, str]], list[int]] = {}
    for i in reversed(left_old):
        waiting.setdefault(old[i].leaves, []).append(i)
    for j in left_new:
        if waiting.get(new[j].leaves) and (reordered or not new[j].is_scalar):
            found[j] = waiting[new[j].leaves].pop()


def _left(indices: Iterable[int], taken: Iterable[int]) -> list[int]:
    known = set(taken)
    return [index for index in indices if index not in known]


def _gaps(found: dict[int, int], olds: int, news: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the elements without a partner between two neighbours that did not move, of both lists."""
    anchors = _growing(sorted(found.items()))
    taken = set(found.values())
    before_j, before_i = -1, -1
    for j, i in [*anchors, (news, olds)]:
        left_old = [index for index in range(before_i + 1, i) if index not in taken]
        left_new = [index for index in range(before_j + 1, j) if index not in found]
        if left_old and left_new:
            yield left_old, left_new
        before_j, before_i = j, i


def _growing(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest part of the pairs in which the second numbers grow."""
    ends: list[int] = []
    chosen: list[int] = []
    previous: list[int] = []
    for index, (_, second) in enumerate(pairs):
        at = bisect_left(ends, second)
        ends[at : at + 1] = [second]
        chosen[at : at + 1] = [index]
        previous.append(chosen[at - 1] if at else -1)
    growing = []
    index = chosen[-1] if chosen else -1
    while index >= 0:
        growing.append(pairs[index])
        index = previous[index]
    return growing[::-1]


def _fewest_changes(old: Sequence[_Element], new: Sequence[_Element]) -> Iterator[tuple[int, int]]:
    """Pair two runs of elements in their order so that the fewest scalars are changed, removed and added."""
    width = len(new) + 1
    costs = [[0] * width for _ in range(len(old) + 1)]
    steps = [[_ADDED] * width for _ in range(len(old) + 1)]
    for i in range(len(old), -1, -1):
        for j in range(len(new), -1, -1):
            if i == len(old) and j == len(new):
                continue
            choices = []
            if i < len(old) and j < len(new) and (cost := _cost(old[i], new[j])) is not None:
                choices.append((costs[i + 1][j + 1] + cost, _CHANGED))
            if i < len(old):
                choices.append((costs[i + 1][j] + len(old[i].leaves), _REMOVED))
            if j < len(new):
                choices.append((costs[i][j + 1] + len(new[j].leaves), _ADDED))
            costs[i][j], steps[i][j] = min(choices)
    i = j = 0
    while i < len(old) and j < len(new):
        if steps[i][j] == _CHANGED:
            yield i, j
        i, j = i + (steps[i][j] != _ADDED), j + (steps[i][j] != _REMOVED)


def _cost(old: _Element, new: _Element) -> int | None:
    """Return how many scalars differ; None for elements of which one cannot have become the other."""
    alike, places = len(old.leaves & new.leaves), len(old.places & new.places)
    if not alike and 2 * places < max(len(old.places), len(new.places)):
        return None
    return _difference(old, new)


def _difference(old: _Element, new: _Element) -> int:
    alike, places = len(old.leaves & new.leaves), len(old.places & new.places)
    return len(old.places) + len(new.places) - places - alike


def _pair_moved(old: Sequence[_Element], new: Sequence[_Element], found: dict[int, int]) -> None:
    """Pair what was changed and moved: each new element with the old one from which it differs least."""
    left = _left(range(len(old)), found.values())
    for j in _left(range(len(new)), found):
        costs = [(cost, i) for i in left if (cost := _cost(old[i], new[j])) is not None]
        if costs:
            found[j] = min(costs)[1]
            left.remove(found[j])
