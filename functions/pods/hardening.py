"""Security contexts of functions' pods, as the Pod Security Standard `restricted` requires.

Authors of packages choose the image, so it is not trusted. Fields that the PodTemplate or a FunctionConfig sets stay;
all other fields are filled in here, also for a PodTemplate that an earlier version created.
"""

from typing import Any, Final

_NOBODY: Final = 65532
"""User for functions: any but root will do, since a function only reads and writes a list. Many images name root."""

_OF_PODS: Final[dict[str, Any]] = {
    "runAsNonRoot": True,
    "runAsUser": _NOBODY,
    "runAsGroup": _NOBODY,
    "fsGroup": _NOBODY,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_OF_CONTAINERS: Final[dict[str, Any]] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

DEFAULTS: Final = (_OF_PODS, _OF_CONTAINERS)
"""Part of the fingerprint of pods: pods with other defaults are replaced."""


def harden(spec: dict[str, Any]) -> None:
    """Fill in the security contexts of a pod and its containers.

    Args:
        spec: `spec` of the pod, changed in place.
    """
    spec["securityContext"] = _filled(_OF_PODS, spec.get("securityContext") or {})
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        container["securityContext"] = _filled(_OF_CONTAINERS, container.get("securityContext") or {})


def _filled(defaults: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    filled = {**defaults, **said}
    # Kubernetes refuses these defaults beside a contrary field that the PodTemplate or FunctionConfig sets.
    if said.get("runAsUser") == 0 and "runAsNonRoot" not in said:
        filled["runAsNonRoot"] = False
    if said.get("privileged") and "allowPrivilegeEscalation" not in said:
        del filled["allowPrivilegeEscalation"]
    return filled
