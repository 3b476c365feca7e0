import asyncio

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.errors import GitConflict, GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName, PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType, content_message
from porchflow.gitrepo.store.commits import Author
from porchflow.gitrepo.store.drafts import Draft
from porchflow.gitrepo.store.trees import File, Mode
from tests.gitrepo.conftest import Served, files, init, location, proposed
from tests.gitrepo.steps import propose, publish, reject

PLACE = location("net/app", "v1", "blueprints")


async def test_a_draft_is_one_commit_on_the_branch(ready: Served, store: GitStore) -> None:
    tip = ready.refs()["refs/heads/main"]
    author = Author("Jo", "jo@example.com")
    draft = await store.create_draft(
        ready.remote, "main", PLACE, files(a_yaml="a: 1"), task=TaskType.INIT, author=author
    )
    assert not draft.existing
    assert draft.ref == "drafts/blueprints/net/app/v1"
    assert ready.refs() == {"refs/heads/main": tip, f"refs/heads/{draft.ref}": draft.commit}
    assert ready.parents(draft.commit) == [tip]
    assert ready.message(draft.commit) == content_message(TaskType.INIT, "blueprints/net/app", "v1")
    assert ready.files(draft.commit) == ["README.md", "blueprints/net/app/Kptfile", "blueprints/net/app/a.yaml"]
    assert ready.git("log", "-1", "--format=%an <%ae> %cn <%ce>", draft.commit) == (
        "Jo <jo@example.com> Package Orchestration Service <porch@kpt.dev>"
    )
    ready.git("fsck", "--strict")


async def test_an_empty_repository_gets_a_draft_without_parent(served: Served, store: GitStore) -> None:
    assert await store.ensure_branch(served.remote, "main") is None
    one, two = await asyncio.gather(*(init(store, served.remote, location(name)) for name in ("one", "two")))
    assert served.parents(one.commit) == served.parents(two.commit) == []
    published = await publish(store, served.remote, location("one"))
    assert served.refs()["refs/heads/main"] == published.commit
    assert served.parents(published.commit) == [one.commit]


async def test_the_branch_is_made_only_when_asked_for(served: Served, store: GitStore) -> None:
    await store.ensure_branch(served.remote, "main", create_branch=True)
    tip = served.refs()["refs/heads/main"]
    assert served.message(tip) == "Initial commit: Creating main branch\n"
    assert served.git("cat-file", "blob", f"{tip}:README.md") == "Created by porch"
    assert await store.ensure_branch(served.remote, "main", create_branch=True) == tip
    with pytest.raises(GitNotFound, match="branch 'other' doesn't exist"):
        await store.ensure_branch(served.remote, "other")
    with pytest.raises(GitNotFound, match="branch 'other' doesn't exist"):
        await store.create_draft(served.remote, "other", PLACE, files(), task=TaskType.INIT)
    draft = await store.create_draft(served.remote, "other", PLACE, files(), task=TaskType.INIT, create_branch=True)
    assert served.parents(draft.commit) == [served.refs()["refs/heads/other"]]


async def test_creating_again_gives_the_same_draft(ready: Served, store: GitStore) -> None:
    first = await init(store, ready.remote, PLACE)
    later = await store.commit_on_draft(
        ready.remote, PLACE, files(b_yaml="b: 1"), expected_parent=first.commit, task=TaskType.RENDER
    )
    again = await init(store, ready.remote, PLACE)
    assert (again.commit, again.existing) == (later, True)
    await propose(store, ready.remote, PLACE)
    again = await init(store, ready.remote, PLACE)
    assert (again.commit, again.ref, again.existing) == (later, "proposed/blueprints/net/app/v1", True)


async def test_a_draft_says_that_functions_made_it_until_somebody_goes_on_with_it(
    ready: Served, store: GitStore
) -> None:
    async def create() -> Draft:
        return await store.create_draft(
            ready.remote, "main", PLACE, files(a_yaml="a: 1"), task=TaskType.CLONE, rendered=True
        )

    first = await create()
    assert ready.message(first.commit).startswith("Creating new revision by cloning, rendered\n")
    assert (first.existing, first.rendered) == (False, True)
    again = await create()
    assert (again.commit, again.existing, again.rendered) == (first.commit, True, True)
    found = await store.draft_made_by(ready.remote, "main", PLACE, TaskType.CLONE)
    assert found == again
    later = await store.commit_on_draft(
        ready.remote, PLACE, files(b_yaml="b: 1"), expected_parent=first.commit, task=TaskType.PUSH
    )
    again = await create()
    assert (again.commit, again.existing, again.rendered) == (later, True, False)


async def test_an_amended_draft_does_not_say_what_functions_made(ready: Served, store: GitStore) -> None:
    draft = await store.create_draft(ready.remote, "main", PLACE, files(), task=TaskType.CLONE, rendered=True)
    tree, parent = ready.git("rev-parse", f"{draft.commit}^{{tree}}", f"{draft.commit}^").split()
    identity = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    message = ready.message(draft.commit)
    amended = ready.git(*identity, "commit-tree", tree, "-p", parent, "-m", message).strip()
    ready.git("update-ref", f"refs/heads/{draft.ref}", amended)
    again = await store.create_draft(ready.remote, "main", PLACE, files(), task=TaskType.CLONE, rendered=True)
    assert (again.commit, again.existing, again.rendered) == (amended, True, False)


async def test_a_draft_of_another_origin_is_a_conflict(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    with pytest.raises(GitConflict, match=r"drafts/blueprints/net/app/v1 exists already.*clone"):
        await store.create_draft(ready.remote, "main", PLACE, files(), task=TaskType.CLONE)


async def test_a_published_workspace_is_not_drafted_again(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, PLACE)
    await publish(store, ready.remote, PLACE)
    with pytest.raises(GitConflict, match="is published as blueprints/net/app/v1"):
        await init(store, ready.remote, PLACE)


async def test_names_of_new_revisions_are_checked(ready: Served, store: GitStore) -> None:
    with pytest.raises(InvalidName):
        await init(store, ready.remote, PackageLocation("", "App", "v1"))
    with pytest.raises(InvalidName):
        await init(store, ready.remote, PLACE, {"../x": File(b"")})
    assert list(ready.refs()) == ["refs/heads/main"]


async def test_content_is_kept_exactly(ready: Served, store: GitStore) -> None:
    content = files() | {
        "run.sh": File(b"#!/bin/sh\n", Mode.EXECUTABLE),
        "link": File(b"run.sh", Mode.SYMLINK),
        "x.bin": File(bytes(range(256))),
    }
    draft = await init(store, ready.remote, PLACE, content)
    assert await store.read_package(ready.remote, draft.commit, PLACE.path) == content
    listing = ready.git("ls-tree", "-r", draft.commit, f"{PLACE.path}/").splitlines()
    assert sorted(line.split()[0] for line in listing) == ["100644", "100644", "100755", "120000"]


async def test_a_commit_replaces_the_package(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, PLACE, files(a_yaml="a: 1"))
    commit = await store.commit_on_draft(
        ready.remote, PLACE, files(b_yaml="b: 1"), expected_parent=draft.commit, task=TaskType.RENDER
    )
    assert ready.refs()[PLACE.draft_ref] == commit
    assert ready.parents(commit) == [draft.commit]
    assert ready.files(commit) == ["README.md", "blueprints/net/app/Kptfile", "blueprints/net/app/b.yaml"]
    assert ready.message(commit) == content_message(TaskType.RENDER, PLACE.path, "v1")


async def test_committing_equal_files_makes_no_commit(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, PLACE)
    pushes = store.stats.pushes
    same = await store.commit_on_draft(ready.remote, PLACE, files(), expected_parent=draft.commit, task=TaskType.RENDER)
    assert same == draft.commit
    assert store.stats.pushes == pushes


async def test_an_interrupted_commit_is_recognized(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, PLACE)

    async def commit(content: str) -> str:
        return await store.commit_on_draft(
            ready.remote, PLACE, files(a_yaml=content), expected_parent=draft.commit, task=TaskType.RENDER
        )

    first = await commit("a: 1")
    assert await commit("a: 1") == first
    with pytest.raises(GitConflict, match="drafts/blueprints/net/app/v1 moved to"):
        await commit("a: 2")
    with pytest.raises(GitConflict, match="moved to"):
        await store.commit_on_draft(
            ready.remote, PLACE, files(a_yaml="a: 1"), expected_parent=draft.commit, task=TaskType.UPGRADE
        )
    assert ready.refs()[PLACE.draft_ref] == first


async def test_what_is_proposed_or_absent_is_not_committed_on(ready: Served, store: GitStore) -> None:
    commit = await proposed(store, ready.remote, PLACE)
    with pytest.raises(GitConflict, match="is proposed"):
        await store.commit_on_draft(ready.remote, PLACE, files(), expected_parent=commit, task=TaskType.RENDER)
    with pytest.raises(GitNotFound, match="no branch drafts/none/v1"):
        await store.commit_on_draft(
            ready.remote, location("none"), files(), expected_parent=commit, task=TaskType.RENDER
        )


async def test_propose_and_reject_move_the_branch(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, PLACE)
    for _ in range(2):
        state = await propose(store, ready.remote, PLACE)
        assert (state.lifecycle, state.commit) == (Lifecycle.PROPOSED, draft.commit)
        assert PLACE.draft_ref not in ready.refs()
        assert ready.refs()[PLACE.proposed_ref] == draft.commit
    for _ in range(2):
        state = await reject(store, ready.remote, PLACE)
        assert (state.lifecycle, state.ref) == (Lifecycle.DRAFT, "drafts/blueprints/net/app/v1")
        assert PLACE.proposed_ref not in ready.refs()
        assert ready.refs()[PLACE.draft_ref] == draft.commit
    with pytest.raises(GitNotFound, match="neither a branch"):
        await propose(store, ready.remote, location("none"))


@pytest.mark.parametrize("lost", ["draft", "proposed"])
async def test_an_interrupted_propose_or_reject_is_finished(ready: Served, store: GitStore, lost: str) -> None:
    draft = await init(store, ready.remote, PLACE)
    ready.git("update-ref", PLACE.proposed_ref, draft.commit)
    state = await store.state(ready.remote, "main", PLACE)
    assert (state.lifecycle, state.complete) == (Lifecycle.PROPOSED, False)
    if lost == "draft":
        await propose(store, ready.remote, PLACE)
    else:
        await reject(store, ready.remote, PLACE)
    state = await store.state(ready.remote, "main", PLACE)
    assert state.complete
    assert state.lifecycle is (Lifecycle.PROPOSED if lost == "draft" else Lifecycle.DRAFT)


async def test_deleting_a_draft_or_proposal(ready: Served, store: GitStore) -> None:
    before = ready.refs()
    await init(store, ready.remote, PLACE)
    await proposed(store, ready.remote, location("other"))
    for place in (PLACE, location("other")):
        assert await store.delete(ready.remote, "main", place)
        assert not await store.delete(ready.remote, "main", place)
        assert (await store.state(ready.remote, "main", place)).lifecycle is None
    assert ready.refs() == before


async def test_a_branch_in_the_way_is_named(ready: Served, store: GitStore) -> None:
    ready.git("update-ref", "refs/heads/drafts/app", "main")
    with pytest.raises(GitConflict, match="drafts/app is in the way"):
        await init(store, ready.remote, location("app/sub", "v1"))


async def test_only_our_own_commits_have_a_task(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, PLACE)
    assert await store.task_of(ready.remote, draft.commit, PLACE) == TaskType.INIT
    tree = ready.git("rev-parse", f"{draft.commit}^{{tree}}")
    amended = ready.git("commit-tree", tree, "-p", f"{draft.commit}^", stdin=ready.message(draft.commit))
    ready.git("update-ref", PLACE.draft_ref, amended)
    assert await store.task_of(ready.remote, amended, PLACE) == "", "who amends a commit keeps its message"
