"""Answers of Temporal, sorted by what the watcher does about them."""

from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.service import RPCError, RPCStatusCode

RPC_TIMEOUT: Final = timedelta(seconds=10)
"""A call without an answer for this long has failed: Temporal counts as unavailable."""

_REFUSALS: Final = frozenset(
    {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE}
)
_FOR_ALL: Final = frozenset(
    {
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.UNIMPLEMENTED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Answers about the client, the namespace or the load, whatever the object."""

_BUSY: Final = ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW


class TemporalError(Exception):
    """Temporal did not accept a call."""


class TemporalUnavailable(TemporalError):  # noqa: N818 - says what Temporal is
    """Temporal cannot be used now: unreachable, overloaded, or it refuses the client.

    Attributes:
        for_all: Whether that is certain to hold for every object. Otherwise one shard of its history, or the run of
            one object, may be what cannot be used.
    """

    def __init__(self, message: str, *, for_all: bool = False) -> None:
        super().__init__(message)
        self.for_all = for_all


class SignalRefused(TemporalError):  # noqa: N818 - says what happened to the signal
    """Temporal refuses the signal for this object."""


def sorted_error(error: RPCError) -> TemporalError:
    """Return what an answer means for the object of the call and for all others."""
    message = error.message or error.status.name
    if error.status in _REFUSALS or _is_busy(error):
        return SignalRefused(message)
    return TemporalUnavailable(message, for_all=error.status in _FOR_ALL)


def unavailable(error: RPCError) -> TemporalUnavailable:
    """Return the error of a call that is no signal."""
    return TemporalUnavailable(error.message or error.status.name, for_all=error.status in _FOR_ALL)


def lacks_search_attributes(error: RPCError) -> bool:
    """Return whether Temporal refuses a start because a search attribute is not registered, or has another type.

    That holds for every object, because all runs set the same ones; a value that is too long is the object's own.
    """
    text = error.message.lower()
    return error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" in text and "size limit" not in text


def _is_busy(error: RPCError) -> bool:
    """Return whether one run takes no more calls at this moment, which says nothing of other runs."""
    if error.status is not RPCStatusCode.RESOURCE_EXHAUSTED:
        return False
    details = ResourceExhaustedFailure()
    return any(each.Unpack(details) and details.cause == _BUSY for each in error.grpc_status.details)
