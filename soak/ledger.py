"""What people were promised: the state that each object and its content must come to."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from porchflow.api.models.packagerevision import Lifecycle
from soak.places import Key, Place

GONE = None
"""In place of a lifecycle: the object was deleted."""
Wanted = Lifecycle | None


@dataclass
class Promise:
    """What is expected of one PackageRevision.

    Attributes:
        key: The object.
        wanted: The lifecycles that are right; several only where the answer to a request was never seen.
        published: Whether it was ever published.
        stalled: Reason of the condition `Stalled` that it must have; empty for none.
        pushed: Commits on its draft that Git or the content API has accepted.
        tokens: Words of the files that these commits brought.
        labels: Labels that were set through the spec.
        suspended: Whether it is suspended.
        sources: The objects that it is made from.
        abandoned: Whether its Repository was registered again in the middle of work on it: its state is unknown.
    """

    key: Key
    wanted: frozenset[Wanted] = frozenset({Lifecycle.DRAFT})
    published: bool = False
    stalled: str = ""
    pushed: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    suspended: bool = False
    sources: tuple[Key, ...] = ()
    abandoned: bool = False

    def is_sure(self, lifecycle: Wanted) -> bool:
        """Return whether nothing else can be right."""
        return self.wanted == {lifecycle}


class Ledger:
    """All promises.

    Attributes:
        promises: By object.
        commits: By Git repository, commits of people on the branch of published packages that Git has accepted.
    """

    def __init__(self) -> None:
        """Create an empty ledger."""
        self.promises: dict[Key, Promise] = {}
        self.commits: dict[str, list[str]] = defaultdict(list)

    def make(self, key: Key) -> Promise:
        """Return the promise of an object that is asked for."""
        return self.promises.setdefault(key, Promise(key))

    def promise(self, key: Key) -> Promise:
        """Return the promise of an object that was asked for before."""
        return self.promises[key]

    def of(self, place: Place) -> Iterator[Promise]:
        """Yield the promises of a Repository."""
        return (promise for promise in self.promises.values() if promise.key.place == place)

    def is_open(self, promise: Promise) -> bool:
        """Return whether nothing was promised: it was abandoned, or waits for a source that was."""
        return promise.abandoned or any(self.is_open(self.promise(source)) for source in promise.sources)

    def published(self, place: Place, package: str) -> range:
        """Return how many revisions of a package may ever have been published."""
        published = [each for each in self.of(place) if each.published and each.key.package == package]
        return range(sum(not each.abandoned for each in published), len(published) + 1)
