"""Figures of the queue of signals."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatcherNumbers:
    """Figures of the queue.

    Attributes:
        unconverged: Objects that need work, signalled or not.
        pending: Objects whose signal waits to be sent.
        in_flight: Calls to Temporal now.
        signalled: Signals that Temporal accepted since the start.
        oldest_pending_seconds: Age of the oldest signal that Temporal has not accepted; 0 when there is none.
        error: Why Temporal accepts no signals; empty while it does.
    """

    unconverged: int
    pending: int
    in_flight: int
    signalled: int
    oldest_pending_seconds: float
    error: str
