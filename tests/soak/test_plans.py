"""Plans of seeds: they repeat, and a person could do what they say."""

from collections.abc import Sequence

import pytest

from porchflow.api.models.packagerevision import NEXT_LIFECYCLES, Lifecycle
from soak.places import APPROVER, Key
from soak.trouble.fault_plan import FAULTS, PAIRS, PARTS, faults_until
from soak.work.actions import CREATES, Action, Kind
from soak.work.deeds import LIFECYCLES
from soak.work.plan import Plan

MINUTES = 60 * 10


def test_a_seed_repeats_its_actions_and_faults() -> None:
    assert Plan(7).until(MINUTES) == Plan(7).until(MINUTES)
    assert faults_until(7, MINUTES) == faults_until(7, MINUTES)
    assert Plan(7).until(MINUTES) != Plan(8).until(MINUTES)
    assert faults_until(7, MINUTES) != faults_until(8, MINUTES)


def test_a_longer_plan_begins_with_a_shorter_one() -> None:
    short, long = Plan(3).until(60), Plan(3).until(MINUTES)
    assert len(short) < len(long)
    assert long[: len(short)] == short
    assert faults_until(3, MINUTES)[:2] == faults_until(3, faults_until(3, MINUTES)[2].at)


def test_a_plan_has_every_kind_of_action_and_fault() -> None:
    hour = 3600
    assert {action.kind for action in Plan(1).until(hour)} == {*Kind}
    faults = faults_until(1, 3 * hour)
    assert {fault.kind for fault in faults} == {*FAULTS}
    assert {fault.target for fault in faults} == {*PARTS, *PAIRS, "git"}


def test_only_the_kinds_of_faults_that_are_asked_for() -> None:
    assert {fault.kind for fault in faults_until(1, MINUTES, ["freeze", "cut"])} == {"freeze", "cut"}


@pytest.mark.parametrize("seed", range(5))
def test_each_object_takes_the_steps_that_its_lifecycle_has(seed: int) -> None:
    actions = Plan(seed).until(MINUTES)
    for key in {action.key for action in actions if action.key}:
        _follow([action for action in actions if action.key == key and action.kind is not Kind.PUSH_BESIDE])


def _follow(actions: Sequence[Action]) -> None:
    assert actions[0].kind in CREATES
    lifecycle = Lifecycle.DRAFT
    for action in actions[1:]:
        assert action.kind not in CREATES, "an object is made once"
        if wanted := LIFECYCLES.get(action.kind):
            assert wanted in NEXT_LIFECYCLES[lifecycle], f"{action} of a {lifecycle}"
            lifecycle = wanted
        if action.kind is Kind.DELETE:
            assert action is actions[-1]
            assert (action.user == APPROVER) == (lifecycle is Lifecycle.DELETION_PROPOSED)
        if action.kind in {Kind.PUSH, Kind.WRITE, Kind.LABEL}:
            assert lifecycle is Lifecycle.DRAFT


@pytest.mark.parametrize("seed", range(5))
def test_sources_are_published_before_and_stay(seed: int) -> None:
    actions = Plan(seed).until(MINUTES)
    published: dict[Key, int] = {}
    used: set[Key] = set()
    for action in actions:
        if action.kind is Kind.PUBLISH:
            published[action.object] = action.number
        assert [published[key] for key in action.sources] == [*action.after][: len(action.sources)]
        used.update(action.sources)
        assert action.kind is not Kind.DELETE or action.key not in used
