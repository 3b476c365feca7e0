"""What a worker and its child process say to each other.

Both import it by this name: what the child's main module defined, another process could not read.
"""

import dataclasses
import pickle
import struct
from typing import Any, Final

from temporalio import activity

from porchflow.activities.definitions import PhaseInput, PhaseResult, SyncRequest, SyncResult

LENGTH: Final = struct.Struct("!I")
"""Length of the pickled object that follows."""

OUT_OF_MEMORY: Final = 97
"""Exit code of a process whose phase needed more memory than its limit."""


@dataclasses.dataclass(frozen=True)
class Request:
    """Asks for one activity."""

    name: str
    input: PhaseInput | SyncRequest
    info: activity.Info
    """Of the activity that the worker runs."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """The end of one activity: a result or a failure."""

    result: PhaseResult | SyncResult | None = None
    failure: bytes = b""
    """The failure as Temporal keeps it, serialised."""


def framed(value: Any) -> bytes:  # noqa: ANN401 - any value that pickles
    """Return a value as it goes over the pipe."""
    data = pickle.dumps(value)
    return LENGTH.pack(len(data)) + data
