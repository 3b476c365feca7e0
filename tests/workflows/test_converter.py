"""What Temporal's UI shows of a failure: words, and lines of code only where the cause may be unknown."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError, FailureError

from porchflow.api.error_kinds import ErrorKind
from porchflow.workflows.converter import DATA_CONVERTER
from porchflow.workflows.policies import told_duration


def told(kind: str) -> Failure:
    """Return the failure of an error that was raised because of another one."""
    failure = Failure()
    try:
        _mend(kind)
    except ApplicationError as error:
        DATA_CONVERTER.failure_converter.to_failure(error, DATA_CONVERTER.payload_converter, failure)
    return failure


def _mend(kind: str) -> None:
    try:
        int("line 2")
    except ValueError as cause:
        raise ApplicationError("mend line 2", "RenderFailed", type=kind, non_retryable=True) from cause


@pytest.mark.parametrize("kind", [kind for kind in ErrorKind if kind is not ErrorKind.TRANSIENT])
def test_a_failure_that_is_told_in_words_has_no_lines_of_code(kind: ErrorKind) -> None:
    failure = told(kind)
    assert (failure.message, failure.stack_trace, failure.HasField("cause")) == ("mend line 2", "", False)
    again = DATA_CONVERTER.failure_converter.from_failure(failure, DATA_CONVERTER.payload_converter)
    assert isinstance(again, ApplicationError)
    assert (again.type, again.details, again.non_retryable) == (kind, ("RenderFailed",), True)


def test_the_cause_of_a_transient_failure_keeps_its_place_in_the_code() -> None:
    failure = told(ErrorKind.TRANSIENT)
    assert failure.stack_trace == ""
    assert "line 2" in failure.cause.message
    assert __file__ in failure.cause.stack_trace


def test_other_errors_are_told_as_ever() -> None:
    assert __file__ in told("KeyError").stack_trace
    failure = Failure()
    DATA_CONVERTER.failure_converter.to_failure(FailureError("x"), DATA_CONVERTER.payload_converter, failure)
    assert failure.message == "x"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.00 s"),
        (0.309, "0.31 s"),
        (9.994, "9.99 s"),
        (10, "10 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (7_530, "2 h 5 min"),
        (86_399.9, "1 d"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_are_told_for_people(seconds: float, words: str) -> None:
    assert told_duration(timedelta(seconds=seconds)) == words


@given(st.floats(0, 10**7))
def test_a_duration_has_two_units_at_most(seconds: float) -> None:
    assert 2 <= len(told_duration(timedelta(seconds=seconds)).split()) <= 4
