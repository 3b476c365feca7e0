"""The content of a new draft, before it is pushed."""

from dataclasses import dataclass

from porchflow.activities.sources.upstreams import PublishedRevision
from porchflow.api.models.conditions import Reason
from porchflow.gitrepo.store.snapshots import Edit
from porchflow.gitrepo.store.trees import Files


@dataclass(frozen=True)
class Made:
    """The result of a source."""

    content: Files | Edit
    conflicts: tuple[str, ...] = ()
    """Decisions of a merge that a person should review; one line each."""
    upstream: PublishedRevision | None = None
    """The package revision that the content was made from; None for init, copy and a clone of an address."""
    warnings: tuple[tuple[Reason, str], ...] = ()
    """What a person should know of the source, each with its reason."""
