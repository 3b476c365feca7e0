"""An author whose packages are poison, at work in a namespace of its own for as long as a workload runs."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

from bench.follow import QUIET_SECONDS, BenchError, following, is_ready
from bench.poison import CLONED, EXPRESSIONS, write_poison
from porchflow.api.models.conditions import raw_condition
from porchflow.api.names import (
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    REPOSITORY_API_VERSION,
    REPOSITORY_KIND,
)
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import NAMESPACES, PACKAGEREVISIONS, REPOSITORIES

_NAMESPACE = "poison"
_POLL_SECONDS = 0.2
_PAUSE_SECONDS = 1.0
"""Seconds between a package and the next of its kind: poison is measured, and not the number of objects."""


class Author:
    """Keeps one package of each kind of poison in work, whatever becomes of it."""

    def __init__(self, client: KubeClient, git_root: Path, git_url: str) -> None:
        """Create the author on a running stack; `prepare` makes the repositories."""
        self._client = client
        self._git_root = git_root
        self._git_url = git_url
        self._numbers = itertools.count(1)
        self.settled: dict[str, int] = {}
        """Packages of each kind that were Ready or Stalled in the end."""

    async def prepare(self) -> None:
        """Make the namespace, the poison, and the repository of the author's own packages."""
        await asyncio.to_thread(write_poison, self._git_root)
        await self._client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}}
        )
        for name in (*CLONED, EXPRESSIONS):
            await self._register(name, name)
        async with following(self._client, _NAMESPACE) as follower:
            await follower.until([f"{EXPRESSIONS}.down.v1", f"{EXPRESSIONS}.up.v2"], "Ready", is_ready)

    async def _register(self, name: str, repository: str) -> None:
        spec = {"type": "git", "git": {"repo": f"{self._git_url}/{repository}.git", "branch": "main"}}
        metadata = {"name": name, "namespace": _NAMESPACE}
        manifest = {"apiVersion": REPOSITORY_API_VERSION, "kind": REPOSITORY_KIND, "metadata": metadata, "spec": spec}
        await self._client.create(REPOSITORIES, manifest)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Keep one package of each kind in work while the context is open, and end once each kind was settled.

        Raises:
            BenchError: A package of one kind is neither Ready nor Stalled for a minute.
        """
        self.settled = dict.fromkeys((*CLONED, EXPRESSIONS), 0)
        tasks = [asyncio.create_task(self._keep_on(kind)) for kind in self.settled]
        try:
            yield
            while not all(self.settled.values()):
                await asyncio.sleep(_POLL_SECONDS)
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_on(self, kind: str) -> None:
        while True:
            draft = self._draft(kind, next(self._numbers))
            name, until = draft["metadata"]["name"], time.monotonic() + QUIET_SECONDS
            obj = await self._client.create(PACKAGEREVISIONS, draft)
            while not _is_settled(obj):
                if time.monotonic() > until:
                    raise BenchError(f"{name} is neither Ready nor Stalled: {obj.get('status')}")
                await asyncio.sleep(_POLL_SECONDS)
                obj = await self._client.get(PACKAGEREVISIONS, _NAMESPACE, name)
            self.settled[kind] += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    def _draft(self, kind: str, number: int) -> Object:
        if kind in CLONED:
            git = {"repo": f"{self._git_url}/{kind}.git", "ref": "main", "directory": "/"}
            return _made(f"{kind}-{number}", f"w{number}", {"cloneFrom": {"type": "git", "git": git}})
        fields = {"oldUpstream": "up.v1", "newUpstream": "up.v2", "currentPackage": "down.v1"}
        named = {field: {"name": f"{EXPRESSIONS}.{name}"} for field, name in fields.items()}
        return _made("down", f"w{number}", {"upgrade": named})


def _made(package: str, workspace: str, source: Object) -> Object:
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"name": f"{EXPRESSIONS}.{package}.{workspace}", "namespace": _NAMESPACE},
        "spec": {
            "packageName": package,
            "repository": EXPRESSIONS,
            "workspaceName": workspace,
            "lifecycle": "Draft",
            "source": source,
        },
    }


def _is_settled(obj: Object) -> bool:
    return is_ready(obj) or bool(raw_condition(obj, "Stalled"))
