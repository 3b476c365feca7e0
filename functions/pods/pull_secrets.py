"""Pull secrets of pods whose image a namespace's own credentials open.

Kubelets read pull secrets in the pod's namespace alone. So the pod gets a Secret of its own there, with the credentials
for the repository of its image and nothing else. The pod owns the Secret: Kubernetes deletes it with the pod. Since the
owner must exist first, a scheduling gate keeps the pod from the nodes until the Secret is there.
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

from porchflow.functions.pods.cluster import Manifest
from porchflow.functions.pods.template import OWNED_LABEL, OWNER
from porchflow.functions.registry.namespaces import SECRET_KEY, SECRET_TYPE

GATE: Final = "porchflow.dev/pull-secret"
"""Scheduling gate of a pod whose pull secret is not there yet."""


@dataclass(frozen=True)
class PullSecret:
    """The pull secret that a pod waits for.

    Attributes:
        name: Name of the Secret.
        configuration: Its Docker configuration.
    """

    name: str
    configuration: str = field(repr=False)

    @classmethod
    def of(cls, pod: Manifest, configuration: str) -> Self | None:
        """Have a pod that is not created yet wait for a pull secret, and pull with it.

        Args:
            pod: The pod, changed in place.
            configuration: Docker configuration with the credentials; empty if the pod needs none.

        Returns:
            The Secret to create once the pod is there; None if the pod needs none.
        """
        if not configuration:
            return None
        # Pods of one name follow one another; the Secret of the one before may be there yet.
        pull, spec = cls(f"{pod['metadata']['name']}-{secrets.token_hex(4)}", configuration), pod["spec"]
        spec["imagePullSecrets"] = [*(spec.get("imagePullSecrets") or []), {"name": pull.name}]
        spec["schedulingGates"] = [*(spec.get("schedulingGates") or []), {"name": GATE}]
        return pull

    def manifest(self, pod: Manifest) -> Manifest:
        """Return the Secret of a created pod."""
        metadata = pod["metadata"]
        owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "labels": {OWNED_LABEL: OWNER}, "ownerReferences": [owner]},
            "type": SECRET_TYPE,
            "immutable": True,
            "data": {SECRET_KEY: base64.b64encode(self.configuration.encode()).decode()},
        }


def other_gates(pod: Mapping[str, Any]) -> Sequence[Manifest]:
    """Return the scheduling gates of a pod that are not ours."""
    return [each for each in _gates(pod) if each.get("name") != GATE]


def waits_for_secret(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod waits for its pull secret."""
    return any(each.get("name") == GATE for each in _gates(pod))


def _gates(pod: Mapping[str, Any]) -> Sequence[Manifest]:
    return (pod.get("spec") or {}).get("schedulingGates") or []
