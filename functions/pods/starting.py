"""Creation of a pod of an image in the API server."""

import contextlib
import logging
from collections.abc import Callable

from porchflow.functions.image_facts import ImageInfo, ImageLookup
from porchflow.functions.pods.cluster import Cluster, ClusterError, Manifest, PodExists
from porchflow.functions.pods.group import Group
from porchflow.functions.pods.member import FunctionPod
from porchflow.functions.pods.pull_secrets import PullSecret, other_gates
from porchflow.functions.pods.template import Wrapper, compose, fingerprint, pod_name

_log = logging.getLogger(__name__)

_MOST_NUMBERS = 100
"""Names to try: the names of pods that take long to be deleted are not free."""


class PodStarter:
    """Creates pods from the PodTemplate.

    Attributes:
        template: The PodTemplate; empty until it is known.
        created: Uids of the pods that this runner created.
    """

    def __init__(self, cluster: Cluster, images: ImageLookup, wrapper: Wrapper) -> None:
        """Create a starter without a PodTemplate.

        Args:
            cluster: Where pods are created.
            images: Looks up digest and command of images.
            wrapper: The server in the pods.
        """
        self._cluster = cluster
        self._images = images
        self._wrapper = wrapper
        self._names: set[str] = set()
        self.template: Manifest = {}
        self.created: set[str] = set()

    def fingerprint(self, group: Group) -> str:
        """Return the fingerprint of pods that would be created now; see `template.fingerprint`."""
        return fingerprint(self.template, group.limits.overrides, self._wrapper, group.owner)

    async def start(self, group: Group, is_taken: Callable[[str], bool]) -> tuple[Manifest, ImageInfo]:
        """Create a pod, or find the one that another runner created meanwhile.

        Args:
            group: The pods of the image.
            is_taken: Whether there is a pod of a name.

        Returns:
            The pod, and the registry's description of the image.

        Raises:
            FunctionNotFound: There is no such image.
            FunctionUnavailable: The registry cannot be read now.
            ClusterError: The pod cannot be created.
        """
        info = await self._images.describe(group.image, group.owner)
        for number in range(1, _MOST_NUMBERS):
            name = pod_name(group.image, info.digest, number, group.owner)
            if name in self._names or is_taken(name):
                continue
            self._names.add(name)
            try:
                pod = await self._create(group, info, number)
            finally:
                self._names.discard(name)
            if pod is not None:
                return pod, info
        raise ClusterError(f"all names of its pods up to number {_MOST_NUMBERS} are taken")

    async def _create(self, group: Group, info: ImageInfo, number: int) -> Manifest | None:
        """Create the n-th pod, or return the existing one; None if the existing one was made from other settings."""
        pod = self._composed(group, info, number)
        pull = PullSecret.of(pod, await self._images.pull_configuration(group.image, group.owner))
        try:
            created = await self._cluster.create_pod(pod)
        except PodExists:
            found = await self._cluster.read_pod(pod["metadata"]["name"])
            return found if found is not None and self._is_ours(found, group) else None
        if pull is not None:
            await self._hand_over(created, pull)
        _log.info("started pod %s for %s", created["metadata"]["name"], group.image)
        self.created.add(created["metadata"]["uid"])
        return created

    def _composed(self, group: Group, info: ImageInfo, number: int) -> Manifest:
        return compose(
            self.template,
            group.limits.overrides,
            self._wrapper,
            image=group.image,
            info=info,
            number=number,
            owner=group.owner,
        )

    async def _hand_over(self, pod: Manifest, pull: PullSecret) -> None:
        """Give a pod its pull secret, and let it go to a node; delete the pod if that fails."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        try:
            await self._cluster.create_secret(pull.manifest(pod))
            await self._cluster.set_gates(name, uid=uid, gates=other_gates(pod))
        except ClusterError:
            with contextlib.suppress(ClusterError):
                await self._cluster.delete_pod(name, uid=uid)
            raise

    def _is_ours(self, manifest: Manifest, group: Group) -> bool:
        pod = FunctionPod(manifest, 0)
        pod.judge(fits=pod.fingerprint == self.fingerprint(group))
        return (pod.image, pod.owner) == (group.image, group.owner) and pod.is_live
