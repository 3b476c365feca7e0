from pathlib import Path

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.errors import GitConflict, GitNotFound
from porchflow.gitrepo.git_store import GitStore, PackageState
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType, approval_message
from tests.gitrepo.conftest import Served, copy, files, init, location, proposed
from tests.gitrepo.steps import propose, propose_deletion, publish, undo_deletion

PLACE = location("app", "first", "dir")
MAIN = "refs/heads/main"


def check_published(served: Served, place: PackageLocation, state: PackageState) -> None:
    """Whatever happened on the way: the tag exists, the branch contains it and the content, no draft is left."""
    refs = served.refs()
    assert refs[place.tag_ref(state.revision)] == state.commit
    served.git("merge-base", "--is-ancestor", state.commit, "main")
    assert served.git("rev-parse", f"main:{place.path}") == served.git("rev-parse", f"{state.commit}:{place.path}")
    assert place.draft_ref not in refs
    assert place.proposed_ref not in refs
    served.git("fsck", "--strict")


async def test_publishing_merges_tags_and_removes_in_one_push(ready: Served, store: GitStore) -> None:
    commit = await proposed(store, ready.remote, PLACE)
    other = await init(store, ready.remote, location("other"))
    tip = ready.refs()[MAIN]
    pushes = store.stats.pushes
    state = await publish(store, ready.remote, PLACE)
    assert store.stats.pushes == pushes + 1
    assert (state.lifecycle, state.revision, state.ref) == (Lifecycle.PUBLISHED, 1, "dir/app/v1")
    assert state.changed
    assert state.published_at is not None
    assert ready.refs() == {
        MAIN: state.commit,
        "refs/tags/dir/app/v1": state.commit,
        f"refs/heads/{other.ref}": other.commit,
    }
    assert ready.git("cat-file", "-t", "refs/tags/dir/app/v1") == "commit"
    assert ready.parents(state.commit) == [tip, commit]
    assert ready.message(state.commit) == approval_message("dir/app", "first", 1)
    assert ready.git("rev-parse", f"{state.commit}:dir") == ready.git("rev-parse", f"{commit}:dir")
    check_published(ready, PLACE, state)


async def test_publishing_again_changes_nothing(ready: Served, store: GitStore) -> None:
    await proposed(store, ready.remote, PLACE)
    first = await publish(store, ready.remote, PLACE)
    refs = ready.refs()
    again = await publish(store, ready.remote, PLACE)
    assert (again.commit, again.revision, again.changed) == (first.commit, 1, False)
    hinted = await publish(store, ready.remote, PLACE, tag_hint=first.ref)
    assert hinted.commit == first.commit
    assert ready.refs() == refs


async def test_the_draft_replaces_what_the_branch_has_and_nothing_else(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE, files(old_yaml="x"))
    await publish(store, ready.remote, PLACE)
    await init(store, ready.remote, location("other"))
    second = location("app", "second", "dir")
    await copy(store, ready.remote, second, files(new_yaml="y"))
    await publish(store, ready.remote, location("other"))
    state = await publish(store, ready.remote, second)
    assert state.revision == 2
    assert ready.files("main") == ["README.md", "dir/app/Kptfile", "dir/app/new.yaml", "other/Kptfile"]
    check_published(ready, second, state)


async def test_what_is_absent_is_not_published(ready: Served, store: GitStore) -> None:
    with pytest.raises(GitNotFound, match="neither a branch proposed/dir/app/first"):
        await publish(store, ready.remote, PLACE)


async def test_differing_draft_and_proposal_are_a_conflict(ready: Served, store: GitStore) -> None:
    commit = await proposed(store, ready.remote, PLACE)
    ready.git("update-ref", PLACE.draft_ref, commit)
    ready.commit(PLACE.draft_ref)
    with pytest.raises(GitConflict, match="both exist and differ"):
        await publish(store, ready.remote, PLACE)
    assert {PLACE.draft_ref, PLACE.proposed_ref} <= set(ready.refs())


@pytest.mark.parametrize(
    "outcome",
    ["tag only", "branch only", "both, proposal left", "tag, proposal gone", "branch, proposal gone"],
)
async def test_every_partial_publish_converges(ready: Served, store: GitStore, outcome: str) -> None:
    commit = await proposed(store, ready.remote, PLACE)
    before = ready.refs()
    first = await publish(store, ready.remote, PLACE)
    tag = PLACE.tag_ref(1)
    if "branch" not in outcome and outcome != "both, proposal left":
        ready.git("update-ref", MAIN, before[MAIN])
    if "tag" not in outcome and outcome != "both, proposal left":
        ready.git("update-ref", "-d", tag)
    if "gone" not in outcome:
        ready.git("update-ref", PLACE.proposed_ref, commit)
    ready.commit(MAIN, "somebody else's")
    state = await store.state(ready.remote, "main", PLACE, commit_hint=commit)
    # With the proposal still there and no tag it is plainly Proposed; else the state says what is unfinished.
    assert state.complete == (outcome == "branch only")

    state = await publish(store, ready.remote, PLACE, commit_hint=commit)
    assert state.revision == 1
    check_published(ready, PLACE, state)
    assert state.commit == first.commit
    assert "somebody else's" in ready.subjects("main")
    final = await store.state(ready.remote, "main", PLACE)
    assert (final.lifecycle, final.complete, final.commit) == (Lifecycle.PUBLISHED, True, state.commit)
    assert not (await publish(store, ready.remote, PLACE)).changed


async def test_healing_an_old_revision_keeps_newer_content(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE, files(old_yaml="x"))
    base = ready.refs()[MAIN]
    first = await publish(store, ready.remote, PLACE)
    ready.git("update-ref", MAIN, base)
    second = location("app", "second", "dir")
    await copy(store, ready.remote, second, files(new_yaml="y"))
    await publish(store, ready.remote, second)
    assert not (await store.state(ready.remote, "main", PLACE)).complete
    healed = await publish(store, ready.remote, PLACE)
    assert (healed.commit, healed.revision) == (first.commit, 1)
    assert "dir/app/new.yaml" in ready.files("main")
    assert "dir/app/old.yaml" not in ready.files("main")
    ready.git("merge-base", "--is-ancestor", first.commit, "main")


async def test_a_number_is_never_used_twice(ready: Served, store: GitStore) -> None:
    for number, workspace in enumerate(("a", "b", "c"), start=1):
        place = location("app", workspace, "dir")
        await (copy if number > 1 else init)(store, ready.remote, place)
        state = await publish(store, ready.remote, place)
        assert state.revision == number
        assert await store.delete(ready.remote, "main", place, revision=number)
        assert place.tag_ref(number) not in ready.refs()


async def test_numbers_follow_tags_that_others_made(ready: Served, store: GitStore) -> None:
    for tag in (
        "dir/app/v6",
        "dir/app/9",
        "dir/app/vfoo",
        "dir/app/1.2.3",
        "dir/app/deeper/v40",
        "dir/application/v50",
    ):
        ready.git("tag", tag, "main")
    await init(store, ready.remote, PLACE)
    assert (await publish(store, ready.remote, PLACE)).revision == 10


async def test_workspaces_of_tags_come_from_the_commit(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    await publish(store, ready.remote, PLACE)
    ready.git("tag", "dir/app/v5", "main~1")
    ready.git("tag", "-a", "-m", "annotated", "dir/app/special", "main~1")
    for workspace, revision, ref in (
        ("first", 1, "dir/app/v1"),
        ("v5", 5, "dir/app/v5"),
        ("special", -1, "dir/app/special"),
    ):
        state = await store.state(ready.remote, "main", location("app", workspace, "dir"))
        assert (state.lifecycle, state.revision, state.ref) == (Lifecycle.PUBLISHED, revision, ref)
        assert state.complete
    assert (await store.state(ready.remote, "main", location("app", "v1", "dir"))).lifecycle is None


async def test_a_deletion_is_proposed_undone_and_done(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    published = await publish(store, ready.remote, PLACE)
    mark = "refs/heads/deletionProposed/dir/app/v1"
    for hint in (None, published.ref):
        for _ in range(2):
            state = await propose_deletion(store, ready.remote, PLACE, tag_hint=hint)
            assert (state.lifecycle, state.revision, state.commit) == (Lifecycle.DELETION_PROPOSED, 1, published.commit)
            assert ready.refs()[mark] == published.commit
        assert (await store.state(ready.remote, "main", PLACE)).lifecycle is Lifecycle.DELETION_PROPOSED
        for _ in range(2):
            state = await undo_deletion(store, ready.remote, PLACE, tag_hint=hint)
            assert state.lifecycle is Lifecycle.PUBLISHED
            assert mark not in ready.refs()
    await propose_deletion(store, ready.remote, PLACE)
    assert await store.delete(ready.remote, "main", PLACE, revision=1)
    assert list(ready.refs()) == [MAIN]
    assert "dir/app/Kptfile" in ready.files("main")
    assert not await store.delete(ready.remote, "main", PLACE, revision=1)


async def test_an_interrupted_deletion_is_finished(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    await publish(store, ready.remote, PLACE)
    await propose_deletion(store, ready.remote, PLACE)
    ready.git("update-ref", "-d", PLACE.tag_ref(1))
    assert await store.delete(ready.remote, "main", PLACE, revision=1)
    assert list(ready.refs()) == [MAIN]


async def test_only_what_is_published_is_proposed_for_deletion(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    with pytest.raises(GitNotFound, match="is Draft, not published"):
        await propose_deletion(store, ready.remote, PLACE)


async def test_the_package_on_the_branch(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    await publish(store, ready.remote, PLACE)
    place = location("app", "main", "dir")
    state = await store.state(ready.remote, "main", place)
    assert (state.lifecycle, state.revision, state.ref) == (Lifecycle.PUBLISHED, -1, "main")
    state = await propose_deletion(store, ready.remote, place)
    assert ready.refs()["refs/heads/deletionProposed/dir/app/main"] == state.commit
    assert (await store.state(ready.remote, "main", place)).lifecycle is Lifecycle.DELETION_PROPOSED
    assert await store.delete(ready.remote, "main", place, revision=-1)
    assert not await store.delete(ready.remote, "main", place, revision=-1)
    assert ready.files("main") == ["README.md"]
    assert ready.message("main") == "Delete dir/app\n"
    assert set(ready.refs()) == {MAIN, "refs/tags/dir/app/v1"}
    assert (await store.state(ready.remote, "main", place)).lifecycle is None


async def test_deleting_a_draft_named_like_the_branch_twice_keeps_the_package(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    await publish(store, ready.remote, PLACE)
    place = location("app", "main", "dir")
    await copy(store, ready.remote, place)
    assert await store.delete(ready.remote, "main", place, revision=0)
    assert not await store.delete(ready.remote, "main", place, revision=0)
    assert "dir/app/Kptfile" in ready.files("main")


async def test_states(ready: Served, store: GitStore) -> None:
    assert (await store.state(ready.remote, "main", PLACE)) == PackageState(None)
    draft = await init(store, ready.remote, PLACE)
    state = await store.state(ready.remote, "main", PLACE)
    assert state == PackageState(Lifecycle.DRAFT, draft.commit, "drafts/dir/app/first")
    await propose(store, ready.remote, PLACE)
    state = await store.state(ready.remote, "main", PLACE)
    assert state == PackageState(Lifecycle.PROPOSED, draft.commit, "proposed/dir/app/first")
    published = await publish(store, ready.remote, PLACE)
    for hint in (None, published.ref, "dir/app/v77", "other/v1", "drafts/dir/app/first"):
        state = await store.state(ready.remote, "main", PLACE, tag_hint=hint)
        assert (state.lifecycle, state.commit, state.revision) == (Lifecycle.PUBLISHED, published.commit, 1)


async def test_a_render_on_a_published_commit_needs_a_draft(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    published = await publish(store, ready.remote, PLACE)
    with pytest.raises(GitNotFound):
        await store.commit_on_draft(
            ready.remote, PLACE, files(), expected_parent=published.commit, task=TaskType.RENDER
        )


async def test_refs_of_an_upstream_are_resolved(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    published = await publish(store, ready.remote, PLACE)
    ready.git("tag", "-a", "-m", "annotated", "v9", "main~1")
    for ref, directory in (
        ("v1", "dir/app"),
        ("dir/app/v1", ""),
        ("main", ""),
        ("main", "dir/app"),
        (published.commit, ""),
    ):
        assert await store.resolve(ready.remote, ref, directory) == published.commit
    assert await store.resolve(ready.remote, "v9") == ready.git("rev-parse", "main~1")
    with pytest.raises(GitNotFound, match="no branch, tag or commit 'v2'"):
        await store.resolve(ready.remote, "v2", "dir/app")
    with pytest.raises(GitNotFound, match="0000"):
        await store.resolve(ready.remote, "0" * 40)


async def test_what_a_branch_that_was_set_back_held_is_not_believed(ready: Served, store: GitStore) -> None:
    """Half a publish, whose half on the branch somebody took away: it is approved anew, under a number of its own."""
    first = ready.refs()["refs/heads/main"]
    commit = await proposed(store, ready.remote, location())
    await publish(store, ready.remote, location())
    assert (await store.state(ready.remote, "main", location())).complete
    ready.git("update-ref", "-d", location().tag_ref(1))
    ready.git("update-ref", location().proposed_ref, commit)
    ready.git("update-ref", "refs/heads/main", first)
    state = await publish(store, ready.remote, location(), commit_hint=commit)
    assert state.revision == 2
    ready.git("merge-base", "--is-ancestor", state.commit, "main")


@pytest.mark.parametrize("goes_on", [False, True])
async def test_workers_that_knew_a_branch_before_it_was_rewritten_see_what_new_ones_see(
    ready: Served, store: GitStore, tmp_path: Path, goes_on: bool
) -> None:
    first = ready.refs()["refs/heads/main"]
    await proposed(store, ready.remote, location())
    await publish(store, ready.remote, location())
    assert (await store.state(ready.remote, "main", location())).complete
    ready.git("update-ref", "refs/heads/main", first)
    if goes_on:
        ready.commit("refs/heads/main")
    async with GitStore(tmp_path / "new") as new:
        for worker in (new, store):
            assert not (await worker.state(ready.remote, "main", location())).complete
    await publish(store, ready.remote, location())
    assert (await store.state(ready.remote, "main", location())).complete
    assert "app/Kptfile" in ready.files("main")


async def test_a_draft_that_holds_more_than_what_is_published_stays(ready: Served, store: GitStore) -> None:
    """Who pushed late to a draft whose publish was half done finds the commit where it was pushed to."""
    await proposed(store, ready.remote, location())
    state = await publish(store, ready.remote, location())
    ready.git("update-ref", location().draft_ref, state.commit)
    newer = ready.commit(location().draft_ref, "pushed late")
    ready.git("update-ref", location().proposed_ref, state.commit)
    again = await publish(store, ready.remote, location())
    assert again.revision == 1
    assert ready.refs()[location().draft_ref] == newer
    assert location().proposed_ref not in ready.refs()
