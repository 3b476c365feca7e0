"""Git changed behind porchflow's back: noticed by the next sync, told, and never taken silently."""

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.trees import File
from porchflow.kube.errors import NotFound
from tests.activities.syncing import Syncs
from tests.activities.world import condition, in_need, reason
from tests.gitrepo.porch_layout import PorchRepository
from tests.kptfiles import kptfile_text

RESOURCE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n"
DRAFT, FIRST = "porch.web.draft", "porch.web.first"


@pytest.fixture
async def known(syncs: Syncs) -> Syncs:
    """A repository with a published revision and a draft, synced."""
    syncs.porch.publish("web", 1, "first")
    syncs.porch.open("web", "draft")
    await syncs.written()
    await syncs.sync()
    return syncs


async def test_newer_content_on_a_draft_branch_is_rendered(known: Syncs) -> None:
    before = known.world.git.refs()["refs/heads/drafts/web/draft"]
    known.porch.open("web", "draft", files={"Kptfile": kptfile_text("web"), "new.yaml": RESOURCE})
    await known.written()
    tip = known.world.git.refs()["refs/heads/drafts/web/draft"]
    assert tip != before

    await known.sync()
    draft = await known.world.get(DRAFT)
    assert in_need(draft), "its workflow is woken"
    assert (reason(draft, "Ready"), reason(draft, "Reconciling")) == ("False/ContentChanged", "True/ContentChanged")
    ready = condition(draft, "Ready")
    assert ready is not None
    assert ready.message == f"newer content on the draft branch: drafts/web/draft is at {tip[:12]}; rendering it"
    told = [message for message in await known.told(DRAFT) if "newer content on the draft branch" in message]
    assert len(told) == 1

    await known.world.run(Phase.RENDER, DRAFT)
    rendered = await known.world.get(DRAFT)
    assert (reason(rendered, "Ready"), reason(rendered, "Reconciling")) == ("True/Ready", "")
    assert not in_need(rendered)
    settled = await known.sync()
    assert settled.unsettled == 0
    assert (await known.sync()).summary == "the refs have not moved"


async def test_a_workflow_that_is_quicker_than_the_sync_has_the_last_word(known: Syncs) -> None:
    """The sync asks first; a report of the workflow between that and the sync's own write must stay."""
    known.porch.open("web", "draft", files={"Kptfile": kptfile_text("web"), "new.yaml": RESOURCE})
    await known.written()

    async def rendered_at_once(_: object) -> None:
        known.kube.after_patch = None
        await known.world.run(Phase.RENDER, DRAFT)

    known.kube.after_patch = rendered_at_once
    await known.sync()
    draft = await known.world.get(DRAFT)
    assert reason(draft, "Ready") == "True/Ready"
    assert not in_need(draft)


async def test_a_push_whose_render_request_was_lost_is_rendered(known: Syncs) -> None:
    """The content API commits, then asks for the rendering; its process may end in between."""
    before = known.world.git.refs()["refs/heads/drafts/web/draft"]
    files = {"Kptfile": File(kptfile_text("web").encode()), "new.yaml": File(RESOURCE.encode())}
    remote, place = Remote(known.world.git.url), PackageLocation("", "web", "draft")
    pushed = await known.world.store.commit_on_draft(remote, place, files, expected_parent=before, task=TaskType.PUSH)
    await known.sync()
    assert in_need(await known.world.get(DRAFT)), "its workflow is woken"
    await known.world.run(Phase.RENDER, DRAFT)
    rendered = await known.world.get(DRAFT)
    assert (reason(rendered, "Ready"), reason(rendered, "Rendered")) == ("True/Ready", "True/Rendered")
    tip = rendered["status"]["selfLock"]["git"]["commit"]
    assert tip == known.world.git.refs()["refs/heads/drafts/web/draft"]
    assert known.world.git.git("rev-parse", f"{tip}^").strip() == pushed, "the rendering is on top of what was pushed"
    assert (await known.sync()).unsettled == 0


async def test_a_draft_that_is_being_worked_on_is_left_to_its_workflow(known: Syncs) -> None:
    await known.world.annotate(DRAFT, render_request="7")
    known.porch.open("web", "draft", files={"Kptfile": kptfile_text("web"), "new.yaml": RESOURCE})
    await known.written()
    result = await known.sync()
    assert result.unsettled == 1
    annotations = (await known.world.get(DRAFT))["metadata"]["annotations"]
    assert "porchflow.dev/reconcile-now" not in annotations
    assert "observedRefs" not in (await known.repository())["status"], "the next sync looks again"


async def test_a_deleted_branch_is_told_and_its_object_goes_later(known: Syncs) -> None:
    commit = known.world.git.refs()["refs/heads/drafts/web/draft"]
    known.world.git.git("update-ref", "-d", "refs/heads/drafts/web/draft")
    await known.sync(removed_grace_seconds=3600)
    assert "observedRefs" not in (await known.repository())["status"], "the next sync looks again"
    draft = await known.world.get(DRAFT)
    assert reason(draft, "Stalled") == "True/RemovedFromGit"
    told = condition(draft, "Ready")
    assert told is not None
    assert f"git push origin {commit}:refs/heads/drafts/web/draft" in told.message
    await known.sync(removed_grace_seconds=3600)
    assert reason(await known.world.get(DRAFT), "Stalled") == "True/RemovedFromGit"

    await known.sync(removed_grace_seconds=0)
    with pytest.raises(NotFound):
        await known.world.get(DRAFT)


async def test_a_branch_that_was_put_back_is_used_as_before(known: Syncs) -> None:
    commit = known.world.git.refs()["refs/heads/drafts/web/draft"]
    known.world.git.git("update-ref", "-d", "refs/heads/drafts/web/draft")
    await known.sync(removed_grace_seconds=3600)
    known.world.git.git("update-ref", "refs/heads/drafts/web/draft", commit)
    await known.sync(removed_grace_seconds=3600)
    assert in_need(await known.world.get(DRAFT))
    await known.world.run(Phase.RENDER, DRAFT)
    draft = await known.world.get(DRAFT)
    assert (reason(draft, "Ready"), reason(draft, "Stalled")) == ("True/Ready", "")


async def test_a_moved_tag_is_never_accepted_silently(known: Syncs) -> None:
    published = known.world.git.refs()["refs/tags/web/v1"]
    known.porch.commit("by hand", {"web/Kptfile": kptfile_text("web"), "web/evil.yaml": "a: b\n"})
    known.porch.ref("refs/tags/web/v1")
    await known.written()
    moved = known.world.git.refs()["refs/tags/web/v1"]
    assert moved != published

    await known.sync()
    first = await known.world.get(FIRST)
    assert reason(first, "Stalled") == "True/TagMoved"
    assert first["status"]["selfLock"]["git"]["commit"] == published

    await known.world.ask(FIRST, "DeletionProposed")
    assert moved in await known.world.fails(Phase.LIFECYCLE, FIRST, ErrorKind.STALLED)
    await known.world.ask(FIRST, "Published")
    await known.world.fails(Phase.LIFECYCLE, FIRST, ErrorKind.STALLED)
    assert (await known.world.get(FIRST))["status"]["selfLock"]["git"]["commit"] == published

    await known.world.patch(FIRST, {"metadata": {"annotations": {"porchflow.dev/accept-commit": moved}}})
    await known.ask_now("accepted")
    await known.sync()
    await known.world.run(Phase.LIFECYCLE, FIRST)
    accepted = await known.world.get(FIRST)
    assert reason(accepted, "Ready") == "True/Ready"
    assert accepted["status"]["selfLock"]["git"]["commit"] == moved


async def test_a_tag_that_was_put_back_heals(known: Syncs) -> None:
    published = known.world.git.refs()["refs/tags/web/v1"]
    known.porch.commit("by hand", {"web/Kptfile": kptfile_text("web"), "web/evil.yaml": "a: b\n"})
    known.porch.ref("refs/tags/web/v1")
    await known.written()
    await known.sync()
    known.world.git.git("update-ref", "refs/tags/web/v1", published)
    await known.sync()
    assert in_need(await known.world.get(FIRST))
    await known.world.run(Phase.LIFECYCLE, FIRST)
    first = await known.world.get(FIRST)
    assert (reason(first, "Ready"), reason(first, "Stalled")) == ("True/Ready", "")


async def test_a_deleted_tag_is_told_and_its_object_goes_later(known: Syncs) -> None:
    known.world.git.git("update-ref", "-d", "refs/tags/web/v1")
    await known.sync(removed_grace_seconds=3600)
    first = await known.world.get(FIRST)
    assert reason(first, "Stalled") == "True/RemovedFromGit"
    assert first["metadata"]["labels"]["porch.kpt.dev/latest-revision"] == "true"
    await known.sync(removed_grace_seconds=0)
    with pytest.raises(NotFound):
        await known.world.get(FIRST)


async def test_a_package_that_left_the_branch_leaves_at_once(known: Syncs) -> None:
    known.porch.publish("other", 1, "v1")
    known.porch.commit("Delete web", {"web": "D"})
    await known.written()
    await known.sync()
    names = set(await known.objects())
    assert names == {FIRST, DRAFT, "porch.other.v1", "porch.other.main"}


async def test_a_rewritten_branch_is_told(known: Syncs) -> None:
    before = known.world.git.refs()["refs/heads/main"]
    other = PorchRepository(seconds=known.porch.seconds + 1000)
    other.publish("fresh", 1, "v1")
    (known.world.git.path / "fast-import.marks").unlink()
    other.write(known.world.git.path)
    await known.sync()
    repository = await known.repository()
    assert reason(repository, "Ready") == "True/BranchRewritten"
    told = condition(repository, "Ready")
    assert told is not None
    assert before in told.message
    assert set(await known.objects()) == {FIRST, DRAFT, "porch.fresh.v1", "porch.fresh.main"}


async def test_a_proposal_that_was_changed_is_told(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    syncs.porch.open("web", "next", "proposed")
    await syncs.written()
    await syncs.sync()
    syncs.porch.open("web", "next", "proposed", {"Kptfile": kptfile_text("web"), "late.yaml": "a: b\n"})
    await syncs.written()
    await syncs.sync()
    proposal = await syncs.world.get("porch.web.next")
    assert reason(proposal, "Stalled") == "True/ContentChanged"
    assert not in_need(proposal)

    proposed = proposal["status"]["selfLock"]["git"]["commit"]
    syncs.world.git.git("update-ref", "refs/heads/proposed/web/next", proposed)
    await syncs.sync()
    await syncs.world.run(Phase.LIFECYCLE, "porch.web.next")
    proposal = await syncs.world.get("porch.web.next")
    assert (reason(proposal, "Ready"), reason(proposal, "Stalled")) == ("True/Ready", "")


async def test_a_lifecycle_that_was_changed_in_git_is_put_right(known: Syncs) -> None:
    tip = known.world.git.refs()["refs/heads/drafts/web/draft"]
    known.world.git.git("update-ref", "refs/heads/proposed/web/draft", tip)
    known.world.git.git("update-ref", "-d", "refs/heads/drafts/web/draft")
    await known.sync()
    assert in_need(await known.world.get(DRAFT))
    await known.world.run(Phase.LIFECYCLE, DRAFT)
    assert known.world.git.refs()["refs/heads/drafts/web/draft"] == tip
