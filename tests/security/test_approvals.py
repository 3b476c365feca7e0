"""Who approved what stays known, and what an approver reviewed is what is published."""

import json

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase
from porchflow.gitrepo.store.commit_messages import Annotation, approval_message, approver_of, parse_annotations
from porchflow.kube.errors import Forbidden, Invalid
from porchflow.kube.kinds import NAMESPACES
from tests.activities.world import reason
from tests.api.team import PROPOSED_BY, Team, refused
from tests.kubectl import kubectl_with
from tests.security.stage import NAME, Stage
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

EVIL = {"evil.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: evil\n"}

# Who approved


async def test_the_approvers_name_survives_the_object(stage: Stage) -> None:
    assert (await stage.published())["status"]["publishedBy"] == "bea@example.com"
    message = stage.world.git.git("log", "-1", "--format=%B", "refs/tags/web/v1")
    assert parse_annotations(message) == [Annotation("web", "v1", "1")], "as Porch reads it"
    assert (
        stage.world.git.git("log", "-1", "--format=%(trailers)", "refs/tags/web/v1") == "Approved-by: bea@example.com"
    )
    await stage.world.delete_whatever_it_takes(NAME)
    await stage.sync()
    assert (await stage.world.get(NAME))["status"]["publishedBy"] == "bea@example.com"
    branch = await stage.world.get("blueprints.web.main")
    assert branch["status"]["publishedBy"] == "bea@example.com"


@pytest.mark.parametrize(
    "name", ['x\nkpt:{"package":"web","revision":"9"}', "", " x", "x" * 257, "a\x1b[31m", "a\u2028b", "\ud800"]
)
def test_a_name_that_could_be_read_as_more_is_left_out(name: str) -> None:
    message = approval_message("web", "v1", 1, name)
    assert message == approval_message("web", "v1", 1)
    assert approver_of(message) == ""


@pytest.mark.parametrize("name", ["bea@example.com", "system:serviceaccount:flux:approver", "Zoë", "kpt:{}"])
def test_any_other_is_read_back(name: str) -> None:
    message = approval_message("web", "v1", 1, name)
    assert approver_of(message) == name
    assert parse_annotations(message) == [Annotation("web", "v1", "1")]


def test_only_a_commit_that_publishes_tells_an_approver() -> None:
    assert approver_of("a draft\n\nApproved-by: bea@example.com\n") == ""
    draft = 'x\n\nkpt:{"package":"web","revision":"1","task":{"type":"patch"}}\n\nApproved-by: bea@example.com\n'
    assert approver_of(draft) == ""


# What was proposed


async def test_a_proposal_is_written_down(stage: Stage) -> None:
    proposed = await stage.proposed()
    proposal = proposed["status"]["proposal"]
    assert proposal["commit"] == proposed["status"]["selfLock"]["git"]["commit"]
    assert proposal["by"] == "ada@example.com"
    assert proposal["at"]
    assert proposal.keys() == {"commit", "by", "at"}
    await stage.run(Phase.LIFECYCLE)
    assert (await stage.world.get(NAME))["status"]["proposal"] == proposal, "looking again is no other proposal"
    published = await stage.step(stage.team.approver, "Published")
    assert published["status"]["proposal"] == proposal, "what was published"


async def test_nobody_forges_who_proposed(team: Team) -> None:
    made = await team.create(annotations={PROPOSED_BY: "eve@example.com"})
    assert not made["metadata"].get("annotations")
    proposed = await team.ask(team.author, "Proposed")
    assert proposed["metadata"]["annotations"][PROPOSED_BY] == "ada@example.com"
    for value in ("eve@example.com", None):
        kept = await team.annotate(team.author, proposed_by=value)
        assert kept["metadata"]["annotations"][PROPOSED_BY] == "ada@example.com"


async def _swap(stage: Stage) -> tuple[str, str]:
    """Take a proposal back and propose other content; returns both commits."""
    first = (await stage.proposed())["status"]["proposal"]["commit"]
    withdrawn = (await stage.step(stage.team.author, "Draft"))["status"]["proposal"]
    assert withdrawn["commit"] == first
    assert withdrawn["withdrawnAt"]
    pushed = await stage.world.push(EVIL)
    annotation = {"porch.kpt.dev/render-request": pushed}
    await stage.team.patch(stage.team.author, {"metadata": {"annotations": annotation}})
    await stage.run(Phase.RENDER)
    second = (await stage.step(stage.team.author, "Proposed"))["status"]["proposal"]
    assert second["previousCommit"] == first
    assert "withdrawnAt" not in second
    return first, second["commit"]


async def test_other_content_than_was_proposed_is_told(stage: Stage) -> None:
    first, second = await _swap(stage)
    assert first != second
    told = [event["message"] for event in await stage.world.events_on(NAME) if event["reason"] == "ProposalChanged"]
    assert told == [f"commit {second} is proposed; {first} was before: review what differs"]


async def test_the_same_content_proposed_again_is_no_news(stage: Stage) -> None:
    first = (await stage.proposed())["status"]["proposal"]
    await stage.step(stage.team.author, "Draft")
    again = (await stage.step(stage.team.author, "Proposed"))["status"]["proposal"]
    assert again["commit"] == first["commit"]
    assert "previousCommit" not in again
    assert "ProposalChanged" not in {event["reason"] for event in await stage.world.events_on(NAME)}


# What was reviewed


def _approving(commit: str) -> dict[str, object]:
    annotations = {"porchflow.dev/approved-commit": commit}
    return {"metadata": {"annotations": annotations}, "spec": {"lifecycle": "Published"}}


async def test_another_commit_than_was_reviewed_is_not_published(stage: Stage) -> None:
    first, second = await _swap(stage)
    words = await refused(stage.team.patch(stage.team.approver, _approving(first)), Invalid)
    assert f"says that commit {first} was reviewed, and {second} is what would be published" in words
    await stage.team.patch(stage.team.approver, _approving(second))
    await stage.run(Phase.LIFECYCLE)
    assert "refs/tags/web/v1" in stage.refs()


async def test_the_worker_holds_to_what_git_has(stage: Stage) -> None:
    """Where the status is behind, and where no policies are."""
    reviewed = (await stage.proposed())["status"]["proposal"]["commit"]
    other = "1" * 40
    lock = {"selfLock": {"type": "git", "git": {"commit": other}}}
    await stage.world.patch(NAME, {"status": lock}, subresource="status")
    await stage.team.patch(stage.team.approver, _approving(other))
    await stage.world.patch(NAME, {"status": {"selfLock": {"git": {"commit": reviewed}}}}, subresource="status")
    words = await stage.world.fails(Phase.LIFECYCLE, NAME, ErrorKind.STALLED)
    assert f"says that commit {other} was reviewed, and proposed/web/v1 is at {reviewed}" in words
    assert reason(await stage.world.get(NAME), "Stalled") == "True/CommitNotApproved"
    assert "refs/tags/web/v1" not in stage.refs()
    await stage.team.annotate(stage.team.approver, approved_commit=reviewed)
    await stage.run(Phase.LIFECYCLE)
    assert "refs/tags/web/v1" in stage.refs()


async def test_only_approvers_say_what_was_reviewed(team: Team) -> None:
    commit, other = "1" * 40, "2" * 40
    words = await refused(team.create(annotations={"porchflow.dev/approved-commit": commit}), Forbidden)
    assert "saying which commit was reviewed (annotation porchflow.dev/approved-commit) is for approvers" in words
    await team.create()
    await refused(team.annotate(team.author, approved_commit=commit), Forbidden)
    await team.annotate(team.approver, approved_commit=commit)
    for value in (other, None):
        await refused(team.annotate(team.author, approved_commit=value), Forbidden)
    await team.annotate(team.author, reconcile_now="1")
    await team.annotate(team.approver, approved_commit=None)


async def test_where_it_is_required_nothing_is_published_without_the_commit(
    stage: Stage, control_plane: ControlPlane
) -> None:
    commit = (await stage.proposed())["status"]["proposal"]["commit"]
    required = {"metadata": {"labels": {"porchflow.dev/approval": "commit"}}}
    await stage.team.admin.merge_patch(NAMESPACES, None, stage.team.namespace, required)
    words = ""

    async def heard() -> bool:
        nonlocal words
        run = kubectl_with(control_plane.kubeconfig_for("bea@example.com"))
        patch = json.dumps({"spec": {"lifecycle": "Published"}})
        where = ("-n", stage.team.namespace, "--type=merge", "-p", patch, "--dry-run=server")
        try:
            run("patch", "packagerevision", NAME, *where)
        except Exception as error:  # noqa: BLE001 - kubectl's own
            words = str(error)
        return bool(words)

    await eventually(heard, what="the policies have heard of the label")
    assert "publishes nothing but a commit that was reviewed: set the annotation porchflow.dev/approved-commit" in words
    assert f"proposed is {commit}" in words
    await refused(stage.team.ask(stage.team.admin, "Published"), Invalid)
    await refused(stage.team.patch(stage.team.author, _approving(commit)), Forbidden)
    await stage.team.patch(stage.team.approver, _approving(commit))
    await stage.run(Phase.LIFECYCLE)
    assert "refs/tags/web/v1" in stage.refs()
