"""Who may bring a package revision how far, and what keeps it from there, on the real API server."""

import json

import pytest
import yaml

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Forbidden
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.api.team import BINDINGS, DEPLOY, IDENTITY, ROLES, Team, binding, refused, without_rules
from tests.kubectl import KubectlError, kubectl_with
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually


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
    await team.admin.create(BINDINGS, binding(team.namespace, "own", "own-approvers"))
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


async def test_a_token_that_was_taken_back_is_no_rendering_that_is_due(team: Team) -> None:
    await team.create()
    await team.reported("Rendered", "False", "RenderFailed", "set-namespace: no namespace")
    await team.report(observedReconcileNow="1")
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


async def test_the_policies_hold_without_the_rules_of_our_crds(
    restartable_control_plane: ControlPlane,
) -> None:
    """Where Porch's CRD is installed, which lets every change through."""
    plane = restartable_control_plane
    crd = yaml.safe_load((DEPLOY / "crds" / "porch.kpt.dev_packagerevisions.yaml").read_text())
    await plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(without_rules(crd))
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
