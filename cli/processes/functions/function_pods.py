"""Function pods in a real cluster: the function runner's writes and watches."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import NoReturn

from porchflow.api.names import FUNCTION_RUNNER_FIELD_MANAGER
from porchflow.functions.pods.cluster import ClusterError, Manifest, PodExists
from porchflow.functions.pods.pool import PodPool
from porchflow.functions.pods.template import SELECTOR, TEMPLATE_NAME
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from porchflow.kube.kinds import PODS, PODTEMPLATES, SECRETS
from porchflow.kube.watching import (
    Changed,
    Deleted,
    Listed,
    ListEnd,
    ListStarted,
    WatchEvent,
    WatchState,
    watch_objects,
)


class KubeCluster:
    """Changes the pods of one namespace through the Kubernetes API; see `porchflow.functions.pods.cluster.Cluster`."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self.namespace = namespace

    async def create_pod(self, pod: Manifest) -> Manifest:
        """Create a pod."""
        try:
            return await self._client.create(
                PODS, pod, namespace=self.namespace, field_manager=FUNCTION_RUNNER_FIELD_MANAGER
            )
        except AlreadyExists as error:
            raise PodExists(str(error)) from None
        except KubeError as error:
            raise ClusterError(str(error)) from None

    async def read_pod(self, name: str) -> Manifest | None:
        """Read a pod."""
        try:
            return await self._client.get(PODS, self.namespace, name)
        except NotFound:
            return None
        except KubeError as error:
            raise ClusterError(str(error)) from None

    async def delete_pod(self, name: str, *, uid: str, version: str = "") -> bool:
        """Delete a pod."""
        try:
            await self._client.delete(PODS, self.namespace, name, uid=uid, resource_version=version)
        except NotFound:
            return False
        except Conflict:
            # Without a version the conflict is of the uid: the name belongs to another pod, and ours is gone.
            return bool(version)
        except KubeError as error:
            raise ClusterError(str(error)) from None
        return True

    async def annotate_pod(self, name: str, *, uid: str, annotations: Mapping[str, str]) -> None:
        """Set annotations of a pod."""
        patch = {"metadata": {"uid": uid, "annotations": dict(annotations)}}
        try:
            await self._client.merge_patch(
                PODS, self.namespace, name, patch, field_manager=FUNCTION_RUNNER_FIELD_MANAGER
            )
        except (NotFound, Conflict):
            # The pod is gone, or the name belongs to another one.
            return
        except KubeError as error:
            raise ClusterError(str(error)) from None

    async def create_secret(self, secret: Manifest) -> None:
        """Create a Secret."""
        try:
            await self._client.create(
                SECRETS, secret, namespace=self.namespace, field_manager=FUNCTION_RUNNER_FIELD_MANAGER
            )
        except KubeError as error:
            raise ClusterError(str(error)) from None

    async def set_gates(self, name: str, *, uid: str, gates: Sequence[Manifest]) -> None:
        """Leave a pod some of its scheduling gates."""
        patch = {"metadata": {"uid": uid}, "spec": {"schedulingGates": list(gates) or None}}
        try:
            await self._client.merge_patch(
                PODS, self.namespace, name, patch, field_manager=FUNCTION_RUNNER_FIELD_MANAGER
            )
        except KubeError as error:
            raise ClusterError(str(error)) from None

    async def create_template(self, template: Manifest) -> None:
        """Create a PodTemplate."""
        try:
            await self._client.create(
                PODTEMPLATES, template, namespace=self.namespace, field_manager=FUNCTION_RUNNER_FIELD_MANAGER
            )
        except AlreadyExists:
            return
        except KubeError as error:
            raise ClusterError(str(error)) from None


class PodFollower:
    """Watches the pods of a pool and their template, and passes changes to the pool."""

    def __init__(self, client: KubeClient, namespace: str, pool: PodPool) -> None:
        self._client = client
        self._namespace = namespace
        self._pool = pool
        self._names: set[str] = set()
        self._has_template = False
        self._pods = WatchState(f"pods of functions in {namespace}")
        self._template = WatchState(f"pod template {namespace}/{TEMPLATE_NAME}")
        pool.set_obstacle(self._obstacle)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_pods())
            group.create_task(self._follow_template())

    async def _follow_pods(self) -> NoReturn:
        events = watch_objects(self._client, PODS, self._namespace, label_selector=SELECTOR, state=self._pods)
        async with contextlib.aclosing(events):
            async for event in events:
                self._tell_pod(event)
        raise RuntimeError("the watch of pods ended")

    def _tell_pod(self, event: WatchEvent) -> None:
        match event:
            case ListStarted():
                self._names = set()
            case Listed(obj):
                self._names.add(obj["metadata"]["name"])
                self._pool.observe(obj)
            case ListEnd():
                self._pool.set_listed(self._names)
            case Changed(_, obj):
                self._pool.observe(obj)
            case Deleted(obj):
                self._pool.forget(obj)

    async def _follow_template(self) -> NoReturn:
        selector = f"metadata.name={TEMPLATE_NAME}"
        events = watch_objects(
            self._client, PODTEMPLATES, self._namespace, field_selector=selector, state=self._template
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self._tell_template(event)
        raise RuntimeError("the watch of the pod template ended")

    def _tell_template(self, event: WatchEvent) -> None:
        match event:
            case ListStarted():
                self._has_template = False
            case Listed(obj) | Changed(_, obj):
                self._has_template = True
                self._pool.set_template(obj)
            case ListEnd() if not self._has_template:
                self._pool.set_template(None)
            case Deleted():
                self._pool.set_template(None)

    def _obstacle(self) -> str:
        for state in (self._pods, self._template):
            if state.error:
                return f"cannot watch {state.name}: {state.error}"
        return ""
