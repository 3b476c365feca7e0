"""Diagnosis of a pod from its status: whether it can be called, and the obstacle in the kubelet's words."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, NamedTuple

from porchflow.api.models.conditions import raw_condition, raw_holding
from porchflow.functions.pods.cluster import Manifest
from porchflow.functions.pods.pull_secrets import other_gates
from porchflow.functions.pods.template import FUNCTION_CONTAINER

_OF_THE_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
_OF_THE_PROGRAM = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})
_OF_THE_CLUSTER = frozenset({"CreateContainerConfigError", "RegistryUnavailable", "SignatureValidationFailed"})
_HOPELESS = _OF_THE_IMAGE | _OF_THE_PROGRAM | _OF_THE_CLUSTER
_PASSING = re.compile(
    r"time-?out|timed out|deadline exceeded|connection (?:refused|reset)|no such host|no route to host|\bEOF\b"
    r"|too many requests|toomanyrequests|\b(?:429|500|502|503|504)\b|service unavailable|pull QPS exceeded",
    re.IGNORECASE,
)
"""Matches the kubelet's messages about a failed pull that another attempt may mend."""


class PodPhase(Enum):
    """Phase of a pod for the runner."""

    STARTING = "starting"
    RUNNING = "running"
    """The function's container runs, and the pod has an address; it may not answer yet."""
    BROKEN = "broken"
    """The pod will not get ready, or not again."""
    LEAVING = "leaving"
    """The pod is being deleted; calls under way may end."""


class Diagnosis(NamedTuple):
    """Phase of a pod with the obstacle to calling it.

    Attributes:
        phase: Phase of the pod.
        words: The obstacle, for messages; empty if there is none.
        by_function: Whether the function's image is the cause, so that another pod would fail too.
        stuck: Whether the pod waits for something that may never come, such as room on a node.
    """

    phase: PodPhase
    words: str = ""
    by_function: bool = False
    stuck: bool = False


def diagnose(pod: Manifest) -> Diagnosis:
    """Return the diagnosis of a pod from its status."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return Diagnosis(PodPhase.LEAVING, "it is being deleted")
    if status.get("phase") in {"Failed", "Succeeded"}:
        return Diagnosis(PodPhase.BROKEN, _ended(status))
    for name, waiting in _waiting(status):
        if waiting.get("reason") in _HOPELESS:
            said = _words(f"container {name}: {waiting['reason']}", waiting.get("message", ""))
            words = _words(said, _last_end(status, name))
            return Diagnosis(PodPhase.BROKEN, words, by_function=_blames_function(name, waiting))
    if _runs(status) and status.get("podIP"):
        return Diagnosis(PodPhase.RUNNING)
    return _starting(status, has_other_gates=bool(other_gates(pod)))


def address_of(pod: Manifest) -> str:
    """Return the IP address of a pod; empty before it has one. IPv6 is without brackets."""
    return str((pod.get("status") or {}).get("podIP") or "")


def is_ready(pod: Manifest) -> bool:
    """Return whether the kubelet reports the pod as ready."""
    return bool(raw_holding(pod, "Ready"))


def restarts(pod: Manifest) -> int:
    """Return the restarts of the function's container."""
    return int(_function_status(pod.get("status") or {}).get("restartCount") or 0)


def killed_for_memory(pod: Manifest, restarts_before: int) -> bool:
    """Return whether the function's container ran out of memory after the given number of restarts."""
    status = _function_status(pod.get("status") or {})
    ends = [(status.get("state") or {}).get("terminated")]
    if int(status.get("restartCount") or 0) > restarts_before:
        ends.append((status.get("lastState") or {}).get("terminated"))
    return any(end and end.get("reason") == "OOMKilled" for end in ends)


def _function_status(status: dict[str, Any]) -> dict[str, Any]:
    for container in status.get("containerStatuses") or []:
        if container.get("name") == FUNCTION_CONTAINER:
            return dict(container)
    return {}


def _runs(status: dict[str, Any]) -> bool:
    return "running" in (_function_status(status).get("state") or {})


def _waiting(status: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            waiting = (container.get("state") or {}).get("waiting")
            if waiting:
                yield container["name"], waiting


def _blames_function(container: str, waiting: dict[str, Any]) -> bool:
    if container != FUNCTION_CONTAINER or waiting["reason"] in _OF_THE_CLUSTER:
        return False
    return waiting["reason"] in _OF_THE_PROGRAM or not _PASSING.search(waiting.get("message", ""))


def _ended(status: dict[str, Any]) -> str:
    said = _words(status.get("reason", ""), status.get("message", ""))
    return said or _end(_function_status(status).get("state")) or f"it is {status['phase']}"


def _last_end(status: dict[str, Any], name: str) -> str:
    """Return how a container ended before it was started again; empty for one that never ran."""
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            if container.get("name") == name:
                return _end(container.get("lastState"))
    return ""


def _end(state: dict[str, Any] | None) -> str:
    terminated = (state or {}).get("terminated") or {}
    code = f"its container ended with exit code {terminated['exitCode']}" if "exitCode" in terminated else ""
    return _words(code, terminated.get("message", ""))


def _starting(status: dict[str, Any], *, has_other_gates: bool) -> Diagnosis:
    scheduled = raw_condition({"status": status}, "PodScheduled")
    if scheduled.get("status") == "False":
        words = _words(scheduled.get("reason", ""), scheduled.get("message", ""))
        # Our own gate opens in a moment, once the pull secret is there.
        held = scheduled.get("reason") == "SchedulingGated" and not has_other_gates
        return Diagnosis(PodPhase.STARTING, words, stuck=not held)
    waiting = [
        _words(f"container {name}: {each.get('reason', 'waiting')}", each.get("message", ""))
        for name, each in _waiting(status)
    ]
    return Diagnosis(PodPhase.STARTING, "; ".join(waiting))


def _words(what: str, more: str) -> str:
    return ": ".join(part for part in (what.strip(), more.strip()) if part)
