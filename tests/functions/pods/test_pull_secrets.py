"""Pull secrets of pods, and the gate that keeps a pod from the nodes until its Secret is there."""

from typing import Any

import pytest

from porchflow.functions.pods.diagnosis import diagnose
from porchflow.functions.pods.pull_secrets import GATE, PullSecret, other_gates, waits_for_secret
from porchflow.functions.pods.template import (
    FINGERPRINT_ANNOTATION,
    OWNER_ANNOTATION,
    Wrapper,
    compose,
    default_template,
    fingerprint,
)
from tests.functions.pods.test_template import INFO, WRAPPER


def composed(template: dict[str, Any], owner: str) -> dict[str, Any]:
    return compose(template, None, WRAPPER, image="r.io/fn/tool:v1.2", info=INFO, number=1, owner=owner)


def test_pods_of_owners_are_told_apart() -> None:
    template = default_template("w")
    pods = [composed(template, owner) for owner in ("", "a", "b")]
    assert len({pod["metadata"]["name"] for pod in pods}) == 3
    # A runner that knows no owners compares fingerprints, and leaves pods with others alone.
    assert len({pod["metadata"]["annotations"][FINGERPRINT_ANNOTATION] for pod in pods}) == 3
    assert [pod["metadata"]["annotations"].get(OWNER_ANNOTATION) for pod in pods] == [None, "a", "b"]
    wrapper = Wrapper("r.io/wrapper:v1", 1000)
    assert fingerprint(template, None, wrapper, "") == fingerprint(template, None, wrapper)


def test_a_secret_comes_beside_those_of_the_template() -> None:
    template = default_template("w")
    template["template"]["spec"] |= {"imagePullSecrets": [{"name": "theirs"}], "schedulingGates": [{"name": "x.io/y"}]}
    pod = composed(template, "a")
    pull = PullSecret.of(pod, '{"auths": {"r.io": {"password": "hunter2"}}}')
    assert pull is not None
    assert pod["spec"]["imagePullSecrets"] == [{"name": "theirs"}, {"name": pull.name}]
    assert pod["spec"]["schedulingGates"] == [{"name": "x.io/y"}, {"name": GATE}]
    assert other_gates(pod) == [{"name": "x.io/y"}]
    assert waits_for_secret(pod)
    assert "hunter2" not in repr(pull)


def test_a_pod_without_credentials_waits_for_nothing() -> None:
    pod = composed(default_template("w"), "")
    before = repr(pod)
    assert PullSecret.of(pod, "") is None
    assert repr(pod) == before
    assert not waits_for_secret(pod)


@pytest.mark.parametrize(
    ("gates", "reason", "stuck"),
    [
        ([GATE], "SchedulingGated", False),
        ([], "SchedulingGated", False),
        ([GATE, "x.io/y"], "SchedulingGated", True),
        (["x.io/y"], "SchedulingGated", True),
        ([], "Unschedulable", True),
    ],
)
def test_only_a_pod_that_others_hold_up_is_stuck(gates: list[str], reason: str, stuck: bool) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason}
    pod = {
        "metadata": {"name": "p"},
        "spec": {"schedulingGates": [{"name": gate} for gate in gates]},
        "status": {"phase": "Pending", "conditions": [condition]},
    }
    assert diagnose(pod).stuck is stuck
