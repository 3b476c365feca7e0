"""The phases on a real API server and real Git: run twice, cut off anywhere, raced, and given bad input."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import PhaseInput
from porchflow.activities.target import Target
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Phase, facts_of, plan
from porchflow.repositories.failures import Stalled
from tests.activities.world import World, condition, in_need, reason
from tests.e2e.packages import DEPLOYMENT, KPTFILE, RENDERED_DEPLOYMENT, messages, show
from tests.e2e.rules import check_rules
from tests.kptfiles import kptfile_text
from tests.servers.git import GitRepositories, commit_files
from tests.servers.waiting import eventually

CONTENT: dict[str, str | bytes] = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
LATEST = "porch.kpt.dev/latest-revision"


async def test_every_phase_run_twice_gives_the_same(world: World) -> None:
    name = await world.create()
    await _twice(world, Phase.SOURCE, name)
    pushed = await world.push(CONTENT)
    await world.annotate(name, render_request=pushed)
    await _twice(world, Phase.RENDER, name)
    for lifecycle in ("Proposed", "Draft", "Proposed", "Published", "DeletionProposed", "Published"):
        await world.ask(name, lifecycle)
        await _twice(world, Phase.LIFECYCLE, name)


async def _twice(world: World, phase: Phase, name: str) -> None:
    first = await world.run(phase, name)
    obj, refs = await world.get(name), world.git.refs()
    second = await world.run(phase, name)
    assert world.git.refs() == refs
    assert await world.get(name) == obj, "a report that changes nothing writes nothing"
    assert second.current is first.current
    check_rules(obj)


STEPS: dict[str, tuple[Phase, dict[str, list[str]]]] = {
    "source": (Phase.SOURCE, {"drafts/web/v1": ["Creating new empty revision", "first commit"]}),
    "render": (
        Phase.RENDER,
        {"drafts/web/v1": ["Rendering package", "new content", "Creating new empty revision", "first commit"]},
    ),
    "propose": (Phase.LIFECYCLE, {"proposed/web/v1": ["Creating new empty revision", "first commit"]}),
    "publish": (Phase.LIFECYCLE, {"web/v1": ["Approving package revision web/1"]}),
    "finalize": (Phase.FINALIZE, {}),
}


async def _prepare(world: World, step: str) -> str:
    if step == "source":
        return await world.create()
    name = await world.draft()
    if step == "render":
        await world.annotate(name, render_request=await world.push(CONTENT))
    if step in {"propose", "publish"}:
        await world.ask(name, "Proposed")
    if step == "publish":
        await world.run(Phase.LIFECYCLE, name)
        await world.ask(name, "Published")
    if step == "finalize":
        await world.delete(await world.get(name))
    return name


@pytest.mark.parametrize("step", STEPS)
async def test_a_phase_that_ends_at_any_of_its_writes_is_finished_by_the_next_attempt(world: World, step: str) -> None:
    """The attempt that is let through comes after one that ended at the first write, one at the second, and so on."""
    phase, wanted = STEPS[step]
    name = await _prepare(world, step)
    obj = await world.get(name)
    for write in range(1, 20):
        world.worker.stop_at(write)
        try:
            await world.run(phase, name, attempt=write, obj=obj)
        except asyncio.CancelledError:
            continue
        break
    assert write > 1, "the phase writes at least once"
    world.worker.before_write = None
    own = {ref.split("/", 2)[2]: ref for ref in world.git.refs() if "heads/main" not in ref}
    assert {short: messages(world.git.path, ref)[: len(wanted[short])] for short, ref in own.items()} == wanted
    if step == "finalize":
        assert [name async for name in world.names()] == []
        return
    check_rules(await world.get(name))
    assert condition(await world.get(name), "Reconciling") is None or step == "source"


async def test_a_rendering_that_was_not_reported_is_not_taken_for_somebody_elses_content(world: World) -> None:
    name = await world.draft()
    await world.annotate(name, render_request=await world.push(CONTENT))
    world.worker.stop_at(1)
    with pytest.raises(asyncio.CancelledError):
        await world.run(Phase.RENDER, name)
    world.worker.before_write = None
    cut = await world.get(name)
    assert cut["status"]["selfLock"]["git"]["commit"] != world.git.refs()["refs/heads/drafts/web/v1"]
    await world.annotate(name, render_request=None)
    await world.ask(name, "Proposed")
    assert (await world.run(Phase.LIFECYCLE, name)).current is Lifecycle.PROPOSED


async def test_a_superseded_phase_waits_for_the_push_that_is_out(world: World) -> None:
    name = await world.draft()
    obj = await world.ask(name, "Proposed")
    gate, here = world.folder / "gate", world.folder / "here"
    world.git.hook("pre-receive", f"touch {here}; while [ ! -e {gate} ]; do sleep 0.05; done")
    environment, running = world.start(Phase.LIFECYCLE, name, obj=obj)
    try:
        await eventually(here.exists, what="the push arrives")
        environment.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not running.done(), "what it does to Git is not done yet"
    finally:
        gate.touch()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "refs/heads/proposed/web/v1" in world.git.refs()
    await world.ask(name, "Draft")
    assert (await world.run(Phase.LIFECYCLE, name)).summary == "Proposed -> Draft"


async def test_content_pushed_during_a_render_is_rendered_by_the_next_attempt(world: World) -> None:
    name = await world.create()
    made = await world.run(Phase.SOURCE, name)
    await world.annotate(name, render_request=await world.push(CONTENT))
    assert "moved to" in await world.fails(Phase.RENDER, name, ErrorKind.TRANSIENT, commit=made.commit)
    await world.run(Phase.RENDER, name, commit=made.commit, attempt=2)
    assert show(world.git.path, "drafts/web/v1", "web/deployment.yaml") == RENDERED_DEPLOYMENT
    check_rules(await world.get(name))


async def test_an_amended_rendering_is_rendered_again(world: World, tmp_path: Path) -> None:
    name = await world.draft()
    await world.annotate(name, render_request=await world.push(CONTENT))
    await world.run(Phase.RENDER, name)
    tip = world.git.refs()["refs/heads/drafts/web/v1"]
    blob = world.git.git("hash-object", "-w", "--stdin", stdin=DEPLOYMENT.replace("name: web", "name: shop"))
    listing = world.git.git("ls-tree", f"{tip}:web").splitlines()
    lines = [f"100644 blob {blob}\tdeployment.yaml" if line.endswith("deployment.yaml") else line for line in listing]
    package = world.git.git("mktree", stdin="\n".join(lines) + "\n")
    top = world.git.git("mktree", stdin=f"040000 tree {package}\tweb\n")
    message = world.git.git("log", "-1", "--format=%B", tip)
    amended = world.git.git("commit-tree", top, "-p", f"{tip}^", stdin=message)
    world.git.git("update-ref", "refs/heads/drafts/web/v1", amended)
    await world.annotate(name, render_request="again")
    await world.run(Phase.RENDER, name)
    wanted = RENDERED_DEPLOYMENT.replace("name: web", "name: shop")
    assert show(world.git.path, "drafts/web/v1", "web/deployment.yaml") == wanted


async def test_an_edit_during_a_phase_leaves_its_own_generation_to_the_next_pass(world: World) -> None:
    name = await world.draft()
    await world.annotate(name, render_request=await world.push(CONTENT))
    obj = await world.get(name)

    def edit(write: int) -> Any:
        return world.ask(name, "Proposed") if write == 1 else None

    world.worker.writes, world.worker.before_write = 0, edit
    await world.fails(Phase.RENDER, name, ErrorKind.SUPERSEDED, obj=obj)
    assert world.worker.writes == 1, "who was superseded reports nothing"
    after = await world.get(name)
    assert after["status"] == obj["status"], "a stale result is never written"
    facts = await world.facts(name)
    assert (facts.desired, facts.current, facts.render_pending) == (Lifecycle.PROPOSED, Lifecycle.DRAFT, True)


async def test_what_was_asked_for_before_is_not_begun(world: World) -> None:
    name = await world.draft()
    before = await world.ask(name, "Proposed")
    obj, refs = await world.ask(name, "Draft"), world.git.refs()
    await world.fails(Phase.LIFECYCLE, name, ErrorKind.SUPERSEDED, obj=before)
    assert (await world.get(name), world.git.refs()) == (obj, refs)


async def test_a_failure_found_on_a_superseded_object_is_not_reported(world: World) -> None:
    name = await world.draft()
    obj = await world.annotate(name, render_request=await world.push({"Kptfile": "apiVersion: [\n"}))

    def edit(write: int) -> Any:
        return world.annotate(name, render_request="another") if write == 1 else None

    world.worker.writes, world.worker.before_write = 0, edit
    await world.fails(Phase.RENDER, name, ErrorKind.SUPERSEDED, obj=obj)
    assert reason(await world.get(name), "Ready") == "True/Ready"


async def test_what_a_person_must_do_is_told_even_if_the_first_try_to_tell_it_fails(world: World) -> None:
    name = await world.draft()
    await world.annotate(name, render_request=await world.push({"Kptfile": "apiVersion: [\n"}))

    def away(write: int) -> None:
        raise ConnectionError("the API server is away")

    world.worker.before_write = away
    await world.fails(Phase.RENDER, name, ErrorKind.TRANSIENT)
    world.worker.before_write = None
    await world.fails(Phase.RENDER, name, ErrorKind.STALLED, attempt=2)
    assert reason(await world.get(name), "Stalled") == "True/RenderFailed"


async def test_what_went_wrong_is_told_to_temporal_if_it_cannot_be_told_to_anybody_else(
    world: World, git_server: GitRepositories
) -> None:
    name = await world.draft()
    await world.ask(name, "Proposed")
    git_server.faults.fail_next(1000, 503)

    def away(write: int) -> None:
        raise ConnectionError("the API server is away")

    world.worker.before_write = away
    assert "503" in await world.fails(Phase.LIFECYCLE, name, ErrorKind.TRANSIENT)


async def test_what_is_tried_again_is_not_said_to_be_handled(world: World, git_server: GitRepositories) -> None:
    """A Temporal that forgot its runs is told by the object that there is work."""
    name = await world.draft()
    handled = (await world.get(name))["metadata"]["generation"]
    await world.annotate(name, reconcile_now="t1")
    await world.ask(name, "Proposed")
    git_server.faults.fail_next(1000, 503)
    await world.fails(Phase.LIFECYCLE, name, ErrorKind.TRANSIENT)
    obj = await world.get(name)
    assert reason(obj, "Reconciling") == "True/ProgressingWithRetry"
    assert obj["status"]["observedGeneration"] == handled
    assert "observedReconcileNow" not in obj["status"]
    assert in_need(obj)
    check_rules(obj)


async def test_the_event_of_a_failed_rendering_names_every_function_that_ran(world: World) -> None:
    name = await world.draft()
    mutators = "[{image: set-namespace:v0.4.5, configMap: {namespace: x}}, {image: no.io/such:v1}]"
    pushed = await world.push({"Kptfile": kptfile_text("web", mutators=mutators)})
    await world.annotate(name, render_request=pushed)
    await world.fails(Phase.RENDER, name, ErrorKind.STALLED)
    [failed] = [event for event in await world.events_on(name) if event["reason"] == "RenderFailed"]
    assert failed["type"] == "Warning"
    assert "mutator 'no.io/such:v1' failed" in failed["message"]
    assert "; mutator set-namespace:v0.4.5: exit code 0, " in failed["message"]
    assert "; mutator such:v1: exit code 1, " in failed["message"]
    stalled = condition(await world.get(name), "Stalled")
    assert stalled
    assert "exit code" not in stalled.message


async def test_half_a_report_of_a_failed_rendering_is_made_whole_by_the_next_attempt(world: World) -> None:
    name = await world.draft()
    await world.push({"Kptfile": kptfile_text("web", mutators="[{image: no.io/such:v1}]")})
    keep = {"porch.kpt.dev/push-on-render-failure": "true", "porchflow.dev/reconcile-now": "again"}
    await world.patch(name, {"metadata": {"annotations": keep}})
    for write in range(1, 10):
        world.worker.stop_at(write)
        try:
            await world.fails(Phase.RENDER, name, ErrorKind.STALLED, attempt=write)
        except asyncio.CancelledError:
            continue
        break
    assert write > 2
    world.worker.before_write = None
    done = await world.get(name)
    assert reason(done, "Stalled") == "True/RenderFailed"
    assert reason(done, "Rendered") == "False/RenderFailed"
    assert done["status"]["selfLock"]["git"]["commit"] == world.git.refs()["refs/heads/drafts/web/v1"]


async def test_a_draft_that_was_proposed_and_published_in_one_go(world: World) -> None:
    name = await world.draft()
    await world.ask(name, "Proposed")
    await world.ask(name, "Published")
    result = await world.run(Phase.LIFECYCLE, name)
    assert (result.summary, result.revision) == ("Draft -> Published as v1", 1)
    obj = await world.get(name)
    check_rules(obj)
    assert (obj["status"]["revision"], obj["metadata"]["labels"][LATEST]) == (1, "true")


async def test_a_draft_whose_deletion_was_proposed_before_anything_was_done(world: World) -> None:
    name = await world.draft()
    for lifecycle in ("Proposed", "Published", "DeletionProposed"):
        await world.ask(name, lifecycle)
    await world.run(Phase.LIFECYCLE, name)
    assert "refs/heads/deletionProposed/web/v1" in world.git.refs()
    check_rules(await world.get(name))


async def test_nothing_leads_from_published_to_draft_and_the_message_says_what_does(world: World) -> None:
    await world.published()
    await world.delete_whatever_it_takes("blueprints.web.v1")
    name = await world.create(source=None)
    message = await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
    assert message.endswith("from Published set spec.lifecycle to DeletionProposed")
    assert reason(await world.get(name), "Stalled") == "True/IllegalTransition"


async def test_a_lost_object_is_applied_again(world: World) -> None:
    await world.published()
    await world.delete_whatever_it_takes("blueprints.web.v1")
    refs = world.git.refs()
    name = await world.create(lifecycle="Published")
    source = await world.run(Phase.SOURCE, name)
    assert source.rendered, "nothing is to be rendered"
    await world.run(Phase.LIFECYCLE, name)
    obj = await world.get(name)
    assert (reason(obj, "Ready"), obj["status"]["revision"]) == ("True/Ready", 1)
    assert world.git.refs() == refs
    check_rules(obj)


async def test_a_new_draft_does_not_take_a_workspace_that_is_published(world: World) -> None:
    await world.published()
    await world.delete_whatever_it_takes("blueprints.web.v1")
    name = await world.create()
    assert "choose another workspace name" in await world.fails(Phase.SOURCE, name, ErrorKind.STALLED)
    assert reason(await world.get(name), "Stalled") == "True/GitConflict"


async def test_a_source_does_not_take_a_branch_of_somebody_else(world: World) -> None:
    await asyncio.to_thread(commit_files, world.git, "drafts/web/v1", {"web/Kptfile": "x"})
    name = await world.create()
    assert "delete the branch or choose" in await world.fails(Phase.SOURCE, name, ErrorKind.STALLED)


async def test_content_that_was_asked_for_and_is_gone_is_not_waited_for(world: World) -> None:
    """Else the request would be pending for ever, and each list of the watcher would start another run."""
    name = await world.draft()
    world.git.git("update-ref", "-d", "refs/heads/drafts/web/v1")
    await world.annotate(name, render_request="7")
    assert (await world.run(Phase.RENDER, name)).current is None
    await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
    obj = await world.get(name)
    assert (reason(obj, "Rendered"), obj["status"]["observedPrrResourceVersion"]) == ("False/NotInGit", "7")
    await world.annotate(name, render_request="8")
    assert plan(await world.facts(name)) == [Phase.RENDER], "newer content may have brought the draft back"


async def test_a_render_finds_out_that_there_is_no_draft(world: World) -> None:
    name = await world.draft()
    world.git.git("update-ref", "-d", "refs/heads/drafts/web/v1")
    await world.annotate(name, reconcile_now="t1")
    assert (await world.facts(name)).render_pending
    assert (await world.run(Phase.RENDER, name)).current is None
    await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
    obj = await world.get(name)
    assert (reason(obj, "Stalled"), obj["status"]["observedReconcileNow"]) == ("True/NotInGit", "t1")


async def test_a_lost_tag_or_branch_is_put_back_as_the_message_says(world: World) -> None:
    published, draft = await world.published("v1"), await world.draft("v2")
    for name, ref in ((published, "refs/tags/web/v1"), (draft, "refs/heads/drafts/web/v2")):
        commit = world.git.refs()[ref]
        world.git.git("update-ref", "-d", ref)
        await world.annotate(name, reconcile_now="t1")
        message = await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
        assert f"put it back with git push origin {commit}:{ref}; then set" in message
        world.git.git("update-ref", ref, commit)
        await world.annotate(name, reconcile_now="t2")
        await world.run(Phase.LIFECYCLE, name)
        obj = await world.get(name)
        assert reason(obj, "Stalled") == ""


async def _failed_proposal(world: World) -> str:
    """Make a proposal whose last render failed, as one that was discovered in Git can be."""
    name = await world.draft()
    await world.ask(name, "Proposed")
    await world.run(Phase.LIFECYCLE, name)
    obj = await world.get(name)
    for each in obj["status"]["conditions"]:
        if each["type"] == "Rendered":
            each.update(status="False", reason="RenderFailed", message="set-namespace: no namespace")
    await world.patch(name, {"status": {"conditions": obj["status"]["conditions"]}}, subresource="status")
    return name


async def test_a_reject_works_though_the_render_failed_and_does_not_say_ready(world: World) -> None:
    name = await _failed_proposal(world)
    await world.patch(name, {"status": {"creationSource": None}}, subresource="status")
    await world.ask(name, "Draft")
    message = await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
    assert "set-namespace: no namespace" in message
    obj = await world.get(name)
    assert "refs/heads/drafts/web/v1" in world.git.refs()
    assert obj["status"]["selfLock"]["git"]["ref"] == "drafts/web/v1"
    assert reason(obj, "Stalled") == "True/RenderFailed"
    check_rules(obj)


async def test_a_reject_leaves_ready_to_the_render_that_follows(world: World) -> None:
    name = await _failed_proposal(world)
    await world.ask(name, "Draft")
    await world.run(Phase.LIFECYCLE, name)
    obj = await world.get(name)
    assert (reason(obj, "Ready"), reason(obj, "Reconciling")) == ("False/Pending", "True/Progressing")
    await world.run(Phase.RENDER, name)
    assert reason(await world.get(name), "Ready") == "True/Ready"


async def test_a_failed_render_that_is_saved_is_where_the_lock_says(world: World) -> None:
    name = await world.draft()
    kptfile = KPTFILE.replace("set-namespace:v0.4.5", "example.com/none:v1")
    await world.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/push-on-render-failure": "true"}}})
    await world.annotate(name, render_request=await world.push({"Kptfile": kptfile}))
    await world.fails(Phase.RENDER, name, ErrorKind.STALLED)
    obj = await world.get(name)
    assert messages(world.git.path, "drafts/web/v1")[0] == "Rendering package"
    assert obj["status"]["selfLock"]["git"]["commit"] == world.git.refs()["refs/heads/drafts/web/v1"]
    assert obj["status"]["packageConditions"][0]["status"] == "False"
    check_rules(obj)


async def test_gates_and_metadata_come_and_go_with_the_kptfile(world: World) -> None:
    name = await world.draft()
    gates = "info:\n  readinessGates:\n    - conditionType: tested\n"
    kptfile = KPTFILE.replace("info:\n", gates).replace("  name: web\n", "  name: web\n  labels: {team: a}\n")
    status = "status:\n  conditions:\n    - {type: tested, status: 'true'}\n    - {status: 'True'}\n"
    await world.annotate(name, render_request=await world.push({"Kptfile": kptfile + status}))
    await world.run(Phase.RENDER, name)
    obj = await world.get(name)
    assert obj["spec"]["readinessGates"] == [{"conditionType": "tested"}]
    assert obj["spec"]["packageMetadata"]["labels"] == {"team": "a"}
    assert {"type": "tested", "status": "True"} in obj["status"]["packageConditions"]
    assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
    bare = kptfile_text("web")
    await world.annotate(name, render_request=await world.push({"Kptfile": bare}))
    await world.run(Phase.RENDER, name)
    obj = await world.get(name)
    assert "readinessGates" not in obj["spec"]
    assert not obj["spec"].get("packageMetadata")
    assert [each["type"] for each in obj["status"]["packageConditions"]] == ["Rendered"]


async def test_an_unmet_gate_keeps_a_draft_from_being_proposed(world: World) -> None:
    name = await world.draft()
    kptfile = KPTFILE.replace("info:\n", "info:\n  readinessGates:\n    - conditionType: tested\n")
    await world.annotate(name, render_request=await world.push({"Kptfile": kptfile}))
    await world.run(Phase.RENDER, name)
    await world.ask(name, "Proposed")
    assert "'tested'" in await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
    assert "refs/heads/drafts/web/v1" in world.git.refs()


@pytest.mark.parametrize("lifecycle", ["Published", "DeletionProposed"])
async def test_reconcile_now_on_a_published_revision_looks_and_answers(world: World, lifecycle: str) -> None:
    name = await world.published()
    await world.ask(name, lifecycle)
    await world.run(Phase.LIFECYCLE, name)
    await world.annotate(name, reconcile_now="t1")
    refs = world.git.refs()
    await world.run(Phase.LIFECYCLE, name)
    assert (await world.get(name))["status"]["observedReconcileNow"] == "t1"
    assert world.git.refs() == refs


async def test_an_object_without_a_lifecycle_is_a_draft(world: World) -> None:
    name = await world.create(lifecycle=None)
    assert (await world.get(name))["spec"]["lifecycle"] == "Draft"
    await world.settle(name)
    assert "refs/heads/drafts/web/v1" in world.git.refs()
    assert not in_need(await world.get(name))


async def test_an_object_that_porchs_crds_leave_without_a_lifecycle_makes_nothing(world: World) -> None:
    obj = await world.get(await world.create())
    # The API server has our CRDs, and they give a default.
    del obj["spec"]["lifecycle"]
    assert plan(facts_of(obj, datetime.now(UTC))) == [Phase.LIFECYCLE]
    target = Target(obj, cast("Any", None), cast("Any", None))
    with pytest.raises(Stalled, match="set it to Draft"):
        await world.activities()._lifecycle.run(target, PhaseInput(namespace="n", name="n", intent=""))


async def test_discovered_content_is_reported_as_it_is(world: World) -> None:
    await asyncio.to_thread(commit_files, world.git, "drafts/web/v1", {"web/Kptfile": KPTFILE})
    name = await world.create(source=None)
    facts = await world.facts(name)
    assert (facts.source_pending, facts.render_pending, facts.current) == (False, False, None)
    await world.run(Phase.LIFECYCLE, name)
    obj = await world.get(name)
    assert (reason(obj, "Ready"), condition(obj, "Rendered")) == ("True/Ready", None)


async def test_credentials_that_are_accepted_again_at_once(world: World, git_server: GitRepositories) -> None:
    """A server that refused twice is not asked for a moment. Nothing would look at an object that stalled on that."""
    name = await world.draft()
    git_server.faults.refuse_auth = True
    for _ in range(2):
        await world.fails(Phase.RENDER, name, ErrorKind.STALLED)
    git_server.faults.refuse_auth = False
    failed: list[str] = []

    async def rendered() -> bool:
        try:
            await world.run(Phase.RENDER, name)
        except ApplicationError as error:
            failed.append(str(error.type))
            return False
        return True

    await eventually(rendered, what="the credentials are tried again")
    assert set(failed) <= {ErrorKind.TRANSIENT}
