"""Queries in names: `NAME?path-only`, `NAME?file=a&file=b` and `NAME?partial=true`. Pure.

Clients of Kubernetes have no other way to pass parameters of an API with a get or an update.

Source: docs/reference/porch-api.md, "Queries in names".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from porchflow.content.refusals import bad_request

_YES: Final = frozenset({"", "1", "true", "yes"})
_NO: Final = frozenset({"0", "false", "no"})
_READS: Final = ("path-only", "file")
_WRITES: Final = ("partial",)
_ESCAPED: Final = re.compile(r"\\(.?)|(:)", re.DOTALL)


@dataclass(frozen=True)
class Selection:
    """The part of a package that a get asks for.

    Attributes:
        paths: The files; None for all.
        names_only: Whether their names are asked for, without their content.
    """

    paths: frozenset[str] | None = None
    names_only: bool = False


def selection_of(query: str) -> Selection:
    """Read the query in the name of a get.

    Raises:
        ApiError: It is no such query.
    """
    # kubectl patch and edit get the object of the name first that they write to.
    given = _given(query, (*_READS, *_WRITES))
    if (value := given.get("path-only", [""])) != [""]:
        raise bad_request(f"path-only in the name of the object has no value, not {', '.join(map(repr, value))}")
    paths = frozenset(map(_path, given["file"])) if "file" in given else None
    return Selection(paths, "path-only" in given)


def is_partial(query: str) -> bool:
    """Read the query in the name of an update or patch: whether the files that are not given stay.

    Raises:
        ApiError: It is no such query.
    """
    values = _given(query, _WRITES, _READS).get("partial")
    if values is None:
        return False
    word = values[0].lower()
    if len(values) > 1 or word not in _YES | _NO:
        raise bad_request(f"partial in the name of the object: give true or false, once, not {', '.join(values)!r}")
    return word in _YES


def _given(query: str, known: Sequence[str], elsewhere: Sequence[str] = ()) -> Mapping[str, list[str]]:
    try:
        given = parse_qs(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise bad_request("the query in the name of the object is no UTF-8") from None
    for key in given:
        if key in elsewhere:
            raise bad_request(
                f"{key!r} in the name of the object: {' and '.join(_READS)} say what a get shows; an update or patch"
                " takes partial=true"
            )
        if key not in known:
            raise bad_request(f"{key!r} in the name of the object is unknown: there are {', '.join(known)}")
    return given


def _path(value: str) -> str:
    r"""Return the path that a value of `file` means: `:` stands for a slash, `\:` and `\\` for the characters."""

    def plain(found: re.Match[str]) -> str:
        if found[2]:
            return "/"
        if found[1] not in {":", "\\"}:
            raise bad_request(
                f"file {value!r} in the name of the object: a backslash needs ':' or a backslash behind it"
            )
        return found[1]

    return _ESCAPED.sub(plain, value)
