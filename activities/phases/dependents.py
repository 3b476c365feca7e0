"""Deletion of package revisions that others depend on: it is told, and refused where the Namespace asks for that."""

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass

from porchflow.activities.target import Target
from porchflow.api.dependents import Dependent, DependentIndex, told_dependents
from porchflow.api.models.conditions import Reason
from porchflow.api.names import UPSTREAMS_LABEL
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, NotFound
from porchflow.kube.kinds import NAMESPACES, PACKAGEREVISIONS
from porchflow.repositories.failures import Stalled, Waiting

_KNOWN_SECONDS = 30.0
"""How old a list may be that a warning is made of: many deletions that are proposed at once need one list."""

_NAMESPACES = 100
"""Namespaces whose dependents are kept in memory."""


@dataclass(frozen=True)
class _Known:
    begun: float
    index: DependentIndex


class Dependents:
    """Finds the package revisions of a namespace that depend on one of them.

    Objects alone are read: each reports what it was made from. Calls of one process share the lists that this takes.
    """

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._known: dict[str, _Known] = {}
        self._turns = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def check_proposal(self, target: Target) -> tuple[tuple[Reason, str], ...]:
        """Return the warning about a deletion that is proposed; none where nothing depends on the package revision.

        Raises:
            Stalled: Others depend on it, and its Namespace protects upstreams.
            KubeError: The API server cannot be reached or refuses.
        """
        protects = await self._protects(target.namespace)
        found = await self._of(target, at_once=protects)
        if not found:
            return ()
        told = _told(target, found)
        if protects:
            raise Stalled(
                Reason.UPSTREAM_IN_USE,
                f"the deletion is not proposed: {told}; delete or upgrade these first and set the annotation"
                " porchflow.dev/reconcile-now to a new value, or set spec.lifecycle back to Published",
            )
        return ((Reason.UPSTREAM_IN_USE, f"{told}; they keep their content, and cannot be upgraded from it any more"),)

    async def check_deletion(self, target: Target) -> None:
        """Hold the deletion of a package revision that others came to depend on since it was agreed to.

        Raises:
            Waiting: There are some, and its Namespace protects upstreams.
            KubeError: The API server cannot be reached or refuses.
        """
        if await self._protects(target.namespace) and (found := await self._of(target, at_once=True)):
            raise Waiting(Reason.UPSTREAM_IN_USE, f"{_told(target, found)}; delete or upgrade these first")

    async def _of(self, target: Target, *, at_once: bool) -> list[Dependent]:
        """Return the dependents of an object.

        Args:
            target: The object.
            at_once: Whether the list must not be older than the call.
        """
        asked, namespace = time.monotonic(), target.namespace
        async with self._turns[namespace]:
            known = self._known.get(namespace)
            if known is None or known.begun < asked - (0 if at_once else _KNOWN_SECONDS):
                known = await self._listed(namespace)
            return known.index.of(target.obj)

    async def _listed(self, namespace: str) -> _Known:
        begun, index = time.monotonic(), DependentIndex()
        async for obj in self._kube.list_all(PACKAGEREVISIONS, namespace):
            index.add(obj)
        if len(self._known) >= _NAMESPACES:
            self._known.clear()
        known = self._known[namespace] = _Known(begun, index)
        return known

    async def _protects(self, name: str) -> bool:
        try:
            namespace = await self._kube.get(NAMESPACES, None, name)
        except (NotFound, Forbidden):
            # A role that is bound in single namespaces gives no right to read Namespaces.
            return False
        return bool((namespace["metadata"].get("labels") or {}).get(UPSTREAMS_LABEL) == "protected")


def _told(target: Target, found: list[Dependent]) -> str:
    verb = "depends" if len({each.name for each in found}) == 1 else "depend"
    return f"{told_dependents(found)} {verb} on {target.obj['metadata']['name']}"
