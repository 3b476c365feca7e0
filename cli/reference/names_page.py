"""The page of annotations, labels and finalizers."""

from collections.abc import Iterator
from typing import Final

from porchflow.api import names
from porchflow.cli.reference.documented import documented
from porchflow.cli.reference.tables import code, table

_HEAD: Final = """\
# Annotations, labels and finalizers

<!-- Made from api/names.py by `python -m porchflow.cli.reference`. Change that, not this. -->

For everybody: the names that porchflow reads or writes in the metadata of objects. Those that begin with
`porchflow.dev/` are porchflow's own; the others are Porch's, and mean the same there.

"""

_KINDS: Final = {"ANNOTATION": "annotation", "LABEL": "label", "PREFIX": "label", "FINALIZER": "finalizer"}
_ELSEWHERE: Final = frozenset({"SYNC_TOKEN_PREFIX"})
"""Prefixes of values."""


def names_page() -> str:
    """Return the page, from the names of this version."""
    return _HEAD + table(("name", "kind", "meaning"), sorted(_rows()))


def _rows() -> Iterator[tuple[str, str, str]]:
    meanings = documented(names)
    for constant, value in vars(names).items():
        kind = _KINDS.get(constant.rpartition("_")[2])
        if kind is not None and constant not in _ELSEWHERE:
            yield code(f"{value}LABEL" if constant.endswith("PREFIX") else value), kind, meanings[constant]
