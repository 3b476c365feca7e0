"""The content of a new draft, before it is one."""

from dataclasses import dataclass

from gitrepo.snapshots import Edit
from gitrepo.trees import Files


@dataclass(frozen=True)
class Made:
    """What a source made."""

    content: Files | Edit
    conflicts: tuple[str, ...] = ()
    """What a merge decided that a person should look at; one line each."""
