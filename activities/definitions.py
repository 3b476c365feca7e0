"""The activities as workflows see them: names, inputs and results, without the code that does I/O.

Everything that crosses Temporal is a reference: names, commit ids, short messages. No package content, no credentials.
"""

from abc import ABC, abstractmethod

from pydantic import BaseModel
from temporalio import activity

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts


class ObjectKey(BaseModel):
    """Names one PackageRevision."""

    namespace: str
    name: str


class PhaseInput(BaseModel):
    """Asks for one phase on one object as it was when the pass began."""

    namespace: str
    name: str
    intent: str
    """Digest of what the object asks for; the phase writes nothing when the live object has another one."""
    version: str = ""
    """The `resourceVersion` that the pass has read, for its first phase; empty for all others."""
    commit: str = ""
    """The draft commit that an earlier phase of the same pass made, when there was one."""
    deaths: int = 0
    """Processes that ended while they ran this phase, one after another; the phase runs isolated after the first."""
    tried_before: bool = False
    """Whether Temporal may have given the workflow's task, which this local attempt is part of, to a worker before."""


class PhaseResult(BaseModel):
    """Result of a phase."""

    summary: str
    """One line for people: shown in the Temporal UI."""
    current: Lifecycle | None = None
    """The lifecycle in Git after the phase; None where the phase did not look."""
    commit: str = ""
    revision: int = 0
    notes: list[str] = []
    """A few more lines for people, such as conflicts of a merge: shown in the run's details."""
    rendered: bool = False
    """Set by the source and subpackage phases: the content is rendered already, and the render phase has nothing to do.
    """


class ReconcileActivities(ABC):
    """Phases of a PackageRevision."""

    @activity.defn(name="observe")
    @abstractmethod
    async def observe(self, key: ObjectKey) -> Facts:
        """Read the live object. A local activity: it costs no task of its own."""

    @activity.defn(name="execute_source")
    @abstractmethod
    async def execute_source(self, request: PhaseInput) -> PhaseResult:
        """Make the first content of a package revision and commit it on its draft branch, once."""

    @activity.defn(name="change_subpackage")
    @abstractmethod
    async def change_subpackage(self, request: PhaseInput) -> PhaseResult:
        """Clone or upgrade one subpackage of a draft, as `spec.subpackageOperation` asks, once."""

    @activity.defn(name="render")
    @abstractmethod
    async def render(self, request: PhaseInput) -> PhaseResult:
        """Run the function pipeline on the draft's newest content and commit the result."""

    @activity.defn(name="move_lifecycle")
    @abstractmethod
    async def move_lifecycle(self, request: PhaseInput) -> PhaseResult:
        """Move the package revision in Git to the lifecycle the object asks for, and report it."""

    @activity.defn(name="finalize")
    @abstractmethod
    async def finalize(self, request: PhaseInput) -> PhaseResult:
        """Remove what a deleted object owns in Git, then let the object go."""

    @activity.defn(name="suspend")
    @abstractmethod
    async def suspend(self, request: PhaseInput) -> PhaseResult:
        """Report that the object is suspended, and do nothing else."""


class SyncRequest(BaseModel):
    """Asks for one sync of one Repository."""

    namespace: str
    name: str
    deaths: int = 0
    """Processes that ended while they ran this sync, one after another; it runs isolated after the first."""


class SyncResult(BaseModel):
    """Result of a sync."""

    summary: str
    """One line for people: shown in the Temporal UI."""
    revisions: int = 0
    """Package revisions in Git."""
    written: int = 0
    """Objects that were made or changed."""
    unsettled: int = 0
    """Objects that changed, or had work in hand, during the sync: the next sync should come soon."""


class ListingResult(BaseModel):
    """Result of a listing of refs."""

    listed: int = 0
    """Repositories whose refs were listed, or that were due for a sync anyway."""
    started: int = 0
    """Syncs that were started."""
    failed: int = 0
    """Syncs that Temporal could not start; the next listing tries again."""

    @property
    def summary(self) -> str:
        """One line for people: shown in the Temporal UI."""
        failed = f"; could not be started: {self.failed}" if self.failed else ""
        return f"Repositories looked at: {self.listed}; syncs started: {self.started}{failed}"


class ListingActivities(ABC):
    """Activities of all Repositories together."""

    @activity.defn(name="list_refs")
    @abstractmethod
    async def list_refs(self) -> ListingResult:
        """List the refs of each Repository without a schedule of its own, and start the syncs of those that moved."""


class SyncActivities(ABC):
    """Activities of a Repository."""

    @activity.defn(name="sync_repository")
    @abstractmethod
    async def sync_repository(self, request: SyncRequest) -> SyncResult:
        """Compare Git with the objects and make them agree; of a deleted Repository, remove the objects."""
