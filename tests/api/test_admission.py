"""The admission policies on the real API server: who may do what, and with which words the rest is refused."""

import json
import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.admission import CLEANERS, POLICIES, main, manifests, stale, write
from api.names import FINALIZER, object_name
from api.packagerevision import PackageRevisionSpec
from kube.client import KubeClient, Object
from kube.errors import Forbidden, Invalid, KubeError
from kube.resources import NAMESPACES, PACKAGEREVISIONS, Resource
from tests.kubectl import Kubectl, KubectlError, kubectl_with
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

WORKER = "system:serviceaccount:porch-system:porchflow-worker"
PEOPLE = {
    "ada@example.com": "porchflow-author",
    "bea@example.com": "porchflow-approver",
    "vic@example.com": "porchflow-viewer",
    WORKER: "porchflow-worker",
    CLEANERS[0]: "porchflow-author",
}
"""Users and the role they have in a test's namespace."""

APPROVED_BY, SUSPENDED_BY = "porchflow.dev/approved-by", "porchflow.dev/suspended-by"


def test_the_files_are_what_the_policies_say() -> None:
    assert stale() == []
    listed = yaml.safe_load((DEPLOY / "admission" / "Kustomization").read_text())["resources"]
    assert sorted(listed) == sorted(manifests())


def test_a_stale_file_is_told_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nobodys.yaml").write_text("x")
    assert "nobodys.yaml" in stale(tmp_path)
    write(tmp_path)
    assert stale(tmp_path) == []
    monkeypatch.setattr("api.admission.stale", lambda: ["porchflow-lifecycle.yaml"])
    assert main(["--check"]) == 1


@dataclass
class Team:
    """A namespace under the policies, with one client per user."""

    namespace: str
    admin: KubeClient
    clients: dict[str, KubeClient]

    @property
    def author(self) -> KubeClient:
        return self.clients["ada@example.com"]

    @property
    def approver(self) -> KubeClient:
        return self.clients["bea@example.com"]

    @property
    def worker(self) -> KubeClient:
        return self.clients[WORKER]

    async def create(
        self,
        client: KubeClient | None = None,
        *,
        name: str = "blueprints.web.v1",
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> Object:
        """Create an object as it is once porchflow has taken it up."""
        whole = {"repository": "blueprints", "packageName": "web", "workspaceName": "v1", "lifecycle": "Draft", **spec}
        body: dict[str, Any] = {
            "apiVersion": "porch.kpt.dev/v1alpha2",
            "kind": "PackageRevision",
            "metadata": {"name": name, "namespace": self.namespace, "finalizers": [FINALIZER]},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
        if annotations:
            body["metadata"]["annotations"] = annotations
        return await (client or self.author).create(PACKAGEREVISIONS, body)

    async def patch(self, client: KubeClient, patch: Object, name: str = "blueprints.web.v1") -> Object:
        return await client.merge_patch(PACKAGEREVISIONS, self.namespace, name, patch)

    async def ask(self, client: KubeClient, lifecycle: str) -> Object:
        return await self.patch(client, {"spec": {"lifecycle": lifecycle}})

    async def annotate(self, client: KubeClient, **annotations: str | None) -> Object:
        named = {f"porchflow.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        return await self.patch(client, {"metadata": {"annotations": named}})

    async def delete(self, client: KubeClient) -> Object:
        return await client.delete(PACKAGEREVISIONS, self.namespace, "blueprints.web.v1")

    async def report(self, **status: Any) -> None:
        """Set the status, as a controller does."""
        await self.admin.merge_patch(
            PACKAGEREVISIONS, self.namespace, "blueprints.web.v1", {"status": status}, subresource="status"
        )

    async def reported(self, kind: str, status: str, reason: str, message: str) -> None:
        condition = {"type": kind, "status": status, "reason": reason, "message": message}
        await self.report(conditions=[{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}])

    async def at(self, lifecycle: str) -> None:
        """Make an object that has come as far as this."""
        await self.create()
        for step in ("Proposed", "Published", "DeletionProposed"):
            if lifecycle == "Draft":
                return
            await self.ask(self.approver, step)
            if step == lifecycle:
                return


@pytest.fixture(scope="session")
def roles(kubectl: Kubectl) -> None:
    for file in ("roles.yaml", "worker-rbac.yaml"):
        documents = yaml.safe_load_all((DEPLOY / "base" / file).read_text())
        found = [one for one in documents if one["kind"] == "ClusterRole"]
        text = yaml.safe_dump_all(found)
        kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", input=text)


@pytest.fixture
async def team(
    roles: None, control_plane: ControlPlane, kube: KubeClient, guarded_namespace: str
) -> AsyncIterator[Team]:
    async with AsyncExitStack() as stack:
        clients = {}
        for user, role in PEOPLE.items():
            await kube.create(BINDINGS, _binding(guarded_namespace, user, role))
            config = control_plane.kubeconfig_for(user)
            clients[user] = await stack.enter_async_context(await KubeClient.connect(config))
        yield Team(guarded_namespace, kube, clients)


def _binding(namespace: str, user: str, role: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{role}-{abs(hash(user))}", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


async def refused(request: Awaitable[Any], kind: type[KubeError] = Invalid) -> str:
    with pytest.raises(kind) as raised:
        await request
    return str(raised.value)


# Creation


@pytest.mark.parametrize("lifecycle", ["Proposed", "Published", "DeletionProposed"])
async def test_a_package_revision_starts_as_draft(team: Team, lifecycle: str) -> None:
    words = await refused(team.create(lifecycle=lifecycle))
    assert f"starts as Draft, not as {lifecycle}: create it with spec.lifecycle Draft" in words


async def test_one_without_a_lifecycle_does_not_get_around_it(team: Team) -> None:
    await team.create(lifecycle=None)
    assert "starts as Draft" in await refused(team.ask(team.approver, "Published"))
    await team.ask(team.author, "Draft")


@pytest.mark.parametrize("lifecycle", ["Proposed", "Published"])
async def test_who_reconciles_says_what_is_in_git(team: Team, lifecycle: str) -> None:
    """As a sync of the repository does, and an administrator who restores a backup."""
    await team.create(team.admin, lifecycle=lifecycle)


# Names and identity


@pytest.mark.parametrize("package", ["web", "shop/web", "/shop/web/", "a/b/c/web", "w", "//web//"])
async def test_the_name_is_made_of_the_identity(team: Team, package: str) -> None:
    right = object_name("blueprints", package, "v1")
    wrong = await refused(team.create(name="something.else.v1", packageName=package))
    assert f"something.else.v1 has to be {right} (repository.package.workspace)" in wrong
    await team.create(name=right, packageName=package)


@pytest.mark.parametrize("missing", ["repository", "packageName", "workspaceName"])
async def test_an_object_must_say_what_it_is(team: Team, missing: str) -> None:
    assert "must say which package revision this is" in await refused(team.create(**{missing: None}))


async def test_an_object_of_a_wrong_name_can_be_finished_and_deleted(team: Team) -> None:
    """One that is older than the policies; Porch lets such names through."""
    await _outside(team, {"porchflow.dev/admission": "disabled"})
    await _until_created(team, name="odd")
    await _outside(team, {"porchflow.dev/admission": None})
    await team.patch(team.worker, {"metadata": {"labels": {"a": "b"}}}, "odd")
    await team.author.delete(PACKAGEREVISIONS, team.namespace, "odd")


async def _outside(team: Team, labels: dict[str, str | None]) -> None:
    await team.admin.merge_patch(NAMESPACES, None, team.namespace, {"metadata": {"labels": labels}})


async def _until_created(team: Team, name: str) -> None:
    """Create an object once the API server's policies have heard of the namespace's label."""

    async def created() -> bool:
        try:
            await team.create(name=name)
        except Invalid:
            return False
        return True

    await eventually(created, what="the policies leave the namespace alone")


IDENTITY = {
    "repository": "other",
    "packageName": "other",
    "workspaceName": "other",
    "source": {"copyFrom": {"name": "x"}},
}


def test_the_policy_of_the_spec_looks_at_all_of_it_but_the_lifecycle() -> None:
    (condition,) = (cel for policy in POLICIES for cel in policy.only_if.values() if "oldObject.?spec.?source" in cel)
    fields = {str(field.alias) for field in PackageRevisionSpec.model_fields.values()}
    assert set(re.findall(r"oldObject\.\?spec\.\?(\w+)", condition)) == fields - {"lifecycle"}


@pytest.mark.parametrize("field", IDENTITY)
async def test_the_identity_stays(team: Team, field: str) -> None:
    await team.create(source={"init": {}})
    words = await refused(team.patch(team.author, {"spec": {"source": None, field: IDENTITY[field]}}))
    assert f"{field} cannot be changed once it is set" in words


# Published content


async def test_the_content_of_a_published_revision_is_final(team: Team) -> None:
    await team.at("Published")
    for change in ({"readinessGates": [{"conditionType": "x"}]}, {"packageMetadata": {"labels": {"a": "b"}}}):
        assert "the content of a published revision is final" in await refused(
            team.patch(team.author, {"spec": change})
        )
        await team.patch(team.worker, {"spec": change})
    for client in (team.author, team.worker):
        assert "spec.source cannot be set any more" in await refused(
            team.patch(client, {"spec": {"source": {"init": {}}}})
        )
    await team.patch(team.author, {"metadata": {"labels": {"team": "a"}}})


async def test_a_readiness_gate_is_removed_in_the_kptfile_only(team: Team) -> None:
    gates = [{"conditionType": "tested"}, {"conditionType": "scanned"}]
    await team.create(readinessGates=gates)
    words = await refused(team.patch(team.author, {"spec": {"readinessGates": gates[:1]}}))
    assert "the readiness gate scanned comes from the Kptfile: remove it there" in words
    await team.patch(team.author, {"spec": {"readinessGates": [*gates, {"conditionType": "signed"}]}})
    await team.patch(team.worker, {"spec": {"readinessGates": gates[:1]}})


# Lifecycle


async def test_an_illegal_step_is_refused_with_what_is_possible(team: Team) -> None:
    await team.at("Published")
    for client in (team.author, team.approver, team.worker, team.admin):
        assert "from Published it can go to DeletionProposed" in await refused(team.ask(client, "Draft"))


async def test_an_author_proposes_and_takes_back_and_an_approver_publishes(team: Team) -> None:
    await team.create()
    await team.ask(team.author, "Proposed")
    await team.ask(team.author, "Draft")
    await team.ask(team.author, "Proposed")
    words = await refused(team.ask(team.author, "Published"), Forbidden)
    assert f"ada@example.com may not update packagerevisions/approval in namespace {team.namespace}" in words
    assert "ask an approver" in words
    await team.ask(team.approver, "Draft")
    await team.ask(team.approver, "Proposed")
    await team.ask(team.approver, "Published")
    await team.ask(team.author, "DeletionProposed")
    await team.ask(team.author, "Published")


async def test_a_viewer_changes_nothing(team: Team) -> None:
    viewer = team.clients["vic@example.com"]
    await team.create()
    assert (await viewer.get(PACKAGEREVISIONS, team.namespace, "blueprints.web.v1"))["spec"]
    await refused(team.ask(viewer, "Proposed"), Forbidden)
    await refused(team.delete(viewer), Forbidden)


async def test_approving_as_porchctl_does_it(team: Team, control_plane: ControlPlane) -> None:
    """With a PUT of the whole object as it was read."""
    await team.at("Proposed")
    for user, verdict in (("ada@example.com", "publishing is for approvers"), ("bea@example.com", "")):
        run = kubectl_with(control_plane.kubeconfig_for(user))
        whole = json.loads(run("get", "packagerevisions", "blueprints.web.v1", "-n", team.namespace, "-o", "json"))
        whole["spec"]["lifecycle"] = "Published"
        if verdict:
            with pytest.raises(KubectlError, match=verdict):
                run("replace", "-f", "-", input=json.dumps(whole))
        else:
            run("replace", "-f", "-", input=json.dumps(whole))


async def test_the_permission_of_porchs_approvers_is_enough(team: Team, control_plane: ControlPlane) -> None:
    """Bound to one package revision by name, with the verb `patch` only."""
    rules = [
        {"apiGroups": ["porch.kpt.dev"], "resources": ["packagerevisions"], "verbs": ["get", "update", "patch"]},
        {
            "apiGroups": ["porch.kpt.dev"],
            "resources": ["packagerevisions/approval"],
            "resourceNames": ["blueprints.web.v1"],
            "verbs": ["patch"],
        },
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": rules}
    await team.admin.apply(ROLES, {**role, "metadata": {"name": "own-approvers"}}, field_manager="test")
    await team.admin.create(BINDINGS, _binding(team.namespace, "own", "own-approvers"))
    await team.at("Proposed")
    await team.create(name="blueprints.web.v2", workspaceName="v2")
    await team.patch(team.author, {"spec": {"lifecycle": "Proposed"}}, "blueprints.web.v2")
    async with await KubeClient.connect(control_plane.kubeconfig_for("own")) as client:
        await team.ask(client, "Published")
        await refused(team.patch(client, {"spec": {"lifecycle": "Published"}}, "blueprints.web.v2"), Forbidden)


@pytest.mark.parametrize(("start", "step"), [("Draft", "Proposed"), ("Proposed", "Published")])
async def test_what_did_not_render_goes_no_further(team: Team, start: str, step: str) -> None:
    await team.at(start)
    await team.reported("Rendered", "False", "RenderFailed", "set-namespace: no namespace")
    for client in (team.approver, team.admin):
        words = await refused(team.ask(client, step))
        assert f"cannot become {step} while its content is not rendered (RenderFailed: set-namespace: no" in words
        assert "wait until newer content is Rendered" in words
    if start == "Proposed":
        await team.ask(team.author, "Draft")


async def test_a_proposal_waits_for_the_rendering_that_is_due(team: Team) -> None:
    await team.create()
    await team.reported("Rendered", "False", "RenderFailed", "set-namespace: no namespace")
    await team.patch(team.author, {"metadata": {"annotations": {"porch.kpt.dev/render-request": "2"}}})
    await team.ask(team.author, "Proposed")
    await team.ask(team.author, "Draft")
    await team.report(observedPrrResourceVersion="2")
    await refused(team.ask(team.author, "Proposed"))


@pytest.mark.parametrize(("start", "step"), [("Draft", "Proposed"), ("Proposed", "Published")])
async def test_unmet_readiness_gates_are_named(team: Team, start: str, step: str) -> None:
    await team.at(start)
    gates = [{"conditionType": name} for name in ("tested", "scanned", "signed")]
    await team.patch(team.worker, {"spec": {"readinessGates": gates}})
    conditions = [{"type": "tested", "status": "True"}, {"type": "scanned", "status": "False"}]
    await team.report(packageConditions=conditions)
    words = await refused(team.ask(team.approver, step))
    assert f"cannot become {step} before its readiness gates are met: scanned, signed;" in words
    await team.report(packageConditions=[{"type": gate["conditionType"], "status": "True"} for gate in gates])
    await team.ask(team.approver, step)


# Porch's CRDs


async def test_the_policies_hold_without_the_rules_of_our_crds(
    restartable_control_plane: ControlPlane,
) -> None:
    """Where Porch's CRD is installed, which lets every change through."""
    plane = restartable_control_plane
    crd = yaml.safe_load((DEPLOY / "crds" / "porch.kpt.dev_packagerevisions.yaml").read_text())
    await plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(_without_rules(crd))
    )
    async with await KubeClient.connect(plane.kubeconfig) as admin:
        team = Team("default", admin, {"ada@example.com": admin})
        await team.create(source={"init": {}})

        async def by_the_policy(patch: Object, words: str) -> bool:
            told = await refused(team.patch(admin, patch))
            return words in told and "ValidatingAdmissionPolicy" in told

        jump = {"spec": {"lifecycle": "Published"}}
        await eventually(
            lambda: by_the_policy(jump, "lifecycle cannot go from Draft to Published; from"), what="no CRD rules"
        )
        for field, value in IDENTITY.items():
            assert await by_the_policy(
                {"spec": {"source": None, field: value}}, f"{field} cannot be changed once it is set"
            )
        assert await by_the_policy({"spec": None}, "cannot")


def _without_rules(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_rules(value) for key, value in schema.items() if key != "x-kubernetes-validations"}
    return [_without_rules(value) for value in schema] if isinstance(schema, list) else schema


# Deletion


async def test_a_draft_is_deleted_by_its_author(team: Team) -> None:
    await team.create()
    await team.delete(team.author)


async def test_a_published_revision_is_not_deleted_until_that_is_proposed_and_agreed(team: Team) -> None:
    await team.at("Published")
    for client in (team.author, team.approver, team.admin):
        words = await refused(team.delete(client))
        assert "blueprints.web.v1 is Published: propose its deletion first" in words
        assert "DeletionProposed" in words
    await team.ask(team.author, "DeletionProposed")
    words = await refused(team.delete(team.author), Forbidden)
    assert "agreeing to the deletion of what is published is for approvers" in words
    await team.delete(team.approver)


async def test_deleting_all_spares_what_is_published(team: Team, kubectl: Kubectl) -> None:
    await team.at("Published")
    await team.create(name="blueprints.web.v2", workspaceName="v2")
    with pytest.raises(KubectlError, match="is Published: propose its deletion first"):
        kubectl("delete", "packagerevisions", "--all", "--wait=false", "-n", team.namespace)


@pytest.mark.parametrize("lifecycle", ["Published", "DeletionProposed"])
async def test_the_clean_up_of_kubernetes_is_not_held_up(team: Team, lifecycle: str) -> None:
    """Of a deleted namespace, and of what a deleted Repository owned."""
    await team.at(lifecycle)
    await team.delete(team.clients[CLEANERS[0]])


async def test_an_object_that_stands_for_nothing_in_git_can_be_deleted(team: Team) -> None:
    """As a sync does with one whose tag is gone: it takes the finalizer away first."""
    await team.at("Published")
    await team.patch(team.worker, {"metadata": {"finalizers": []}})
    await team.delete(team.author)


@pytest.mark.parametrize("how", ["demoted", "deleted"])
async def test_what_others_were_made_from_is_let_go_with_a_warning(team: Team, kubectl: Kubectl, how: str) -> None:
    await team.at("Published" if how == "demoted" else "DeletionProposed")
    await team.annotate(team.worker, upstream_of="shop.web.v1")
    patch = json.dumps({"spec": {"lifecycle": "DeletionProposed"}})
    where = ("blueprints.web.v1", "-n", team.namespace)
    command = ("patch", *where, "--type=merge", "-p", patch) if how == "demoted" else ("delete", *where, "--wait=false")
    verb, *rest = command
    # Warnings go to stderr, and are an error for who asks for that.
    with pytest.raises(KubectlError, match=r"shop.web.v1 was made from blueprints.web.v1: "):
        kubectl(verb, "packagerevisions", *rest, "--warnings-as-errors")


# Who did it


async def test_the_approver_is_written_down(team: Team) -> None:
    await team.at("Proposed")
    published = await team.ask(team.approver, "Published")
    assert published["metadata"]["annotations"] == {APPROVED_BY: "bea@example.com"}
    for step in ("DeletionProposed", "Published"):
        kept = await team.ask(team.admin, step)
        assert kept["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"


async def test_nobody_forges_the_approver(team: Team) -> None:
    made = await team.create(annotations={APPROVED_BY: "eve@example.com", "kept": "yes"})
    assert made["metadata"]["annotations"] == {"kept": "yes"}
    changed = await team.annotate(team.author, approved_by="eve@example.com")
    assert APPROVED_BY not in changed["metadata"]["annotations"]
    both = {"metadata": {"annotations": {APPROVED_BY: "eve@example.com"}}}
    proposed = await team.patch(team.author, {**both, "spec": {"lifecycle": "Proposed"}})
    assert APPROVED_BY not in proposed["metadata"]["annotations"]
    published = await team.patch(team.approver, {**both, "spec": {"lifecycle": "Published"}})
    assert published["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"
    for value in ("eve@example.com", None):
        for client in (team.author, team.approver, team.worker, team.admin):
            kept = await team.annotate(client, approved_by=value)
            assert kept["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"
    emptied = await team.patch(team.author, {"metadata": {"annotations": None}})
    assert emptied["metadata"]["annotations"] == {APPROVED_BY: "bea@example.com"}


async def test_a_restored_object_keeps_its_approver(team: Team) -> None:
    restored = await team.create(team.admin, lifecycle="Published", annotations={APPROVED_BY: "bea@example.com"})
    assert restored["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"
    draft = {"name": "blueprints.web.v2", "workspaceName": "v2", "annotations": {APPROVED_BY: "bea@example.com"}}
    assert "annotations" not in (await team.create(team.admin, **draft))["metadata"]


async def test_an_applied_object_cannot_forge_either(team: Team) -> None:
    body = {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {
            "name": "blueprints.web.v1",
            "namespace": team.namespace,
            "annotations": {APPROVED_BY: "eve@example.com", SUSPENDED_BY: "eve@example.com"},
        },
        "spec": {"repository": "blueprints", "packageName": "web", "workspaceName": "v1", "lifecycle": "Draft"},
    }
    for _ in range(2):
        applied = await team.author.apply(PACKAGEREVISIONS, body, field_manager="eve")
        assert not applied["metadata"].get("annotations")


async def test_who_suspends_with_the_approval_is_both(team: Team) -> None:
    await team.at("Proposed")
    annotations = {"porchflow.dev/suspend": "a freeze", APPROVED_BY: "eve@example.com"}
    both = await team.patch(
        team.approver, {"spec": {"lifecycle": "Published"}, "metadata": {"annotations": annotations}}
    )
    written = both["metadata"]["annotations"]
    assert (written[APPROVED_BY], written[SUSPENDED_BY]) == ("bea@example.com", "bea@example.com")


async def test_who_suspends_is_written_down(team: Team) -> None:
    await team.create()
    suspended = await team.annotate(team.author, suspend="a freeze", suspended_by="eve@example.com")
    assert suspended["metadata"]["annotations"][SUSPENDED_BY] == "ada@example.com"
    kept = await team.annotate(team.approver, suspended_by="eve@example.com")
    assert kept["metadata"]["annotations"][SUSPENDED_BY] == "ada@example.com"
    longer = await team.annotate(team.approver, suspend_until="2030-01-31T18:00:00+01:00")
    assert longer["metadata"]["annotations"][SUSPENDED_BY] == "bea@example.com"
    resumed = await team.annotate(team.author, suspend=None, suspend_until=None)
    assert not resumed["metadata"].get("annotations")


@pytest.mark.parametrize("until", ["tomorrow", "2030-01-31", "2030-01-31 18:00", "18:00", "2030-01-31T18:00:00"])
async def test_the_end_of_a_suspension_must_be_a_time(team: Team, until: str) -> None:
    await team.create()
    words = await refused(team.annotate(team.author, suspend="x", suspend_until=until))
    assert f'must be a time such as 2030-01-31T18:00:00Z, not "{until}"' in words
