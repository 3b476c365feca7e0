"""Three-way merge of one value.

Source: docs/reference/kpt-merge.md, "Fields" and "Lists with keys", which also list the differences to kpt's behaviour.

The rule in short: a change of only one side is taken. Where both changed the same scalar or plain list in different
ways, upstream wins, and the conflict is recorded.
"""

from dataclasses import dataclass, field
from typing import Any

from porchflow.kpt.merge.merge_result import ABSENT, Absent, Kept, Maybe
from porchflow.kpt.merge.shape import Key, Shape
from porchflow.yamltext.align import same
from porchflow.yamltext.nodes import Value

FieldPath = tuple[str, ...]
"""Steps to a field, each in the form for messages: `.spec` and `.containers`, then `[name=web]`."""


@dataclass(frozen=True)
class Clash:
    """A field that both sides changed in different ways."""

    path: FieldPath
    local: Maybe
    upstream: Maybe
    kept: Kept

    @property
    def field(self) -> str:
        """The path as one string."""
        return "".join(self.path).removeprefix(".")


@dataclass
class ValueMerge:
    """Merges values and records the conflicts.

    Attributes:
        clashes: The conflicts so far.
    """

    clashes: list[Clash] = field(default_factory=list)

    def merge(self, base: Maybe, upstream: Maybe, local: Maybe, shape: Shape, path: FieldPath = ()) -> Maybe:
        """Return the merged value; `ABSENT` if it is to be removed."""
        if equal(base, upstream) or equal(upstream, local):
            return local
        if equal(base, local):
            return upstream
        if upstream is None or local is None:
            return self._cleared(path, local, upstream)
        if _all_are(dict, base, upstream, local) or (isinstance(upstream, dict) and isinstance(local, dict)):
            return self._mapping(base, upstream, local, shape, path)
        if shape.keying is not None and _all_are(list, upstream, local) and upstream is not ABSENT:
            merged = self._keyed_list(base, upstream, local, shape, path)
            if merged is not None:
                return merged
        return self._choose(path, local, upstream, Kept.UPSTREAM, upstream)

    def _cleared(self, path: FieldPath, local: Maybe, upstream: Maybe) -> Maybe:
        """Return the merged value where one or both sides have an explicit `null`, which clears the field."""
        if upstream is None:
            return self._choose(path, local, upstream, Kept.UPSTREAM, ABSENT)
        return self._choose(path, local, upstream, Kept.LOCAL, None)

    def _choose(self, path: FieldPath, local: Maybe, upstream: Maybe, kept: Kept, result: Maybe) -> Maybe:
        if not (upstream is None and local is ABSENT):
            self.clashes.append(Clash(path, local, upstream, kept))
        return result

    def _mapping(self, base: Maybe, upstream: Maybe, local: Maybe, shape: Shape, path: FieldPath) -> Maybe:
        old, theirs, ours = (side if isinstance(side, dict) else {} for side in (base, upstream, local))
        result: dict[str, Value] = {}
        for name in (*ours, *(name for name in theirs if name not in ours)):
            sides = (old.get(name, ABSENT), theirs.get(name, ABSENT), ours.get(name, ABSENT))
            merged = self.merge(*sides, shape.child(name), (*path, step(name)))
            if merged is not ABSENT:
                result[name] = merged
        return result if result or local is not ABSENT else ABSENT

    def _keyed_list(
        self, base: Maybe, upstream: Maybe, local: Maybe, shape: Shape, path: FieldPath
    ) -> list[Value] | Absent | None:
        """Return the list merged by element; None where elements cannot be told apart."""
        sides = [side if isinstance(side, list) else [] for side in (base, upstream, local)]
        key = shape.keying(sides) if shape.keying is not None else None
        if key is None:
            return None
        old, theirs, ours = ({key(element): element for element in side} for side in sides)
        merged: dict[Key, Value] = {}
        for name in (*ours, *(name for name in theirs if name not in ours)):
            elements = tuple(side.get(name, ABSENT) for side in (old, theirs, ours))
            element = self._element(elements, name, shape, (*path, item_step(name)))
            if element is not ABSENT:
                merged[name] = element
        result = [merged[name] for name in _ordered(list(ours), list(theirs)) if name in merged]
        return result if result or local is not ABSENT else ABSENT

    def _element(self, sides: tuple[Maybe, ...], key: Key, shape: Shape, path: FieldPath) -> Maybe:
        base, upstream, local = sides
        if base is not ABSENT and not equal(base, upstream) and not equal(base, local):
            if upstream is ABSENT and local is not ABSENT:
                return self._choose(path, local, upstream, Kept.UPSTREAM, ABSENT)
            if local is ABSENT and upstream is not ABSENT:
                if shape.stays_removed:
                    return self._choose(path, local, upstream, Kept.LOCAL, ABSENT)
                changed = ValueMerge().merge(base, upstream, local, shape.element, path)
                return self._choose(path, local, upstream, Kept.UPSTREAM, _with_key(changed, upstream, key))
        return self.merge(base, upstream, local, shape.element, path)


def equal(one: Maybe, other: Maybe) -> bool:
    """Return whether two sides are equal, also in the spelling of numbers."""
    if one is ABSENT or other is ABSENT:
        return one is other
    return same(one, other) and same(other, one)


def step(name: str) -> str:
    """Return a field's name as a step of a path."""
    return f"[{name}]" if "." in name or "/" in name or not name else f".{name}"


def _all_are(kind: type, *sides: Maybe) -> bool:
    """Return whether the sides that have a value have one of this type, and at least one has."""
    present = [side for side in sides if side is not ABSENT]
    return bool(present) and all(isinstance(side, kind) for side in present)


def item_step(key: Any) -> str:  # noqa: ANN401 - a Key that keying made
    """Return an element's key as a step of a path."""
    if isinstance(key, tuple) and key and isinstance(key[0], tuple):
        return "[" + ",".join(f"{name}={_plain(value)}" for name, value in key if value is not None) + "]"
    return f"[{_plain(key)}]"


def _plain(value: Any) -> str:  # noqa: ANN401 - part of a Key
    return str(value[1] if isinstance(value, tuple) else value)


def _with_key(element: Maybe, whole: Value, key: Any) -> Maybe:  # noqa: ANN401 - a Key that keying made
    """Return the merged rest of an element, with the fields that name it."""
    if not isinstance(element, dict) or not isinstance(key, tuple):
        return element
    names = [part[0] for part in key if isinstance(part, tuple) and part[0] in whole]
    return {**{name: whole[name] for name in names}, **element}


def _ordered(ours: list[Key], theirs: list[Key]) -> list[Key]:
    """Return keys in local order; those of upstream alone before their next common neighbour, else at the end."""
    known = set(ours)
    before: dict[Key, list[Key]] = {}
    waiting: list[Key] = []
    for name in theirs:
        if name in known:
            before.setdefault(name, []).extend(waiting)
            waiting = []
        else:
            waiting.append(name)
    return [*(name for own in ours for name in (*before.get(own, ()), own)), *waiting]
