"""Real syncs on a real API server and real Git."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from temporalio.testing import ActivityEnvironment

from porchflow.activities.definitions import SyncRequest, SyncResult
from porchflow.activities.sync.sync import RepositorySync
from porchflow.activities.sync.sync_settings import SyncSettings
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import EVENTS, PACKAGEREVISIONS, REPOSITORIES
from porchflow.repositories.scope import ScopeSettings
from tests.activities.world import World
from tests.gitrepo.porch_layout import PorchRepository


class CountingClient(KubeClient):
    """Counts what is written, by kind of write."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.created: list[str] = []
        self.patched: list[str] = []
        self.ends_after = 0
        self.after_patch: Callable[[Object], Awaitable[None]] | None = None
        """Called after each patch of metadata, with the answer."""

    @property
    def writes(self) -> int:
        return len(self.created) + len(self.patched)

    def forget(self) -> None:
        self.created.clear()
        self.patched.clear()

    def _live(self) -> None:
        """End who writes as if the process had ended, once it has written as often as it may."""
        if self.ends_after and self.writes >= self.ends_after:
            raise asyncio.CancelledError

    async def create(self, resource: Any, body: Any, **kwargs: Any) -> Object:
        self._live()
        self.created.append(body["metadata"]["name"])
        return await super().create(resource, body, **kwargs)

    async def merge_patch(self, *args: Any, **kwargs: Any) -> Object:
        answer = await super().merge_patch(*args, **kwargs)
        if self.after_patch is not None:
            await self.after_patch(answer)
        return answer

    async def _patch(self, resource: Any, namespace: Any, name: str, *args: Any, **kwargs: Any) -> Object:
        self._live()
        self.patched.append(f"{resource.kind} {name}")
        return await super()._patch(resource, namespace, name, *args, **kwargs)


@dataclass
class Syncs:
    """A world with a repository that is written as Porch would."""

    world: World
    kube: CountingClient
    porch: PorchRepository
    packages = PACKAGEREVISIONS
    repositories = REPOSITORIES
    token = RECONCILE_NOW_ANNOTATION

    async def sync(self, name: str = "porch", *, annotated_only: bool = False, **options: Any) -> SyncResult:
        self.kube.forget()
        made = RepositorySync(
            kube=self.kube,
            git=self.world.store,
            events=self.world.events,
            scope=ScopeSettings(annotated_repositories_only=annotated_only),
            settings=SyncSettings.model_construct(**{"removed_grace_seconds": 0, **options}),
        )
        request = SyncRequest(namespace=self.world.namespace, name=name)
        result: SyncResult = await ActivityEnvironment().run(made.sync_repository, request)
        return result

    def another(self) -> "Syncs":
        """The same, with counts of its own."""
        return replace(self)

    def cached(self) -> list[str]:
        """The Git caches on the disk."""
        return [path.name for path in self.world.folder.glob("git-cache/*/*.git")]

    async def written(self) -> None:
        """Bring to Git what was collected."""
        await asyncio.to_thread(self.porch.write, self.world.git.path)

    async def ask_now(self, token: str) -> None:
        """Ask for a full sync."""
        patch = {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: token}}}
        await self.world.kube.merge_patch(REPOSITORIES, self.world.namespace, "porch", patch)

    async def told(self, name: str) -> list[str]:
        """The messages of the Events on an object."""
        await self.world.events.aclose()
        events = self.world.kube.list_all(EVENTS, self.world.namespace, field_selector=f"involvedObject.name={name}")
        return [event["message"] async for event in events]

    async def repository(self, name: str = "porch") -> Object:
        return await self.world.kube.get(REPOSITORIES, self.world.namespace, name)

    async def objects(self) -> dict[str, Object]:
        found = self.world.kube.list_all(PACKAGEREVISIONS, self.world.namespace)
        return {obj["metadata"]["name"]: obj async for obj in found}
