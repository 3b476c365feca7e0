"""Results of a run of the PackageRevision workflow."""

from enum import StrEnum

from pydantic import BaseModel

from porchflow.api.models.packagerevision import Lifecycle


class Outcome(StrEnum):
    """How a pass ended."""

    CONVERGED = "Converged"
    STALLED = "Stalled"
    SUPERSEDED = "Superseded"


class PackageRevisionResult(BaseModel):
    """The result of the last pass of a run."""

    outcome: Outcome
    message: str = ""
    lifecycle: Lifecycle | None = None
    revision: int = 0
