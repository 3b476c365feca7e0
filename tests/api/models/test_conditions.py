"""How one set of conditions replaces another."""

from datetime import UTC, datetime, timedelta

import pytest

from porchflow.api.models.conditions import (
    MESSAGE_LIMIT,
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    merge_conditions,
)

BEFORE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW = BEFORE + timedelta(hours=1, microseconds=123)
MAIN = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED}


def condition(
    kind: ConditionType = ConditionType.READY,
    status: ConditionStatus = ConditionStatus.TRUE,
    at: datetime | None = None,
    reason: Reason = Reason.READY,
    message: str = "",
    generation: int = 1,
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=at,
        observed_generation=generation,
    )


class TestMerge:
    def test_the_time_stays_while_the_status_does(self) -> None:
        old = condition(status=ConditionStatus.FALSE, at=BEFORE, reason=Reason.PENDING)
        new = condition(
            status=ConditionStatus.FALSE, reason=Reason.RENDER_FAILED, message="set-labels: no", generation=2
        )
        [merged] = merge_conditions([old], [new], MAIN, NOW)
        assert merged == new.model_copy(update={"last_transition_time": BEFORE})

    @pytest.mark.parametrize("status", [ConditionStatus.FALSE, ConditionStatus.UNKNOWN])
    def test_the_time_moves_when_the_status_flips(self, status: ConditionStatus) -> None:
        [merged] = merge_conditions([condition(status=status, at=BEFORE)], [condition()], MAIN, NOW)
        assert merged.last_transition_time == NOW.replace(microsecond=0), "Kubernetes keeps whole seconds"

    def test_a_new_condition_starts_now(self) -> None:
        [merged] = merge_conditions([], [condition()], MAIN, NOW)
        assert merged.last_transition_time == NOW.replace(microsecond=0)

    def test_one_without_a_time_gets_one(self) -> None:
        [merged] = merge_conditions([condition(at=None)], [condition()], MAIN, NOW)
        assert merged.last_transition_time == NOW.replace(microsecond=0)

    def test_one_that_is_owned_and_no_longer_wanted_goes(self) -> None:
        stalled = condition(ConditionType.STALLED, at=BEFORE)
        merged = merge_conditions([condition(at=BEFORE), stalled], [condition()], MAIN, NOW)
        assert [one.type for one in merged] == [ConditionType.READY]

    def test_those_of_others_are_theirs_to_apply(self) -> None:
        rendered = condition(ConditionType.RENDERED, at=BEFORE)
        merged = merge_conditions([rendered, condition(at=BEFORE)], [condition()], MAIN, NOW)
        assert [one.type for one in merged] == [ConditionType.READY]

    def test_merging_again_changes_nothing(self) -> None:
        wanted = [condition(), condition(ConditionType.RECONCILING, reason=Reason.PROGRESSING)]
        once = merge_conditions([], wanted, MAIN, NOW)
        assert merge_conditions(once, wanted, MAIN, NOW + timedelta(days=1)) == once

    def test_what_is_given_is_not_changed(self) -> None:
        wanted = condition(message="x" * 2000)
        merge_conditions([], [wanted], MAIN, NOW)
        assert wanted == condition(message="x" * 2000)

    @pytest.mark.parametrize(("length", "cut"), [(MESSAGE_LIMIT, False), (MESSAGE_LIMIT + 1, True), (1_000_000, True)])
    def test_a_long_message_is_cut_where_one_sees_it(self, length: int, cut: bool) -> None:
        [merged] = merge_conditions([], [condition(message="x" * length)], MAIN, NOW)
        assert len(merged.message) == min(length, MESSAGE_LIMIT)
        assert merged.message.endswith("…") == cut


def test_a_condition_goes_to_the_wire_and_back() -> None:
    wire = {
        "type": "Ready",
        "status": "False",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "reason": "Pending",
        "message": "awaiting render",
    }
    assert Condition.model_validate(wire).model_dump(mode="json", by_alias=True) == wire
