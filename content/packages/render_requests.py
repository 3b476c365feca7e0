"""Requests the rendering of pushed content, with retries until the request is written.

A push is two writes, to Git and to the PackageRevision. A crash between them leaves content on a draft branch that is
not rendered. The next sync of the Repository finds it (`activities/sync/drift.py`), and so does a client that pushes
again.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import RENDER_REQUEST_ANNOTATION
from porchflow.kube.background import end
from porchflow.kube.backoff import Backoff
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Invalid, KubeError, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.reported_lock import reported_commit

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 5.0
"""How long a push waits for its request to be written before it answers nevertheless."""
_FIELD_MANAGER: Final = "porchflow-content-api"

_Key = tuple[str, str]


class RenderRequests:
    """Writes render requests to PackageRevisions."""

    def __init__(self, kube: KubeClient, patience: float = _PATIENCE_SECONDS) -> None:
        """Create the writer of requests.

        Args:
            kube: The API server.
            patience: Seconds that `ask` waits at most.
        """
        self._kube = kube
        self._patience = patience
        self._wanted: dict[_Key, str] = {}
        self._tasks: dict[_Key, asyncio.Task[None]] = {}

    async def ask(self, namespace: str, name: str, commit: str) -> bool:
        """Request the rendering of a commit; continues in the background while the API server is away.

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
        """Give up requests that are not written; the next sync finds their content."""
        await end(self._tasks.values())

    async def _write(self, key: _Key) -> None:
        backoff = Backoff(first=0.1, longest=10.0)
        try:
            while commit := self._wanted.get(key):
                try:
                    await self._patch(key, commit)
                except (NotFound, Invalid) as error:
                    logger.info("gave up requesting the rendering of %s/%s: %s", *key, error)
                    return
                except KubeError as error:
                    logger.warning("cannot request the rendering of %s/%s, trying until it works: %s", *key, error)
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


def is_unasked(obj: Mapping[str, Any], tip: str) -> bool:
    """Return whether a draft's commit is neither known to the workers nor requested to be rendered."""
    revision = PackageRevision.model_validate(obj)
    if revision.spec.lifecycle is not Lifecycle.DRAFT:
        return False
    annotations = obj["metadata"].get("annotations") or {}
    return tip not in {reported_commit(revision.status), annotations.get(RENDER_REQUEST_ANNOTATION)}
