"""Asks for the rendering of pushed content, until the asking is done.

A push is two writes, to Git and to the PackageRevision. What stops between them leaves content on a draft branch that
nobody renders; every start of a content API, and its rounds after that, find such content and ask again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from porchflow.activities.phases.self_lock import reported_commit
from porchflow.api.names import RENDER_REQUEST_ANNOTATION
from porchflow.api.packagerevision import Lifecycle, PackageRevision
from porchflow.gitrepo.errors import GitError
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName, PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.kube.backoff import Backoff
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Invalid, KubeError, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import PhaseError

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 5.0
"""How long a push waits for its request to be written before it answers all the same."""
_ROUND_SECONDS: Final = 600.0
_FIELD_MANAGER: Final = "porchflow-content-api"

_Key = tuple[str, str]


class RenderRequests:
    """Writes render requests to PackageRevisions."""

    def __init__(self, kube: KubeClient, patience: float = _PATIENCE_SECONDS) -> None:
        """Take the API server's client, and the seconds that `ask` waits at most."""
        self._kube = kube
        self._patience = patience
        self._wanted: dict[_Key, str] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}

    async def ask(self, namespace: str, name: str, commit: str) -> bool:
        """Ask that a commit be rendered; goes on in the background while the API server is away.

        Returns:
            Whether the request is written already.
        """
        key = (namespace, name)
        self._wanted[key] = commit
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(self._write(key))
        done, _ = await asyncio.wait({task}, timeout=self._patience)
        return bool(done)

    async def aclose(self) -> None:
        """Give up what is not written; the next start finds it."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, key: _Key) -> None:
        backoff = Backoff(first=0.1, longest=10.0)
        try:
            while commit := self._wanted.get(key):
                try:
                    await self._patch(key, commit)
                except (NotFound, Invalid) as error:
                    logger.info("no rendering of %s/%s is asked for: %s", *key, error)
                    return
                except KubeError as error:
                    logger.warning("cannot ask for the rendering of %s/%s, trying until it works: %s", *key, error)
                    await asyncio.sleep(backoff.next())
                else:
                    if self._wanted[key] == commit:
                        return
        finally:
            self._wanted.pop(key, None)
            self._tasks.pop(key, None)

    async def _patch(self, key: _Key, commit: str) -> None:
        patch = {"metadata": {"annotations": {RENDER_REQUEST_ANNOTATION: commit}}}
        await self._kube.merge_patch(PACKAGEREVISIONS, *key, patch, field_manager=_FIELD_MANAGER)


class Healer:
    """Finds content that was pushed and not asked to be rendered."""

    def __init__(self, kube: KubeClient, git: GitStore, requests: RenderRequests) -> None:
        """Take the clients, and who asks."""
        self._kube = kube
        self._git = git
        self._repositories = Repositories(kube)
        self._requests = requests

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            try:
                await self.heal()
            except KubeError as error:
                logger.warning("cannot look for content that waits to be rendered: %s", error)
            except Exception:
                # Whatever it is, the next round may do better, and pushes go on without.
                logger.exception("cannot look for content that waits to be rendered")
            await asyncio.sleep(_ROUND_SECONDS)

    async def heal(self, namespace: str | None = None) -> int:
        """Look at every draft once; return for how many a rendering was asked.

        Args:
            namespace: Where to look; None means everywhere.

        Raises:
            KubeError: The API server does not answer.
        """
        drafts: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        async for obj in self._kube.list_all(PACKAGEREVISIONS, namespace, field_selector="spec.lifecycle=Draft"):
            repository = (obj.get("spec") or {}).get("repository")
            if repository and "deletionTimestamp" not in obj["metadata"]:
                drafts[obj["metadata"]["namespace"], repository].append(_projected(obj))
        healed = 0
        for key, objects in drafts.items():
            try:
                healed += await self._heal_repository(*key, objects)
            except (PhaseError, GitError, InvalidName) as error:
                logger.info("cannot look at the drafts of Repository %s/%s: %s", *key, error)
        return healed

    async def _heal_repository(self, namespace: str, name: str, objects: list[dict[str, Any]]) -> int:
        repository = await self._repositories.access(namespace, name)
        refs = await self._git.list_refs(repository.remote)
        healed = 0
        for obj in objects:
            spec = obj["spec"]
            location = PackageLocation(repository.directory, spec["packageName"], spec["workspaceName"])
            tip = refs.get(location.draft_ref)
            if not tip or not is_unasked(obj, tip):
                continue
            if await self._git.task_of(repository.remote, tip, location) == TaskType.PUSH:
                logger.info("asking for the rendering of %s/%s, which a push left out", namespace, _name(obj))
                await self._requests.ask(namespace, _name(obj), tip)
                healed += 1
        return healed


def is_unasked(obj: Mapping[str, Any], tip: str) -> bool:
    """Tell whether a draft's commit is neither known to the workers nor asked to be rendered."""
    revision = PackageRevision.model_validate(obj)
    if revision.spec.lifecycle is not Lifecycle.DRAFT:
        return False
    annotations = obj["metadata"].get("annotations") or {}
    return tip not in {reported_commit(revision.status), annotations.get(RENDER_REQUEST_ANNOTATION)}


def _projected(obj: dict[str, Any]) -> dict[str, Any]:
    """Keep what the look needs, so that many drafts fit in memory."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    kept = (RENDER_REQUEST_ANNOTATION,)
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key in kept}
    return {
        "metadata": {"name": metadata["name"], "annotations": annotations},
        "spec": {key: spec.get(key) or "" for key in ("packageName", "workspaceName", "lifecycle")},
        "status": {key: status[key] for key in ("selfLock",) if key in status},
    }


def _name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["name"])
