"""Pairs the elements of an old and a new list, so that an edit touches only changed elements."""

from porchflow.api.limits import ELEMENTS_COMPARED
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.scalars import WrittenFloat, WrittenInt

Pair = tuple[int | None, int | None]
"""Index in the old and in the new list; None where the element was added or removed."""


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
        Pairs in the order that the text must have; both indices only ever grow.
    """
    head = 0
    while head < min(len(old), len(new)) and same(old[head], new[head]):
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    middle = _middle(old[head : len(old) - tail], new[head : len(new) - tail])
    pairs: list[Pair] = [(index, index) for index in range(head)]
    pairs += [(None if i is None else i + head, None if j is None else j + head) for i, j in middle]
    pairs += [(len(old) - tail + index, len(new) - tail + index) for index in range(tail)]
    return pairs


def _middle(old: list[Value], new: list[Value]) -> list[Pair]:
    if not old or not new:
        return _gap(0, len(old), 0, len(new))
    named = _anchors_by_name(old, new)
    if named is not None:
        return _between(named, len(old), len(new), by_position=False)
    if max(len(old), len(new)) > ELEMENTS_COMPARED:
        return _gap(0, len(old), 0, len(new))
    return _between(_common_subsequence(old, new), len(old), len(new), by_position=True)


def _anchors_by_name(old: list[Value], new: list[Value]) -> list[tuple[int, int]] | None:
    """Return the pairs of elements with the same `name`, if each has a unique one and their order did not change."""
    places = _names(old)
    wanted = _names(new)
    if places is None or wanted is None:
        return None
    pairs = [(places[name], index) for name, index in wanted.items() if name in places]
    return pairs if pairs == sorted(pairs) else None


def _names(elements: list[Value]) -> dict[str, int] | None:
    names: dict[str, int] = {}
    for index, element in enumerate(elements):
        name = element.get("name") if isinstance(element, dict) else None
        if not isinstance(name, str) or name in names:
            return None
        names[name] = index
    return names


def _common_subsequence(old: list[Value], new: list[Value]) -> list[tuple[int, int]]:
    """Return the longest common subsequence, as index pairs."""
    width = len(new) + 1
    lengths = [[0] * width for _ in range(len(old) + 1)]
    for i in range(len(old) - 1, -1, -1):
        row, below = lengths[i], lengths[i + 1]
        for j in range(len(new) - 1, -1, -1):
            row[j] = below[j + 1] + 1 if same(old[i], new[j]) else max(below[j], row[j + 1])
    pairs = []
    i = j = 0
    while i < len(old) and j < len(new):
        if same(old[i], new[j]):
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return pairs


def _between(anchors: list[tuple[int, int]], olds: int, news: int, *, by_position: bool) -> list[Pair]:
    pairs: list[Pair] = []
    i = j = 0
    for next_i, next_j in [*anchors, (olds, news)]:
        if by_position:
            pairs += _gap(i, next_i, j, next_j)
        else:
            pairs += [(index, None) for index in range(i, next_i)]
            pairs += [(None, index) for index in range(j, next_j)]
        if next_i < olds:
            pairs.append((next_i, next_j))
        i, j = next_i + 1, next_j + 1
    return pairs


def _gap(i: int, next_i: int, j: int, next_j: int) -> list[Pair]:
    """Pair a run of differing elements by position; the elements left over were removed or added."""
    shared = min(next_i - i, next_j - j)
    pairs: list[Pair] = [(i + step, j + step) for step in range(shared)]
    pairs += [(index, None) for index in range(i + shared, next_i)]
    pairs += [(None, index) for index in range(j + shared, next_j)]
    return pairs
