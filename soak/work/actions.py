"""What people do: one action each, as a plan lists them."""

from dataclasses import dataclass, field
from enum import StrEnum

from soak.places import Key, Place


class Kind(StrEnum):
    """Kinds of actions."""

    INIT = "init"
    CLONE = "clone"
    COPY = "copy"
    UPGRADE = "upgrade"
    PUSH = "push"
    """Content, with plain Git to the draft branch."""
    PUSH_BESIDE = "push-beside"
    """The same, at once: whatever another person has just asked of the object."""
    WRITE = "write"
    """Content, through the content API."""
    LABEL = "label"
    """A label of the package, through the spec."""
    PROPOSE = "propose"
    REJECT = "reject"
    PUBLISH = "publish"
    PROPOSE_DELETION = "propose-deletion"
    UNDO_DELETION = "undo-deletion"
    DELETE = "delete"
    RECONCILE = "reconcile-now"
    SUSPEND = "suspend"
    RESUME = "resume"
    COMMIT = "commit"
    """Of a file beside all packages, to the branch of published packages, with plain Git."""
    SYNC = "sync"
    REREGISTER = "reregister"
    """The Repository is deleted and made again once all is well in it; Git keeps everything."""
    REREGISTER_NOW = "reregister-now"
    """The same in the middle of work: what was not in Git yet is lost, and nobody goes on with it."""
    PUBLISH_AS_AUTHOR = "publish-as-author"
    """Must be refused."""
    DELETE_PUBLISHED = "delete-published"
    """Must be refused."""
    INIT_AGAIN = "init-again"
    """Of a package that is published: must be Stalled."""


CREATES = frozenset({Kind.INIT, Kind.CLONE, Kind.COPY, Kind.UPGRADE, Kind.INIT_AGAIN})
REFUSED = frozenset({Kind.PUBLISH_AS_AUTHOR, Kind.DELETE_PUBLISHED})


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        number: Its number in the plan.
        at: Seconds since the start, before which it does not begin.
        user: The person.
        kind: What is done.
        place: The Repository.
        key: The object; None where the Repository itself is acted on.
        sources: Objects that a new one is made from, in the order of the fields of its source.
        after: Numbers of the actions that must have been done before.
        waits: Whether the person waits until the object is Ready before the next action on it.
        token: A word of its own, for content, labels and requests.
    """

    number: int
    at: float
    user: str
    kind: Kind
    place: Place
    key: Key | None = None
    sources: tuple[Key, ...] = ()
    after: tuple[int, ...] = field(default=())
    waits: bool = True

    @property
    def token(self) -> str:
        """A word of its own, for content, labels and requests."""
        return f"t{self.number}"

    @property
    def object(self) -> Key:
        """The object that is acted on."""
        if self.key is None:
            raise ValueError(f"{self.kind} acts on a Repository")
        return self.key

    def __str__(self) -> str:
        made_from = f" from {', '.join(key.name for key in self.sources)}" if self.sources else ""
        waits = "" if self.waits else ", without waiting"
        return f"{self.user}: {self.kind} {self.key or self.place}{made_from}{waits}"
