"""Ids, queues, search attributes and inputs of workflows: a client can use them without loading their code."""

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, Field
from temporalio.common import SearchAttributeKey

from porchflow.api.work.needs import Phase
from porchflow.workflows.installation_settings import ATTRIBUTE_PREFIX
from porchflow.workflows.policies import RECONCILE_QUEUE, SYNC_QUEUE

__all__ = [
    "FIRST_VERSION",
    "INSTALLATION_MEMO",
    "LISTING_WORKFLOW_NAME",
    "LOOK_AGAIN_SIGNAL",
    "RECONCILE_QUEUE",
    "SYNC_QUEUE",
    "SYNC_WORKFLOW_NAME",
    "WORKFLOW_NAME",
    "Attributes",
    "Installation",
    "PackageRevisionInput",
    "RepositorySyncInput",
]

WORKFLOW_NAME: Final = "PackageRevisionWorkflow"
LOOK_AGAIN_SIGNAL: Final = "look_again"
SYNC_WORKFLOW_NAME: Final = "RepositorySyncWorkflow"
LISTING_WORKFLOW_NAME: Final = "RefListingWorkflow"

INSTALLATION_MEMO: Final = "porchflowInstallation"
"""The key in the memo of a schedule or run whose value is the id of its installation."""


class Attributes:
    """The search attributes of one installation, each of type Keyword.

    Attributes:
        prefix: Begins their names.
        repository: Name of the Repository.
        package: Path of the package in it.
        workspace: Name of the workspace.
        lifecycle: Lifecycle in the spec.
        phase: The phase that runs, or ran last as an activity of its own.
        outcome: How a run stands that did not just succeed (`porchflow.api.models.packagerevision.RunOutcome`).
        reason: Reason of the condition Ready, while that is not True.
    """

    def __init__(self, prefix: str = ATTRIBUTE_PREFIX) -> None:
        self.prefix = prefix
        self.repository = SearchAttributeKey.for_keyword(f"{prefix}Repository")
        self.package = SearchAttributeKey.for_keyword(f"{prefix}Package")
        self.workspace = SearchAttributeKey.for_keyword(f"{prefix}Workspace")
        self.lifecycle = SearchAttributeKey.for_keyword(f"{prefix}Lifecycle")
        self.phase = SearchAttributeKey.for_keyword(f"{prefix}Phase")
        self.outcome = SearchAttributeKey.for_keyword(f"{prefix}Outcome")
        self.reason = SearchAttributeKey.for_keyword(f"{prefix}Reason")

    @property
    def required(self) -> tuple[SearchAttributeKey[str], ...]:
        """Those without which no run starts."""
        return (self.repository, self.package, self.workspace, self.lifecycle, self.phase)

    @property
    def optional(self) -> tuple[SearchAttributeKey[str], ...]:
        """Those that runs set only where they are registered (`PackageRevisionInput.shows_outcome`)."""
        return (self.outcome, self.reason)

    @property
    def all(self) -> tuple[SearchAttributeKey[str], ...]:
        """Every one."""
        return (*self.required, *self.optional)


@dataclass(frozen=True)
class Installation:
    """What keeps porchflow installations that share a Temporal namespace apart.

    Attributes:
        id: Begins the ids of schedules, runs and task queues. Empty for ids as the first version made them.
        attributes: The search attributes.
    """

    id: str = ""
    attributes: Attributes = field(default_factory=Attributes)

    def workflow_id(self, namespace: str, name: str) -> str:
        """Return the id of the one workflow that reconciles the PackageRevision `name` in `namespace`."""
        return self._of(f"packagerevision/{namespace}/{name}")

    def sync_id(self, namespace: str, name: str) -> str:
        """Return the id of the schedule that syncs a Repository; the ids of its runs start with it."""
        return self._of(f"repository/{namespace}/{name}")

    @property
    def listing_id(self) -> str:
        """The id of the schedule that lists the refs of Repositories; the ids of its runs start with it."""
        return self._of("repositories")

    def queue(self, name: str) -> str:
        """Return the task queue of this installation that has a name in `porchflow.workflows.policies`."""
        return self._of(name)

    @property
    def deployment(self) -> str:
        """The name of its workers in Temporal's worker versioning, which may hold no dots."""
        return f"porchflow-{self.id}".replace(".", "_").removesuffix("-")

    @property
    def memo(self) -> dict[str, Any]:
        """What schedules and runs of this installation remember."""
        return {INSTALLATION_MEMO: self.id} if self.id else {}

    def _of(self, text: str) -> str:
        # The id comes first: versions without it delete every schedule with an id of the form repository/A/B.
        return f"{self.id}/{text}" if self.id else text


FIRST_VERSION: Final = Installation()
"""Ids and names as the first version of porchflow made them, before there were installations."""


class PackageRevisionInput(BaseModel):
    """Names the object that a workflow reconciles; the workflow reads everything else when it runs."""

    namespace: str
    name: str
    attribute_prefix: str = ATTRIBUTE_PREFIX
    """Begins the names of the search attributes that the run sets."""
    shows_outcome: bool = False
    """Whether the run sets the optional search attributes, which it may only where they are registered."""
    deaths: dict[Phase, int] = Field(default_factory=dict)
    """Processes in a row that ended with a phase, as the run before counted that continues as this one."""


class RepositorySyncInput(BaseModel):
    """Names the Repository that a workflow syncs."""

    namespace: str
    name: str
