"""What the processes in pods of functions may do: what the Pod Security Standard `restricted` asks for, and no more.

Authors of packages choose the image, so nothing of it is trusted. What the PodTemplate or a FunctionConfig says of
security counts; what neither says is filled in here, also for a PodTemplate from before.
"""

from typing import Any, Final

_NOBODY: Final = 65532
"""Any user but root does: a function reads a list and writes a list. Many images name root, or nobody."""

_OF_PODS: Final[dict[str, Any]] = {
    "runAsNonRoot": True,
    "runAsUser": _NOBODY,
    "runAsGroup": _NOBODY,
    "fsGroup": _NOBODY,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_OF_CONTAINERS: Final[dict[str, Any]] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

DEFAULTS: Final = (_OF_PODS, _OF_CONTAINERS)
"""Part of what pods are made of: those that were made with others are replaced."""


def harden(spec: dict[str, Any]) -> None:
    """Fill in what a pod's spec does not say of security.

    Args:
        spec: `spec` of the pod, changed in place.
    """
    spec["securityContext"] = _filled(_OF_PODS, spec.get("securityContext") or {})
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        container["securityContext"] = _filled(_OF_CONTAINERS, container.get("securityContext") or {})


def _filled(defaults: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    filled = {**defaults, **said}
    # Kubernetes takes no pod that says both, and only one of them was said.
    if said.get("runAsUser") == 0 and "runAsNonRoot" not in said:
        filled["runAsNonRoot"] = False
    if said.get("privileged") and "allowPrivilegeEscalation" not in said:
        del filled["allowPrivilegeEscalation"]
    return filled
