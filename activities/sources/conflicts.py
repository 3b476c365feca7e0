"""Conflicts of a merge, cut to what a result and Events can hold."""

from collections.abc import Sequence

_TOLD = 10
_LINE_LIMIT = 500
"""Characters of a conflict, which the activity's result carries."""


def some_conflicts(conflicts: Sequence[str]) -> list[str]:
    """Return the first conflicts, cut to a line each, and the number of the others."""
    told = [line[:_LINE_LIMIT] for line in conflicts[:_TOLD]]
    more = len(conflicts) - len(told)
    return [*told, f"and {more} more conflicts; compare the draft with both upstreams"] if more else told
