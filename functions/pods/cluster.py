"""What the pod evaluator asks of a Kubernetes cluster; `porchflow.cli.processes.function_pods` has the real one."""

from collections.abc import Mapping
from typing import Any, Protocol

Manifest = dict[str, Any]
"""A Kubernetes object as parsed JSON."""


class ClusterError(Exception):
    """The API server refused, or did not answer; the message says which."""


class PodExists(ClusterError):  # noqa: N818 - says what is the matter
    """There is a pod of that name."""


class Cluster(Protocol):
    """Changes the pods of one namespace. What becomes of them is told to the pool by whoever watches them.

    Attributes:
        namespace: where the pods are.
    """

    namespace: str

    async def create_pod(self, pod: Manifest) -> Manifest:
        """Create a pod and return it as the API server has it.

        Raises:
            PodExists: there is one of that name.
            ClusterError: the API server refused it or did not answer.
        """
        ...

    async def read_pod(self, name: str) -> Manifest | None:
        """Read a pod; None if there is none.

        Raises:
            ClusterError: the API server did not answer.
        """
        ...

    async def delete_pod(self, name: str, *, uid: str, version: str = "") -> bool:
        """Delete a pod, unless it was written since the given version; False if it was gone already.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        ...

    async def annotate_pod(self, name: str, *, uid: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of a pod, unless it is gone or another of the same name.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        ...

    async def create_template(self, template: Manifest) -> None:
        """Create a PodTemplate, unless there is one of that name.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        ...
