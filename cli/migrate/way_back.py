"""The last part of a rollback: what Porch's database still has of drafts gives way to what Git has.

Porch keeps drafts and proposals in its database and shows none of a migrated Repository. After a rollback it still has
them as they were. Its sync fails for good on one that Git has as published meanwhile, and goes on showing the old
content of one that was changed. A draft that is deleted through v1alpha1 leaves Git alone, and the next sync takes what
Git has.

Source: docs/reference/porch-api.md, "PackageRevisions of v1alpha1".
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from porchflow.api.models.conditions import raw_condition
from porchflow.api.timestamps import timestamp
from porchflow.cli.migrate.models import Comparison, RepositoryPlan, Row
from porchflow.cli.migrate.planning import Clients, plan_of
from porchflow.cli.migrate.porch import V1ALPHA1_REVISIONS, content_of
from porchflow.cli.migrate.steps import Difference, Say
from porchflow.gitrepo.refs import PackageLocation
from porchflow.kube.client import Object
from porchflow.kube.errors import NotFound, NotServed
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.access import Repositories

_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class _Outdated:
    """A draft or proposal that Porch has otherwise than Git."""

    name: str
    why: str
    content: Mapping[str, str]


class WayBack:
    """Settles one Repository after its annotation and objects are gone. A repeated call goes on."""

    def __init__(self, clients: Clients, recorded: RepositoryPlan, kept: Path, say: Say) -> None:
        """Create it.

        Args:
            clients: The clients.
            recorded: The plan by which the Repository was migrated.
            kept: Folder that gets the content of drafts before Porch's copies are removed.
            say: Receives a line for each thing that is done.
        """
        self._clients = clients
        self._recorded = recorded
        self._kept = kept
        self._say = say
        self._name = recorded.name

    async def settle(self, *, within: float) -> list[Difference]:
        """Remove outdated drafts from Porch, wait for its sync, and verify.

        Args:
            within: Seconds to wait.

        Returns:
            What Porch does not show as Git has it.

        Raises:
            GitError: Git cannot be read.
            KubeError: An API server, or Porch, cannot be reached or refuses.
        """
        deadline = time.monotonic() + within
        try:
            plan = await self._served(deadline)
        except NotServed:
            self._say(f"{self._name}: Porch does not answer here, so its drafts are not compared with Git")
            return []
        for row in plan.only_in_porch:
            if row.is_open:
                self._say(f"{self._name}: {row.name} ({row.porch}) is not in Git any more, and left in Porch")
        outdated = await self._outdated(plan)
        for each in outdated:
            self._keep(each)
            await self._remove(each.name)
            self._say(
                f"{self._name}: {each.name} {each.why}: Porch's copy is removed, and kept in {self._kept / each.name};"
                " its next sync takes what Git has"
            )
        if not outdated and not plan.count(Comparison.GIT_ONLY):
            return _differences(plan)
        await self._ask_for_sync()
        return await self._verified(deadline)

    async def _served(self, deadline: float) -> RepositoryPlan:
        """Compare Porch with Git once Porch shows what it had; it learns of the annotation a moment later."""
        while True:
            plan = await self._plan()
            known = any(row.porch is not None for row in self._recorded.rows)
            if not known or any(row.porch is not None for row in plan.rows) or time.monotonic() > deadline:
                return plan
            await asyncio.sleep(_LOOK_SECONDS)

    async def _plan(self) -> RepositoryPlan:
        return await plan_of(self._clients, await self._repository())

    async def _repository(self) -> Object:
        return await self._clients.kube.get(REPOSITORIES, self._clients.namespace, self._name)

    async def _outdated(self, plan: RepositoryPlan) -> list[_Outdated]:
        found = []
        for row in plan.rows:
            if row.porch is None or row.git is None or not row.porch.is_open:
                continue
            content = await self._content(row.name)
            if row.comparison is Comparison.DIFFERS:
                found.append(_Outdated(row.name, f"is {row.git} in Git, and {row.porch} in Porch", content))
            elif content and content != await self._content_in_git(row):
                found.append(_Outdated(row.name, "has other content in Git than in Porch", content))
        return found

    async def _content(self, name: str) -> dict[str, str]:
        try:
            return await content_of(self._clients.porch, self._clients.namespace, name)
        except NotFound:
            return {}

    async def _content_in_git(self, row: Row) -> dict[str, str]:
        """Return the files that Porch can show: it leaves out those that are no text."""
        assert row.git is not None  # noqa: S101 - the caller has asked
        access = await Repositories(self._clients.kube).opened(await self._repository())
        place = PackageLocation(access.directory, row.git.package, row.git.workspace)
        files = await self._clients.git.read_package(access.remote, row.git.commit, place.path)
        texts = {path: _text(file.data) for path, file in files.items()}
        return {path: text for path, text in texts.items() if text is not None}

    def _keep(self, each: _Outdated) -> None:
        """Write the content of Porch's copy to a folder.

        A path of a package that would lead out of the folder is left out.
        """
        for path, text in each.content.items():
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                continue
            file = self._kept / each.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    async def _remove(self, name: str) -> None:
        try:
            await self._clients.porch.delete(V1ALPHA1_REVISIONS, self._clients.namespace, name)
        except NotFound:
            return

    async def _ask_for_sync(self) -> None:
        """Have Porch sync the Repository at once: it does when the time that is asked for has passed."""
        patch = {"spec": {"sync": {"runOnceAt": timestamp()}}}
        await self._clients.kube.merge_patch(REPOSITORIES, self._clients.namespace, self._name, patch)

    async def _verified(self, deadline: float) -> list[Difference]:
        while True:
            found = _differences(await self._plan())
            if not found:
                self._say(f"{self._name}: Porch has synced, and shows everything as Git has it")
                return []
            if time.monotonic() > deadline:
                return [*found, Difference(self._name, f"Porch has not synced in time: {await self._said()}")]
            await asyncio.sleep(_LOOK_SECONDS)

    async def _said(self) -> str:
        ready = raw_condition(await self._repository(), "Ready")
        return str(ready.get("message") or "the Repository says nothing of it; look at the log of Porch")


def cost_of_way_back(plan: RepositoryPlan) -> str:
    """Return what a rollback of a Repository would do in Porch, for people."""
    return (
        f"Porch keeps {plan.kept_by_porch} drafts and proposals in its database; a rollback compares them with Git, and"
        " removes Porch's copy of each that was changed, proposed or published by then"
    )


def _differences(plan: RepositoryPlan) -> list[Difference]:
    """Return what Porch does not show as Git has it. Porch alone knows which deletions were proposed to it."""
    return [
        Difference(row.name, f"is {row.git} in Git, and {row.porch or 'not there'} in Porch")
        for row in plan.rows
        if row.git is not None and row.comparison in {Comparison.DIFFERS, Comparison.GIT_ONLY} and not row.waits_to_go
    ]


def _text(data: bytes) -> str | None:
    """Return a file as Porch shows it; None for one that is no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
