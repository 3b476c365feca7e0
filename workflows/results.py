"""What a run of the workflow returns."""

from enum import StrEnum

from pydantic import BaseModel

from porchflow.api.packagerevision import Lifecycle


class Outcome(StrEnum):
    """How a pass ended."""

    CONVERGED = "Converged"
    STALLED = "Stalled"
    SUPERSEDED = "Superseded"


class PackageRevisionResult(BaseModel):
    """What the last pass of a run came to."""

    outcome: Outcome
    message: str = ""
    lifecycle: Lifecycle | None = None
    revision: int = 0
