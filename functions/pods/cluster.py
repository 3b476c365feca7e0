"""The Kubernetes requests of the pod evaluator; `porchflow.cli.processes.functions.function_pods` implements them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Manifest = dict[str, Any]
"""A Kubernetes object as parsed JSON."""


class ClusterError(Exception):
    """The API server refused, or did not answer; the message says which."""


class PodExists(ClusterError):  # noqa: N818 - the name states the problem
    """There is a pod of that name."""


class Cluster(Protocol):
    """Changes the pods of one namespace. A watch reports their changes to the pool.

    Attributes:
        namespace: Namespace of the pods.
    """

    namespace: str

    async def create_pod(self, pod: Manifest) -> Manifest:
        """Create a pod and return it as the API server has it.

        Raises:
            PodExists: There is a pod of that name.
            ClusterError: The API server refused it or did not answer.
        """
        ...

    async def read_pod(self, name: str) -> Manifest | None:
        """Read a pod; None if there is none.

        Raises:
            ClusterError: The API server did not answer.
        """
        ...

    async def delete_pod(self, name: str, *, uid: str, version: str = "") -> bool:
        """Delete a pod; with a version, only if the pod has not changed since.

        Returns:
            False if the pod was gone already.

        Raises:
            ClusterError: The API server refused or did not answer.
        """
        ...

    async def annotate_pod(self, name: str, *, uid: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of the pod with this uid; do nothing if it is gone.

        Raises:
            ClusterError: The API server refused or did not answer.
        """
        ...

    async def create_secret(self, secret: Manifest) -> None:
        """Create a Secret.

        Raises:
            ClusterError: The API server refused it or did not answer.
        """
        ...

    async def set_gates(self, name: str, *, uid: str, gates: Sequence[Manifest]) -> None:
        """Leave the pod with this uid only some of its scheduling gates.

        Raises:
            ClusterError: The API server refused it or did not answer, or the pod is gone.
        """
        ...

    async def create_template(self, template: Manifest) -> None:
        """Create a PodTemplate, unless there is one of that name.

        Raises:
            ClusterError: The API server refused or did not answer.
        """
        ...
