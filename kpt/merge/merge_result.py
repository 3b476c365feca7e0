"""The result of an update of a package, with the conflicts between upstream and local."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from porchflow.yamltext.nodes import Value

_LONGEST_VALUE: Final = 120
_LONGEST_PLACE: Final = 250
_BEFORE_DIFFERENCE: Final = 40


class Absent(Enum):
    """Stands for a value that one side does not have, which is not the same as `null`."""

    ABSENT = "(none)"


ABSENT: Final = Absent.ABSENT

Maybe = Value | Absent
"""A value of one side, or none."""


class Kept(StrEnum):
    """The side whose version a conflict left in the result."""

    LOCAL = "local"
    UPSTREAM = "upstream"


@dataclass(frozen=True)
class Conflict:
    """Upstream and the local package changed the same thing in different ways.

    Attributes:
        path: The file, in the result or, where it is gone, in the local package.
        resource: `apiVersion/kind namespace/name`; empty where the file as a whole is meant.
        field: Path of the field, as in `spec.template.spec.containers[name=web].image`; empty where the whole resource
            or file is meant.
        local: The local package's value, on one line of bounded length.
        upstream: The new upstream's value, likewise.
        kept: Which of the two the result has.
    """

    path: str
    resource: str
    field: str
    local: str
    upstream: str
    kept: Kept

    @property
    def message(self) -> str:
        """The conflict in one line of bounded length, for people."""
        place = ": ".join(part for part in (self.path, self.resource, self.field) if part)
        return (
            f"{_bounded(place, _LONGEST_PLACE)}: local is {self.local}, upstream is {self.upstream};"
            f" kept {self.kept.value}"
        )


@dataclass(frozen=True)
class UpdateOutcome:
    """The updated package.

    Attributes:
        files: The complete package; a file that did not change is the same bytes object as in the local package.
        conflicts: In the order of path, resource and field.
    """

    files: dict[str, bytes]
    conflicts: tuple[Conflict, ...]


def in_order(conflicts: Iterable[Conflict]) -> tuple[Conflict, ...]:
    """Return conflicts in an order independent of the order of files; each once."""
    unique = dict.fromkeys(conflicts)
    return tuple(sorted(unique, key=lambda one: (one.path, one.resource, one.field, one.local, one.upstream)))


def shown(local: Maybe, upstream: Maybe) -> tuple[str, str]:
    """Return two different values, each on one line of bounded length.

    Long values with a common beginning are cut to begin near their first difference.
    """
    one, other = _line(local), _line(upstream)
    if _bounded(one, _LONGEST_VALUE) == _bounded(other, _LONGEST_VALUE):
        alike = next(
            (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        start = max(alike - _BEFORE_DIFFERENCE, 0)
        one, other = (f"…{text[start:]}" if start else text for text in (one, other))
    return _bounded(one, _LONGEST_VALUE), _bounded(other, _LONGEST_VALUE)


def _line(value: Maybe) -> str:
    return str(value.value) if isinstance(value, Absent) else json.dumps(value, ensure_ascii=False, default=str)


def _bounded(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
