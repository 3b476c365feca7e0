"""The content of a new draft, before it is one."""

from dataclasses import dataclass

from porchflow.activities.sources.upstreams import PublishedRevision
from porchflow.gitrepo.store.snapshots import Edit
from porchflow.gitrepo.store.trees import Files


@dataclass(frozen=True)
class Made:
    """What a source made."""

    content: Files | Edit
    conflicts: tuple[str, ...] = ()
    """What a merge decided that a person should look at; one line each."""
    upstream: PublishedRevision | None = None
    """The package revision that it was made from, where it is one, and upgrades may need again."""
