"""What the tests of the Kubernetes room share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlparse

import yaml

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import CUSTOMRESOURCEDEFINITIONS, Resource
from porchflow.kube.watching import Changed, Deleted, Listed, ListEnd, ListStarted, WatchTimings, watch_objects
from tests.servers.waiting import eventually

WIDGETS = Resource("test.porchflow.dev", "v1", "widgets", "Widget")
"""A kind of our own, so that these tests need no CRD of the product."""

QUICK = WatchTimings(inactivity=30.0, request=20.0, first_delay=0.05, longest_delay=0.3)

_CONDITIONS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
    "items": {
        "type": "object",
        "required": ["type", "status"],
        "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
    },
}
_FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

WIDGET_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": str(WIDGETS)},
    "spec": {
        "group": WIDGETS.group,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {**_FREE, "properties": {"size": {"type": "integer"}}},
                            "status": {**_FREE, "properties": {"conditions": _CONDITIONS}},
                        },
                    }
                },
            }
        ],
    },
}


def widget(namespace: str, name: str, **spec: Any) -> Object:
    return {
        "apiVersion": WIDGETS.api_version,
        "kind": WIDGETS.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": spec,
    }


async def install_crd(client: KubeClient, crd: Object, resource: Resource) -> None:
    """Install a CRD and wait until it is served."""
    await client.apply(CUSTOMRESOURCEDEFINITIONS, crd, field_manager="tests")

    async def served() -> bool:
        try:
            await client.list_page(resource, limit=1)
        except KubeError:
            return False
        return True

    await eventually(served, what=f"{resource} is served")


def kubeconfig_for(server: str, folder: Path, *, like: Path | None = None, token: str = "") -> Path:
    """Write a kubeconfig for an address; with the credentials of another one, or a token."""
    config = yaml.safe_load(like.read_text()) if like else _plain_kubeconfig(token)
    for entry in config["clusters"]:
        cluster = entry["cluster"]
        before = urlparse(cluster.get("server", ""))
        cluster["server"] = server
        if like and before.scheme == "https" and "insecure-skip-tls-verify" not in cluster:
            cluster.setdefault("tls-server-name", before.hostname)
    path = folder / f"kubeconfig-{urlparse(server).port}"
    path.write_text(yaml.safe_dump(config))
    return path


def _plain_kubeconfig(token: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "users": [{"name": "test", "user": {"token": token} if token else {}}],
        "clusters": [{"name": "test", "cluster": {}}],
    }


class Follower:
    """Runs a watch and keeps what a careful consumer knows by it: the state of every object."""

    def __init__(self, client: KubeClient, resource: Resource, namespace: str, **options: Any) -> None:
        options.setdefault("timings", QUICK)
        self._events = watch_objects(client, resource, namespace, **options)
        self._task: asyncio.Task[None] | None = None
        self._unlisted: set[str] = set()
        self.objects: dict[str, Object] = {}
        self.log: list[str] = []
        self.lists = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._events.aclose()
        if self._task.done() and not self._task.cancelled() and self._task.exception():
            raise self._task.exception() or AssertionError

    @property
    def names(self) -> set[str]:
        return set(self.objects)

    async def _follow(self) -> None:
        async for event in self._events:
            match event:
                case ListStarted():
                    self._unlisted = set(self.objects)
                case Listed(obj):
                    self._unlisted.discard(obj["metadata"]["name"])
                    self._keep("LISTED", obj)
                case ListEnd():
                    for name in self._unlisted:
                        del self.objects[name]
                    self.lists += 1
                case Changed(kind, obj):
                    self._keep(kind, obj)
                case Deleted(obj):
                    self.objects.pop(obj["metadata"]["name"], None)
                    self.log.append(f"DELETED {obj['metadata']['name']}")

    def _keep(self, kind: str, obj: Object) -> None:
        self.objects[obj["metadata"]["name"]] = obj
        self.log.append(f"{kind} {obj['metadata']['name']}")


async def collect(events: AsyncIterator[Any], count: int) -> list[Any]:
    """Take the first events of a watch."""
    taken: list[Any] = []
    async for event in events:
        taken.append(event)
        if len(taken) == count:
            break
    return taken
