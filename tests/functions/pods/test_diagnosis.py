"""What a pod's status is taken for; the statuses are as kubelets write them."""

from typing import Any

import pytest

from porchflow.functions.pods.diagnosis import Diagnosis, PodPhase, diagnose, killed_for_memory

NO_ROOM = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient cpu.",
}


def pod(deleted: bool = False, **status: Any) -> dict[str, Any]:
    metadata = {"name": "p", **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})}
    return {"metadata": metadata, "status": status}


def container(name: str = "function", **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


def waiting(reason: str, message: str = "", name: str = "function") -> dict[str, Any]:
    return container(name, waiting={"reason": reason, "message": message})


RUNNING = container(running={})


@pytest.mark.parametrize(
    ("manifest", "diagnosis"),
    [
        ({"metadata": {"name": "p"}}, Diagnosis(PodPhase.STARTING)),
        (pod(phase="Pending"), Diagnosis(PodPhase.STARTING)),
        (
            pod(phase="Pending", conditions=[NO_ROOM]),
            Diagnosis(PodPhase.STARTING, "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.", stuck=True),
        ),
        (
            pod(phase="Pending", containerStatuses=[waiting("PodInitializing")]),
            Diagnosis(PodPhase.STARTING, "container function: PodInitializing"),
        ),
        (pod(phase="Running", podIP="10.0.0.1", containerStatuses=[RUNNING]), Diagnosis(PodPhase.RUNNING)),
        (pod(phase="Running", podIP="", containerStatuses=[RUNNING]), Diagnosis(PodPhase.STARTING)),
        (
            pod(phase="Running", podIP="10.0.0.1", containerStatuses=[container("sidecar", running={})]),
            Diagnosis(PodPhase.STARTING),
        ),
        (
            pod(deleted=True, phase="Running", podIP="10.0.0.1", containerStatuses=[RUNNING]),
            Diagnosis(PodPhase.LEAVING, "it is being deleted"),
        ),
        (
            pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            Diagnosis(PodPhase.BROKEN, "Evicted: The node was low on resource: memory."),
        ),
        (
            pod(phase="Failed", containerStatuses=[container(terminated={"exitCode": 2, "message": "boom"})]),
            Diagnosis(PodPhase.BROKEN, "its container ended with exit code 2: boom"),
        ),
        (pod(phase="Succeeded"), Diagnosis(PodPhase.BROKEN, "it is Succeeded")),
        (
            pod(phase="Pending", initContainerStatuses=[waiting("ImagePullBackOff", "no", "copy-wrapper-server")]),
            Diagnosis(PodPhase.BROKEN, "container copy-wrapper-server: ImagePullBackOff: no"),
        ),
        (
            pod(phase="Pending", containerStatuses=[waiting("CreateContainerConfigError", 'secret "s" not found')]),
            Diagnosis(PodPhase.BROKEN, 'container function: CreateContainerConfigError: secret "s" not found'),
        ),
        (
            pod(phase="Running", podIP="10.0.0.1", containerStatuses=[waiting("CrashLoopBackOff", "back-off 10s")]),
            Diagnosis(PodPhase.BROKEN, "container function: CrashLoopBackOff: back-off 10s", by_function=True),
        ),
        (
            pod(
                phase="Running",
                containerStatuses=[
                    waiting("CrashLoopBackOff", "back-off 10s")
                    | {"lastState": {"terminated": {"exitCode": 127, "message": "exec: no such file or directory\n"}}}
                ],
            ),
            Diagnosis(
                PodPhase.BROKEN,
                "container function: CrashLoopBackOff: back-off 10s: its container ended with exit code 127:"
                " exec: no such file or directory",
                by_function=True,
            ),
        ),
    ],
)
def test_a_status_is_diagnosed(manifest: dict[str, Any], diagnosis: Diagnosis) -> None:
    assert diagnose(manifest) == diagnosis


@pytest.mark.parametrize(
    ("message", "by_function"),
    [
        ('failed to pull and unpack image "r.io/x:v1": failed to resolve reference: r.io/x:v1: not found', True),
        ("pull access denied, repository does not exist or may require authorization", True),
        ("no match for platform in manifest: not found", True),
        ("failed to do request: Head https://r.io/v2/x: dial tcp: lookup r.io: no such host", False),
        ("dial tcp 10.0.0.1:5000: connect: connection refused", False),
        ("net/http: TLS handshake timeout", False),
        ("unexpected status code https://r.io/v2/x/manifests/v1: 503 Service Unavailable", False),
        ("toomanyrequests: You have reached your pull rate limit", False),
        ("context deadline exceeded", False),
    ],
)
def test_a_pull_that_another_try_may_mend_is_not_the_images_fault(message: str, by_function: bool) -> None:
    found = diagnose(pod(phase="Pending", containerStatuses=[waiting("ErrImagePull", message)]))
    assert found.by_function is by_function
    assert found.words.endswith(message)


@pytest.mark.parametrize(
    ("status", "killed"),
    [
        ({"restartCount": 0, "state": {"terminated": {"reason": "OOMKilled"}}}, True),
        ({"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}, True),
        ({"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"reason": "Error"}}}, False),
        ({"restartCount": 0, "state": {"running": {}}, "lastState": {"terminated": {"reason": "OOMKilled"}}}, False),
        ({"restartCount": 0, "state": {"running": {}}}, False),
    ],
)
def test_lack_of_memory_is_seen_where_it_is_new(status: dict[str, Any], killed: bool) -> None:
    assert killed_for_memory(pod(containerStatuses=[{"name": "function", **status}]), 0) is killed
