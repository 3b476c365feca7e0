"""`porchflow migrate` as a user runs it: Porch's API on one API server, porchflow's on another, and real Git."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.names import UPSTREAM_OF_ANNOTATION, V1ALPHA2_MIGRATION_ANNOTATION
from porchflow.cli.main import main
from porchflow.cli.migrate.models import Phase, Record
from porchflow.cli.migrate.porch import V1ALPHA1_RESOURCES, V1ALPHA1_REVISIONS, revision_of
from porchflow.cli.migrate.removals import dependents_first
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import CUSTOMRESOURCEDEFINITIONS, NAMESPACES, REPOSITORIES
from porchflow.watcher.syncs import asks_for_sync
from tests.activities.syncing import CountingClient, Syncs
from tests.activities.world import entered
from tests.gitrepo.porch_layout import PorchRepository
from tests.kptfiles import kptfile_text
from tests.servers.control_plane import ControlPlane, running_control_plane
from tests.servers.git import GitRepositories
from tests.servers.waiting import eventually


def definition(plural: str, kind: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.porch.kpt.dev", "annotations": {"api-approved.kubernetes.io": "unapproved"}},
        "spec": {
            "group": "porch.kpt.dev",
            "names": {"plural": plural, "kind": kind},
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.fixture(scope="module")
async def porch_plane(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlane]:
    """An API server that serves v1alpha1 as Porch does: the same JSON, from CRDs in place of its aggregated API."""
    async with running_control_plane(server_binaries, tmp_path_factory.mktemp("porch")) as plane:
        async with await KubeClient.connect(plane.kubeconfig) as kube:
            for policy in ("validatingadmissionpolicybindings", "mutatingadmissionpolicybindings"):
                await plane.kubectl("delete", policy, "--all")
            await kube.delete(CUSTOMRESOURCEDEFINITIONS, None, "packagerevisions.porch.kpt.dev")
            await plane.kubectl("wait", "crd/packagerevisions.porch.kpt.dev", "--for=delete", "--timeout=30s")
            for plural, kind in (
                ("packagerevisions", "PackageRevision"),
                ("packagerevisionresources", "PackageRevisionResources"),
            ):
                await kube.create(CUSTOMRESOURCEDEFINITIONS, definition(plural, kind))
            await plane.kubectl("wait", "crd", "--for=condition=Established", "--timeout=30s", "--all")
        yield plane


@dataclass
class Migration:
    syncs: Syncs
    porch: KubeClient
    porch_plane: ControlPlane
    plane: ControlPlane
    folder: Path

    @property
    def namespace(self) -> str:
        return self.syncs.world.namespace

    @property
    def record(self) -> Path:
        return self.folder / "record.json"

    async def run(self, command: str, *arguments: str) -> Result:
        options = [
            f"--kubeconfig={self.plane.kubeconfig}",
            f"--porch-kubeconfig={self.porch_plane.kubeconfig}",
            f"--namespace={self.namespace}",
            f"--record={self.record}",
        ]
        return await asyncio.to_thread(CliRunner().invoke, main, ["migrate", command, *options, *arguments])

    async def serve(self, name: str, lifecycle: str, revision: int = 0, **metadata: Any) -> None:
        """Let Porch have a package revision."""
        repository, package, workspace = name.split(".")
        body = {
            "apiVersion": "porch.kpt.dev/v1alpha1",
            "kind": "PackageRevision",
            "metadata": {"name": name, "namespace": self.namespace, **metadata},
            "spec": {
                "repository": repository,
                "packageName": package,
                "workspaceName": workspace,
                "lifecycle": lifecycle,
                "revision": revision,
            },
        }
        await self.porch.create(V1ALPHA1_REVISIONS, body)

    async def serve_content(self, name: str, files: dict[str, str]) -> None:
        body = {
            "apiVersion": "porch.kpt.dev/v1alpha1",
            "kind": "PackageRevisionResources",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"resources": files},
        }
        await self.porch.create(V1ALPHA1_RESOURCES, body)

    async def annotated(self) -> bool:
        annotations = (await self.syncs.repository())["metadata"].get("annotations") or {}
        return annotations.get(V1ALPHA2_MIGRATION_ANNOTATION) == "true"

    @contextlib.asynccontextmanager
    async def porchflow(self) -> AsyncIterator[None]:
        """Sync whenever the Repository asks for it, beside a Porch."""

        async def serve() -> None:
            handled = ""
            while True:
                repository = await self.syncs.repository()
                asked = asks_for_sync(repository)
                if asked and asked != handled:
                    handled = asked
                    await self.syncs.another().sync(annotated_only=True)
                await asyncio.sleep(0.05)

        task = asyncio.create_task(serve())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def migration(
    control_plane: ControlPlane,
    porch_plane: ControlPlane,
    guarded_namespace: str,
    git_server: GitRepositories,
    tmp_path: Path,
) -> AsyncIterator[Migration]:
    """A Repository `porch` with a package `web` that Porch and Git know, and `db` that Porch has not noticed yet."""
    namespace = guarded_namespace
    async with contextlib.AsyncExitStack() as stack:
        world = await stack.enter_async_context(entered(control_plane, namespace, git_server, tmp_path))
        await world.kube.delete(REPOSITORIES, namespace, "blueprints")
        world.git = git_server.create()
        await world.register("porch", world.git.url)
        kube = await stack.enter_async_context(await CountingClient.connect(control_plane.kubeconfig))
        porch = await stack.enter_async_context(await KubeClient.connect(porch_plane.kubeconfig))
        await porch.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        syncs = Syncs(world, kube, PorchRepository())
        syncs.porch.publish("web", 1, "first")
        syncs.porch.publish("web", 2, "second")
        syncs.porch.open("web", "draft")
        await syncs.written()
        made = Migration(syncs, porch, porch_plane, control_plane, tmp_path)
        labels = {"team": "shop", "kpt.dev/latest-revision": "false"}
        await made.serve("porch.web.first", "Published", 1, labels=labels, annotations={"example.org/note": "x"})
        await made.serve("porch.web.second", "Published", 2)
        await made.serve("porch.web.main", "Published", -1)
        await made.serve("porch.web.draft", "Draft")
        await made.serve("another.web.v1", "Published", 1)
        yield made


async def test_a_plan_tells_what_would_change_and_changes_nothing(migration: Migration) -> None:
    done = await migration.run("plan")
    assert (done.exit_code, "4 same, 0 differs, 0 only in Porch, 0 only in Git" in done.output) == (0, True)
    await migration.serve("porch.web.hidden", "Draft")
    await migration.serve("porch.gone.v1", "Published", 1)
    migration.syncs.porch.publish("db", 1, "v1")
    migration.syncs.porch.publish("Bad_Name", 1, "v1")
    await migration.syncs.written()
    await migration.porch.merge_patch(
        V1ALPHA1_REVISIONS, migration.namespace, "porch.web.second", {"spec": {"lifecycle": "DeletionProposed"}}
    )
    before, refs = await migration.syncs.repository(), migration.syncs.world.git.refs()
    done = await migration.run("plan", "porch")
    assert done.exit_code == 3
    assert "(Porch's): 3 same, 1 differs, 2 only in Porch, 2 only in Git" in done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["porch.web.hidden", "Draft", "-", "only", "in", "Porch"] in lines
    assert ["porch.web.second", "DeletionProposed", "v2", "Published", "v2", "differs"] in lines
    assert ["porch.db.v1", "-", "Published", "v1", "only", "in", "Git"] in lines
    assert "left out: " in done.output
    assert "Bad_Name" in done.output
    assert "porch.web.first" not in done.output
    assert "porch.web.first" in (await migration.run("plan", "--all-rows")).output

    done = await migration.run("plan", "-o", "json")
    [plan] = json.loads(done.output)
    rows = {row["name"]: row["comparison"] for row in plan["rows"]}
    assert (rows["porch.web.hidden"], rows["porch.web.main"]) == ("only in Porch", "same")
    assert not any(name.startswith("another") for name in rows)
    assert (await migration.syncs.repository(), migration.syncs.world.git.refs()) == (before, refs)
    assert await migration.syncs.objects() == {}
    assert not migration.record.exists()


async def test_there_and_back(migration: Migration) -> None:
    async with migration.porchflow():
        done = await migration.run("apply", "porch")
        assert (done.exit_code, await migration.annotated()) == (0, True), done.output
        assert "porch: migrated, 4 package revisions; users' metadata copied to 1" in done.output
        objects = await migration.syncs.objects()
        assert set(objects) == {f"porch.web.{name}" for name in ("first", "second", "main", "draft")}
        first = objects["porch.web.first"]["metadata"]
        assert (first["labels"]["team"], first["annotations"]["example.org/note"]) == ("shop", "x")
        assert "kpt.dev/latest-revision" not in first["labels"]

        assert "migrated before" in (await migration.run("apply", "--all")).output
        done = await migration.run("verify")
        assert (done.exit_code, done.output) == (0, "porch: 4 package revisions, 0 not as recorded\n")
        assert "migrated already" in (await migration.run("plan")).output

        upstream_of = {"metadata": {"annotations": {UPSTREAM_OF_ANNOTATION: "porch.shop.v1"}}}
        await migration.syncs.world.patch("porch.web.first", upstream_of)
        refs = migration.syncs.world.git.refs()
        done = await migration.run("rollback", "porch", "--timeout", "30")
        assert (done.exit_code, await migration.annotated()) == (0, False), done.output
        assert "4 objects removed, Git left as it is" in done.output
        assert (await migration.syncs.objects(), migration.syncs.world.git.refs()) == ({}, refs)
        await migration.syncs.ask_now("more")
        assert "left to Porch" in (await migration.syncs.sync(annotated_only=True)).summary
        done = await migration.run("rollback", "porch")
        assert (done.exit_code, "has no Repository 'porch' that was migrated" in done.output) == (1, True)
        assert (await migration.run("apply", "porch")).exit_code == 0, "and there again"
    assert await migration.annotated()


@contextlib.asynccontextmanager
async def webhook_of_porch(migration: Migration, refused: str) -> AsyncIterator[None]:
    """Refuse deletions as the webhook of a newer Porch does, by a policy in its place.

    Args:
        migration: Where.
        refused: CEL that is true for an object that may not be deleted.
    """
    probe, mark = "porch.web.draft", "example.org/probe"
    marked = f"'{mark}' in oldObject.metadata.?annotations.orValue({{}})"
    await migration.syncs.world.patch(probe, {"metadata": {"annotations": {mark: "yes"}}})
    name = f"webhook-of-porch-{migration.namespace}"
    kind, version = "ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": ["porch.kpt.dev"],
        "apiVersions": ["v1alpha2"],
        "operations": ["DELETE"],
        "resources": ["packagerevisions"],
    }
    words = "oldObject.metadata.name + ' cannot be deleted while it is so'"
    policy = {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [
                {"expression": f"!({refused} || {marked})", "messageExpression": words, "reason": "Forbidden"}
            ],
        },
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": migration.namespace}}
    spec = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}
    binding = {"apiVersion": version, "kind": f"{kind}Binding", "metadata": {"name": name}, "spec": spec}
    kubectl = migration.plane.kubectl
    await kubectl(
        "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
    )

    async def refuses() -> bool:
        told = await kubectl(
            *("delete", "packagerevisions.v1alpha2.porch.kpt.dev", probe, "-n", migration.namespace),
            "--dry-run=server",
            check=False,
        )
        return "cannot be deleted while it is so" in told

    try:
        # The API server takes a moment to learn of the policy.
        await eventually(refuses)
        await migration.syncs.world.patch(probe, {"metadata": {"annotations": {mark: None}}})
        yield
    finally:
        await kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name)


async def test_a_rollback_beside_a_porch_that_refuses_to_delete_what_is_published(migration: Migration) -> None:
    async with migration.porchflow():
        assert (await migration.run("apply", "porch")).exit_code == 0
        refs = migration.syncs.world.git.refs()
        async with webhook_of_porch(migration, "oldObject.spec.lifecycle == 'Published'"):
            # Nobody proposes the deletion of an object whose finalizer stands: that would be marked in Git.
            done = await migration.run("rollback", "porch", "--timeout", "30")
        assert done.exit_code == 0, done.output
        assert "4 objects removed, Git left as it is" in done.output
        assert (await migration.syncs.objects(), migration.syncs.world.git.refs()) == ({}, refs)


async def test_a_rollback_that_is_refused_says_what_is_left_and_goes_on_later(migration: Migration) -> None:
    async with migration.porchflow():
        assert (await migration.run("apply", "porch")).exit_code == 0
        refs = migration.syncs.world.git.refs()
        used = "oldObject.metadata.name == 'porch.web.first'"
        async with webhook_of_porch(migration, used):
            done = await migration.run("rollback", "porch", "--timeout", "60")
            assert (done.exit_code, await migration.annotated()) == (1, False)
            assert "has no annotation any more, 3 of its package revisions are removed" in done.output
            assert "porch.web.first cannot be deleted while it is so" in done.output
            assert "run the same command again" in done.output
            left = await migration.syncs.objects()
            assert {name: obj["spec"]["lifecycle"] for name, obj in left.items()} == {"porch.web.first": "Published"}
            [recorded] = Record.load(migration.record).repositories.values()
            assert recorded.phase is Phase.MIGRATED
        done = await migration.run("rollback", "porch", "--timeout", "30")
        assert done.exit_code == 0, done.output
        assert (await migration.syncs.objects(), migration.syncs.world.git.refs()) == ({}, refs)


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9))), st.permutations(range(10)))
def test_what_others_were_made_from_goes_after_them(edges: set[tuple[int, int]], order: list[int]) -> None:
    made_from = {(later, earlier) for later, earlier in edges if later > earlier}
    kinds = ("copyFrom", "cloneFrom", "upgrade")

    def revision(number: int) -> Object:
        sources: dict[str, Any] = {}
        upstreams = [f"r.p.v{earlier}" for later, earlier in sorted(made_from) if later == number][:3]
        if upstreams:
            one, two, three = (*upstreams, *upstreams, *upstreams)[:3]
            sources = {
                "copyFrom": {"name": one},
                "cloneFrom": {"upstreamRef": {"name": one}},
                "upgrade": {
                    "oldUpstream": {"name": one},
                    "newUpstream": {"name": two},
                    "currentPackage": {"name": three},
                },
            }
            kind = kinds[number % 3]
            sources = {"source": {kind: sources[kind]}}
        return {"metadata": {"name": f"r.p.v{number}"}, "spec": sources}

    objects = [revision(number) for number in order]
    sorted_names = [obj["metadata"]["name"] for obj in dependents_first(objects)]
    assert sorted(sorted_names) == sorted(obj["metadata"]["name"] for obj in objects)
    for obj in objects:
        source = PackageRevision.model_validate(obj).spec.source
        for upstream in source.references if source is not None else []:
            assert sorted_names.index(obj["metadata"]["name"]) < sorted_names.index(upstream)


def test_objects_that_name_each_other_are_removed_all_the_same() -> None:
    def revision(name: str, upstream: str) -> Object:
        return {"metadata": {"name": name}, "spec": {"source": {"copyFrom": {"name": upstream}}}}

    pair = [revision("a", "b"), revision("b", "a"), revision("c", "c"), revision("d", "nowhere")]
    assert {obj["metadata"]["name"] for obj in dependents_first(pair)} == {"a", "b", "c", "d"}


async def test_what_only_porch_has(migration: Migration) -> None:
    files = {"Kptfile": kptfile_text("web"), "a.yaml": "a: 1\n"}
    for name, lifecycle in (("porch.web.hidden", "Draft"), ("porch.web.asked", "Proposed")):
        await migration.serve(name, lifecycle)
        await migration.serve_content(name, files)
    done = await migration.run("apply", "porch")
    assert (done.exit_code, await migration.annotated()) == (1, False)
    assert "only Porch has porch.web.asked (Proposed), porch.web.hidden (Draft)" in done.output
    assert "--export-drafts" in done.output
    async with migration.porchflow():
        done = await migration.run("apply", "porch", "--export-drafts")
        assert done.exit_code == 0, done.output
        objects = await migration.syncs.objects()
        found = {name: objects[name]["spec"]["lifecycle"] for name in ("porch.web.hidden", "porch.web.asked")}
        assert found == {"porch.web.hidden": "Draft", "porch.web.asked": "Proposed"}
        git = migration.syncs.world.git
        assert git.read("refs/heads/drafts/web/hidden", "web/a.yaml") == "a: 1"
        assert "refs/heads/proposed/web/asked" in git.refs()
        done = await migration.run("rollback", "--all", "--timeout", "30")
        assert "brought to Git and still there: proposed/web/asked, drafts/web/hidden" in done.output
        assert "refs/heads/drafts/web/hidden" in git.refs()


async def test_what_is_left_behind_is_told(migration: Migration) -> None:
    await migration.serve("porch.gone.v1", "Published", 3)
    async with migration.porchflow():
        done = await migration.run("apply", "porch", "--leave-behind")
        assert (done.exit_code, await migration.annotated()) == (3, True)
        told = "porch.gone.v1: only Porch had it (Published v3); Git does not"
        assert told in done.output
        await migration.syncs.world.delete_whatever_it_takes("porch.web.first")
        done = await migration.run("verify", "porch")
        assert done.exit_code == 3
        assert told in done.output
        assert "porch.web.first: no object was made for web/v1" in done.output


async def test_an_interrupted_migration_goes_on(migration: Migration) -> None:
    done = await migration.run("apply", "porch", "--timeout", "1")
    assert (done.exit_code, await migration.annotated()) == (1, True)
    assert "was not synced within 1 s: nobody has synced it" in done.output
    [recorded] = Record.load(migration.record).repositories.values()
    assert (recorded.phase, len(recorded.rows)) == (Phase.ANNOTATED, 4)
    async with migration.porchflow():
        done = await migration.run("apply", "porch")
        assert done.exit_code == 0, done.output
        await eventually(migration.syncs.objects, what="the objects")


async def test_what_cannot_be_done_is_said(migration: Migration) -> None:
    done = await migration.run("plan", "none")
    assert (done.exit_code, f"no Repository 'none' in namespace '{migration.namespace}'" in done.output) == (1, True)
    done = await migration.run("apply")
    assert (done.exit_code, "name Repositories, or give --all" in done.output) == (2, True)
    migration.record.write_text("{")
    for command in ("apply", "verify", "rollback"):
        done = await migration.run(command, "porch")
        assert (done.exit_code, "cannot read the record" in done.output) == (1, True)
    patch = {"metadata": {"annotations": {V1ALPHA2_MIGRATION_ANNOTATION: "true"}}}
    await migration.syncs.world.kube.merge_patch(migration.syncs.repositories, migration.namespace, "porch", patch)
    migration.record.unlink()
    assert "this record knows nothing of it" in (await migration.run("apply", "porch")).output


async def test_without_a_porch(migration: Migration) -> None:
    """Where the v1alpha1 API is not served, that is said."""
    options = [f"--kubeconfig={migration.plane.kubeconfig}", f"--namespace={migration.namespace}"]
    done = await asyncio.to_thread(CliRunner().invoke, main, ["migrate", "plan", *options])
    assert done.exit_code == 1, done.output
    assert "packagerevisions.porch.kpt.dev" in done.output


def test_the_kubeconfig_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORCHFLOW_KUBECONFIG", str(tmp_path / "nowhere"))
    done = CliRunner().invoke(main, ["migrate", "plan"])
    assert done.exit_code == 1
    assert f"there is no kubeconfig at {tmp_path / 'nowhere'}" in done.output


@pytest.mark.parametrize(("given", "number"), [(None, 0), (0, 0), (3, 3), (-1, -1), ("v2", 2), ("", 0), ("main", 0)])
def test_revisions_of_all_versions_of_porch(given: object, number: int) -> None:
    assert revision_of({"metadata": {}, "spec": {"revision": given}}).revision == number
