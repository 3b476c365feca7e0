"""Versions of functions, and constraints on them, as kpt reads the `tag` of a function.

The syntax is that of the Masterminds semver library: `~0.4`, `^1.2`, `>=0.1 <1`, `0.1.x`, `1.2 - 1.4`. A comma or a
space means "and", `||` means "or".

Source: docs/reference/kpt-rendering.md, "Versions of functions".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from porchflow.api.limits import CONSTRAINT_CHARACTERS

_ENDING: Final = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?"
_VERSION: Final = re.compile(rf"v?([0-9]{{1,9}})(?:\.([0-9]{{1,9}}))?(?:\.([0-9]{{1,9}}))?{_ENDING}")
_PART: Final = r"([0-9]{1,9}|[xX*])"
_COMPARISON: Final = re.compile(rf"(!=|>=|=>|<=|=<|~>|[=<>~^])?v?{_PART}(?:\.{_PART})?(?:\.{_PART})?{_ENDING}")
_RANGE: Final = re.compile(r"(\S+)\s+-\s+(\S+)")
_AFTER_OPERATOR: Final = re.compile(r"(?<=[=<>~^])\s+")


class ConstraintError(ValueError):
    """A text is no constraint on versions."""


@dataclass(frozen=True)
class Version:
    """A version; missing parts are 0."""

    major: int
    minor: int = 0
    patch: int = 0
    prerelease: str = ""

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key in the order of Semantic Versioning 2.0.0; build metadata does not count."""
        identifiers = self.prerelease.split(".") if self.prerelease else []
        parts = [(0, int(each), "") if each.isdigit() else (1, 0, each) for each in identifiers]
        return self.major, self.minor, self.patch, not self.prerelease, parts


def parse_version(text: str) -> Version | None:
    """Parse a version, with or without a leading `v`; None if the text is no version."""
    found = _VERSION.fullmatch(text) if len(text) <= CONSTRAINT_CHARACTERS else None
    if found is None:
        return None
    major, minor, patch, prerelease = found.groups()
    return Version(int(major), int(minor or 0), int(patch or 0), prerelease or "")


_Bound = tuple[Any, ...] | None
"""A place in the order of versions; None is its end."""


@dataclass(frozen=True)
class _Comparison:
    """A range of versions from `least` up to, but without, `below`; `outside` means all other versions."""

    least: _Bound
    below: _Bound
    takes_prereleases: bool
    outside: bool = False

    def holds(self, version: Version) -> bool:
        if version.prerelease and not self.takes_prereleases:
            return False
        order = version.order
        inside = (self.least is None or self.least <= order) and (self.below is None or order < self.below)
        return inside is not self.outside


class Constraint:
    """A constraint on versions."""

    def __init__(self, text: str) -> None:
        """Parse a constraint.

        Raises:
            ConstraintError: The text is no constraint.
        """
        if len(text) > CONSTRAINT_CHARACTERS:
            raise ConstraintError(f"a constraint of more than {CONSTRAINT_CHARACTERS} characters")
        self._any_of = [_all_of(part) for part in text.split("||")]

    def holds(self, version: Version) -> bool:
        """Return whether a version fulfils the constraint; prereleases fulfil only comparisons that name one."""
        return any(all(comparison.holds(version) for comparison in each) for each in self._any_of)

    def highest(self, tags: Iterable[str]) -> str | None:
        """Return the tag of the highest version that fulfils the constraint; None if there is none.

        Tags that are no versions, signatures (`sha256-…`) and development builds (`-git-`) do not count.
        """
        found = [
            (version.order, tag)
            for tag in tags
            if not tag.startswith("sha256-") and "-git-" not in tag
            if (version := parse_version(tag)) is not None and self.holds(version)
        ]
        return max(found)[1] if found else None


def _all_of(text: str) -> list[_Comparison]:
    ranged = _RANGE.sub(r">=\1 <=\2", text)
    words = _AFTER_OPERATOR.sub("", ranged).replace(",", " ").split()
    if not words:
        raise ConstraintError(f"{text!r} names no version")
    return [_comparison(word) for word in words]


def _comparison(word: str) -> _Comparison:
    found = _COMPARISON.fullmatch(word)
    if found is None:
        raise ConstraintError(f"{word!r} is no comparison with a version")
    operator, *parts, prerelease = found.groups()
    given = _given(parts)
    if not given:
        return _Comparison(None, None, takes_prereleases=False, outside=operator in {"!=", "<", ">"})
    exact = len(given) == len(parts)
    version = _version(given, prerelease or "")
    least, above = version.order, (*version.order, ()) if exact else _after(given)
    bounds: dict[str | None, tuple[_Bound, _Bound]] = {
        ">": (above, None),
        ">=": (least, None),
        "=>": (least, None),
        "<": (None, least),
        "<=": (None, above),
        "=<": (None, above),
        "^": (least, _after(_compatible(given))),
        "~": (least, _after(given[:2])),
        "~>": (least, _after(given[:2])),
    }
    return _Comparison(*bounds.get(operator, (least, above)), bool(prerelease), outside=operator == "!=")


def _given(parts: Iterable[str | None]) -> list[int]:
    """Return the numbers before the first missing part or wildcard."""
    given: list[int] = []
    for part in parts:
        if part is None or not part.isdigit():
            break
        given.append(int(part))
    return given


def _compatible(given: list[int]) -> list[int]:
    """Return the parts that a caret keeps: those up to the first that is not 0."""
    for count, part in enumerate(given, start=1):
        if part:
            return given[:count]
    return given


def _after(given: list[int]) -> _Bound:
    """Return the end of the versions that begin with these parts: before the prereleases of the next version."""
    *kept, last = given
    following = _version([*kept, last + 1])
    return (following.major, following.minor, following.patch, False, [])


def _version(given: list[int], prerelease: str = "") -> Version:
    major, minor, patch = [*given, 0, 0][:3]
    return Version(major, minor, patch, prerelease)
