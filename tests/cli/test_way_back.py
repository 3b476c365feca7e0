"""The way back to a Porch whose database still has drafts as they were: Porch shows what Git has meanwhile.

A stand-in plays Porch: its API of v1alpha1 with content, and its sync with the rules of its database (tried with a real
Porch of April 2026 on PostgreSQL: reference, "PackageRevisions of v1alpha1").
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from porchflow.api.names import V1ALPHA2_MIGRATION_ANNOTATION
from porchflow.cli.migrate.models import Phase, Record
from porchflow.cli.migrate.planning import Clients, plan_of
from porchflow.cli.migrate.porch import V1ALPHA1_RESOURCES, V1ALPHA1_REVISIONS, content_of
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import Remote
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import REPOSITORIES
from tests.cli.test_migrate import Migration, migration, porch_plane
from tests.kptfiles import kptfile_text
from tests.servers.waiting import eventually

__all__ = ["migration", "porch_plane"]

DRAFT = "porch.web.draft"
BROKEN = "create or update not allowed on column revision, lifecycle Draft is not Proposed"
OLD = {"Kptfile": kptfile_text("web")}
NEW = {**OLD, "a.yaml": "a: 2\n"}


class PorchStandIn:
    """Porch's sync of one Repository: it adds what Git has and its database lacks, and fails on what contradicts it."""

    def __init__(self, migration: Migration, git: GitStore) -> None:
        self._migration = migration
        self._clients = Clients(migration.syncs.world.kube, migration.porch, git, migration.namespace)
        self._done = ""
        self.syncs = 0

    async def serve(self) -> None:
        while True:
            raw = await self._migration.syncs.repository()
            once = ((raw["spec"].get("sync") or {}).get("runOnceAt")) or ""
            if once and once != self._done:
                self._done = once
                await self._tell(await self.sync())
                self.syncs += 1
            await asyncio.sleep(0.05)

    async def sync(self) -> str:
        """Sync once; what is wrong, empty if nothing is."""
        plan = await plan_of(self._clients, await self._migration.syncs.repository())
        for row in plan.rows:
            if row.git is None:
                continue
            if row.porch is None:
                await self._migration.serve(row.name, row.git.lifecycle, row.git.revision)
                with contextlib.suppress(NotFound):
                    await self._migration.porch.delete(V1ALPHA1_RESOURCES, self._migration.namespace, row.name)
                remote = Remote(self._migration.syncs.world.git.url)
                files = await self._clients.git.read_package(remote, row.git.commit, row.git.package)
                await self._migration.serve_content(row.name, {path: f.data.decode() for path, f in files.items()})
            elif row.porch.is_open and row.git.revision:
                return BROKEN
        return ""

    async def _tell(self, wrong: str) -> None:
        ready = {
            "type": "Ready",
            "status": "False" if wrong else "True",
            "reason": "Error" if wrong else "Ready",
            "message": wrong,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        await self._migration.syncs.world.kube.merge_patch(
            REPOSITORIES, self._migration.namespace, "porch", {"status": {"conditions": [ready]}}, subresource="status"
        )


@contextlib.asynccontextmanager
async def porch(migration: Migration) -> AsyncIterator[PorchStandIn]:
    """Let Porch sync whenever it is asked to."""
    async with GitStore(migration.folder / "porchs-cache") as git:
        stand_in = PorchStandIn(migration, git)
        task = asyncio.create_task(stand_in.serve())
        try:
            yield stand_in
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def migrated(migration: Migration) -> None:
    """Hand the Repository over, with a draft of known content."""
    await migration.serve_content(DRAFT, OLD)
    async with migration.porchflow():
        done = await migration.run("apply", "porch")
    assert done.exit_code == 0, done.output
    told = "Porch keeps 1 drafts and proposals in its database; a rollback compares them with Git"
    assert f"porch: {told}" in done.output


async def published(migration: Migration) -> None:
    """Publish the draft through porchflow."""
    migration.syncs.porch.publish("web", 3, "draft", NEW)
    await migration.syncs.written()
    migration.syncs.world.git.git("update-ref", "-d", "refs/heads/drafts/web/draft")


async def shown(migration: Migration, name: str) -> tuple[str, int]:
    """Lifecycle and number of a package revision as Porch shows it."""
    spec = (await migration.porch.get(V1ALPHA1_REVISIONS, migration.namespace, name))["spec"]
    return spec["lifecycle"], spec["revision"]


async def test_the_stand_in_breaks_where_porch_does(migration: Migration) -> None:
    await migrated(migration)
    await published(migration)
    annotations = {V1ALPHA2_MIGRATION_ANNOTATION: None}
    patch = {"metadata": {"annotations": annotations}}
    await migration.syncs.world.kube.merge_patch(REPOSITORIES, migration.namespace, "porch", patch)
    async with GitStore(migration.folder / "porchs-cache") as git:
        assert await PorchStandIn(migration, git).sync() == BROKEN


async def test_a_plan_says_what_the_way_back_costs(migration: Migration) -> None:
    done = await migration.run("plan", "porch")
    assert "the way back: Porch keeps 1 drafts and proposals in its database" in done.output


async def test_a_draft_that_was_published_meanwhile_is_published_in_porch_too(migration: Migration) -> None:
    await migrated(migration)
    await published(migration)
    refs = migration.syncs.world.git.refs()
    async with porch(migration):
        done = await migration.run("rollback", "porch", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert f"{DRAFT} is Published v3 in Git, and Draft in Porch: Porch's copy is removed, and kept in" in done.output
    assert "Porch has synced, and shows everything as Git has it" in done.output
    assert await shown(migration, DRAFT) == ("Published", 3)
    assert migration.syncs.world.git.refs() == refs
    kept = migration.record.with_name("record.json.drafts") / DRAFT / "Kptfile"
    assert kept.read_text() == OLD["Kptfile"]
    [recorded] = Record.load(migration.record).repositories.values()
    assert recorded.phase is Phase.ROLLED_BACK


async def test_a_draft_that_was_changed_meanwhile_has_its_new_content_in_porch(migration: Migration) -> None:
    await migrated(migration)
    migration.syncs.porch.open("web", "draft", files=NEW)
    await migration.syncs.written()
    async with porch(migration):
        done = await migration.run("rollback", "porch", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert f"{DRAFT} has other content in Git than in Porch" in done.output
    assert await content_of(migration.porch, migration.namespace, DRAFT) == NEW
    assert await shown(migration, DRAFT) == ("Draft", 0)


async def test_a_draft_that_was_proposed_meanwhile_is_proposed_in_porch(migration: Migration) -> None:
    await migrated(migration)
    git = migration.syncs.world.git
    git.git("update-ref", "refs/heads/proposed/web/draft", "refs/heads/drafts/web/draft")
    git.git("update-ref", "-d", "refs/heads/drafts/web/draft")
    async with porch(migration):
        done = await migration.run("rollback", "porch", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert await shown(migration, DRAFT) == ("Proposed", 0)


async def test_what_nobody_changed_stays_and_porch_is_not_asked(migration: Migration) -> None:
    await migrated(migration)
    before = await migration.porch.get(V1ALPHA1_REVISIONS, migration.namespace, DRAFT)
    async with porch(migration) as stand_in:
        done = await migration.run("rollback", "porch", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert "copy is removed" not in done.output
    assert stand_in.syncs == 0
    assert await migration.porch.get(V1ALPHA1_REVISIONS, migration.namespace, DRAFT) == before


async def test_a_draft_that_is_gone_from_git_is_told_and_left(migration: Migration) -> None:
    await migrated(migration)
    migration.syncs.world.git.git("update-ref", "-d", "refs/heads/drafts/web/draft")
    async with porch(migration):
        done = await migration.run("rollback", "porch", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert f"{DRAFT} (Draft) is not in Git any more, and left in Porch" in done.output
    assert await shown(migration, DRAFT) == ("Draft", 0)


async def test_new_revisions_of_porchflow_are_waited_for(migration: Migration) -> None:
    await migrated(migration)
    migration.syncs.porch.publish("db", 1, "v1")
    await migration.syncs.written()
    async with porch(migration):
        done = await migration.run("rollback", "porch", "--timeout", "60")
    assert done.exit_code == 0, done.output
    assert await shown(migration, "porch.db.v1") == ("Published", 1)


async def test_a_porch_that_does_not_sync_is_told_and_the_way_back_goes_on_later(migration: Migration) -> None:
    await migrated(migration)
    await published(migration)
    done = await migration.run("rollback", "porch", "--timeout", "8")
    assert done.exit_code == 3, done.output
    assert f"{DRAFT}: is Published v3 in Git, and not there in Porch" in done.output
    assert "Porch has not synced in time" in done.output
    [recorded] = Record.load(migration.record).repositories.values()
    assert recorded.phase is Phase.MIGRATED
    async with porch(migration):
        done = await migration.run("rollback", "porch", "--timeout", "60")
        assert done.exit_code == 0, done.output
        await eventually(lambda: _is_shown(migration), what="the published revision")


async def _is_shown(migration: Migration) -> bool:
    return await shown(migration, DRAFT) == ("Published", 3)
