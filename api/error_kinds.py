"""Kinds of error: whether and when Temporal tries again, and what conditions and metrics report."""

from enum import StrEnum


class ErrorKind(StrEnum):
    """The type of the ApplicationError that a phase raises; its retry behaviour is part of the error."""

    TRANSIENT = "Transient"
    """A peer is at fault: tried again with backoff, without limit."""
    WAITING = "Waiting"
    """Another object must come first: tried again at a set delay, not counted as a failure."""
    STALLED = "Stalled"
    """A person must act: not tried again."""
    SUPERSEDED = "Superseded"
    """The object has a newer intent: the pass starts over."""
    HANDED_OVER = "HandedOver"
    """A first attempt that would hold up the workflow's own task for too long: the phase continues as an activity of
    its own.
    """
    LOST = "Lost"
    """The attempt ended its process, or an attempt before it may have: the workflow counts it, and runs the phase
    isolated from then on.
    """
