"""The kinds of error that tell Temporal, conditions and metrics whether and when something is tried again."""

from enum import StrEnum


class ErrorKind(StrEnum):
    """The type of the ApplicationError that a phase raises; its retry behaviour is part of the error."""

    TRANSIENT = "Transient"
    """The world is at fault: tried again with backoff, without limit."""
    WAITING = "Waiting"
    """Something else must come first: tried again at a set delay, not counted as a failure."""
    STALLED = "Stalled"
    """A person must act: not tried again."""
    SUPERSEDED = "Superseded"
    """The object asks for something newer: the pass starts over."""
    HANDED_OVER = "HandedOver"
    """A first attempt that would hold up the workflow's own task for too long: the phase goes on as an activity of its
    own."""
