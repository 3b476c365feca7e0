"""Attempts of activities that were lost with their process, as a workflow sees them."""

from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as ActivityTimeout

from porchflow.api.error_kinds import ErrorKind


def is_lost(error: ActivityError | ApplicationError) -> bool:
    """Return whether the process of an attempt ended before it, or was too busy to heartbeat."""
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ActivityTimeout):
        return cause.type is TimeoutType.HEARTBEAT
    return isinstance(cause, ApplicationError) and cause.type == ErrorKind.LOST


def never_began(error: ActivityError | ApplicationError) -> bool:
    """Return whether no worker took an activity in time."""
    return isinstance(error.cause, ActivityTimeout) and error.cause.type is TimeoutType.SCHEDULE_TO_START
