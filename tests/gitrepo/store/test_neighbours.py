"""Packages above and below each other, and content over content: refused before anything is written, or kept apart."""

from collections.abc import Mapping
from pathlib import Path

import pygit2
import pytest

from porchflow.gitrepo.errors import GitPackageExists, GitPackageOverlap
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.trees import File, write_files
from tests.gitrepo.conftest import Served, copy, files, init, location
from tests.gitrepo.steps import propose, publish

MAIN = "refs/heads/main"
KPTFILE = "apiVersion: kpt.dev/v1\nkind: Kptfile\n"


def commit(served: Served, contents: Mapping[str, str], *tags: str) -> str:
    """Commit files on the branch by hand, beside what it has."""
    parent = served.git("rev-parse", MAIN)
    kept = {name: served.git("cat-file", "blob", f"{parent}:{name}") for name in served.files(parent)}
    contents = {name: File(text.encode()) for name, text in {**kept, **contents}.items()}
    tree = write_files(pygit2.Repository(str(served.path)), contents)
    made = served.git("commit-tree", str(tree), "-p", parent, "-m", "by hand")
    served.git("update-ref", MAIN, made)
    for tag in tags:
        served.git("tag", tag, made)
    return made


async def _published(store: GitStore, remote: Remote, place: PackageLocation) -> None:
    await init(store, remote, place)
    await publish(store, remote, place)


async def _proposed(store: GitStore, remote: Remote, place: PackageLocation) -> None:
    await init(store, remote, place)
    await propose(store, remote, place)


STATES = {"draft": init, "proposal": _proposed, "published": _published}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("there", "new", "where"), [("x", "x/y/z", "below"), ("x/y/z", "x", "above")])
async def test_a_new_package_below_or_above_another_is_refused_and_nothing_is_written(
    ready: Served, store: GitStore, state: str, there: str, new: str, where: str
) -> None:
    await STATES[state](store, ready.remote, location(there, "v1", "dir"))
    refs = ready.refs()
    with pytest.raises(GitPackageOverlap, match=rf"'dir/{new}' would lie {where} the package 'dir/{there}'"):
        await init(store, ready.remote, location(new, "w", "dir"))
    assert ready.refs() == refs


@pytest.mark.parametrize(("there", "new"), [("x", "x/y"), ("x/y", "x")])
async def test_so_it_is_where_the_other_is_only_on_the_branch_or_only_a_tag(
    ready: Served, store: GitStore, there: str, new: str
) -> None:
    commit(ready, {f"{there}/Kptfile": KPTFILE})
    with pytest.raises(GitPackageOverlap, match=f"package '{there}' .on branch 'main'"):
        await init(store, ready.remote, location(new))
    ready.git("tag", f"{there}/v1", MAIN)
    ready.git("update-ref", MAIN, f"{MAIN}~1")
    with pytest.raises(GitPackageOverlap, match=f"package '{there}' .tag {there}/v1"):
        await init(store, ready.remote, location(new))


async def test_names_that_only_begin_alike_and_foreign_tags_are_no_neighbours(ready: Served, store: GitStore) -> None:
    commit(ready, {"x/y/notes.txt": "no package"}, "release/v1", "x/v1", "x/y/z/v2")
    blob = ready.git("hash-object", "-w", "--stdin", stdin="no commit")
    ready.git("update-ref", "refs/tags/x/key", blob)
    await _published(store, ready.remote, location("x/yz"))
    for name in ("x/y-z", "x/yzz", "release/app", "x/yz-0"):
        await _published(store, ready.remote, location(name))


async def test_subpackages_stay_a_part_of_their_package(ready: Served, store: GitStore) -> None:
    content = files() | {"sub/Kptfile": files()["Kptfile"], "sub/a.yaml": files(a="a: 1")["a"]}
    await init(store, ready.remote, location("x"), content)
    await publish(store, ready.remote, location("x"))
    assert "x/sub/a.yaml" in ready.files("main")
    with pytest.raises(GitPackageOverlap, match="'x/sub' would lie below the package 'x'"):
        await init(store, ready.remote, location("x/sub"))
    await copy(store, ready.remote, location("x", "v2"))
    await publish(store, ready.remote, location("x", "v2"))
    assert ready.files("main") == ["README.md", "x/Kptfile"]
    assert await store.delete(ready.remote, "main", location("x", "main"), revision=-1)
    assert ready.files("main") == ["README.md"]


async def test_a_package_that_is_made_in_a_subpackage_of_itself_goes_on(ready: Served, store: GitStore) -> None:
    """`init.subpackage`: no Kptfile in its root, and what is below is still its own."""
    for number, text in enumerate(("a: 1", "a: 2"), start=1):
        place = location("x", f"v{number}")
        content = {"db/Kptfile": files()["Kptfile"], "db/a.yaml": files(a=text)["a"]}
        await (copy if number > 1 else init)(store, ready.remote, place, content)
        await publish(store, ready.remote, place)
        assert ready.git("cat-file", "blob", "main:x/db/a.yaml") == text


@pytest.mark.parametrize(("first", "second"), [("x", "x/y"), ("x/y", "x")])
async def test_of_two_drafts_that_raced_the_first_is_published_and_the_other_refused(
    ready: Served, store: GitStore, tmp_path: Path, first: str, second: str
) -> None:
    """Neither saw the other: each was made where the other's branch was not there yet."""
    content = files() | {"y/Kptfile": files()["Kptfile"], "y/own.yaml": files(a="a: 1")["a"]}
    await init(store, ready.remote, location(first), content)
    hidden = ready.git("rev-parse", location(first).draft_ref)
    ready.git("update-ref", "-d", location(first).draft_ref)
    await init(store, ready.remote, location(second), content)
    ready.git("update-ref", location(first).draft_ref, hidden)
    await publish(store, ready.remote, location(first))
    before = ready.refs()
    async with GitStore(tmp_path / "other") as other:
        for worker in (store, other):
            with pytest.raises(GitPackageOverlap, match=f"'{second}' would lie .* the package '{first}'"):
                await publish(worker, ready.remote, location(second))
    assert ready.refs() == before


NESTED = {"x/Kptfile": KPTFILE, "x/a.yaml": "x", "x/y/Kptfile": KPTFILE, "x/y/b.yaml": "y", "x/z/c.yaml": "z"}


async def test_packages_that_are_nested_already_keep_their_files(ready: Served, store: GitStore) -> None:
    commit(ready, NESTED, "x/v1", "x/y/v1")
    await copy(store, ready.remote, location("x", "next"), files() | {"y/b.yaml": files(a="other")["a"]})
    await publish(store, ready.remote, location("x", "next"))
    assert ready.files("main") == ["README.md", "x/Kptfile", "x/y/Kptfile", "x/y/b.yaml"]
    assert ready.git("cat-file", "blob", "main:x/y/b.yaml") == "y"
    await copy(store, ready.remote, location("x/y", "next"), files(n_yaml="new"))
    await publish(store, ready.remote, location("x/y", "next"))
    assert ready.files("main") == ["README.md", "x/Kptfile", "x/y/Kptfile", "x/y/n.yaml"]
    assert await store.delete(ready.remote, "main", location("x", "main"), revision=-1)
    assert ready.files("main") == ["README.md", "x/y/Kptfile", "x/y/n.yaml"]
    refs = ready.refs()
    assert not await store.delete(ready.remote, "main", location("x", "main"), revision=-1)
    assert ready.refs() == refs
    found = (await store.survey(ready.remote, "main", "")).discovery
    assert {(each.package, each.revision) for each in found.revisions} == {
        *(("x", 1), ("x", 2), ("x/y", 1), ("x/y", 2), ("x/y", -1))
    }


async def test_a_package_below_that_the_branch_lacks_is_not_brought_back(ready: Served, store: GitStore) -> None:
    commit(ready, NESTED, "x/v1", "x/y/v1")
    await copy(store, ready.remote, location("x", "next"), files() | {"y/b.yaml": files(a="old")["a"]})
    await store.delete(ready.remote, "main", location("x/y", "main"), revision=-1)
    await publish(store, ready.remote, location("x", "next"))
    assert ready.files("main") == ["README.md", "x/Kptfile"]


async def test_a_file_where_a_package_below_is_stops_the_publish(ready: Served, store: GitStore) -> None:
    commit(ready, NESTED, "x/v1", "x/y/v1")
    await copy(store, ready.remote, location("x", "next"), files(y="a file"))
    with pytest.raises(GitPackageOverlap, match=r"x/y is a file of this package, and the package 'x/y' is there"):
        await publish(store, ready.remote, location("x", "next"))


@pytest.mark.parametrize("task", [TaskType.INIT, TaskType.CLONE])
async def test_nothing_begins_anew_where_a_package_is(ready: Served, store: GitStore, task: TaskType) -> None:
    async def begin(place: PackageLocation) -> None:
        await store.create_draft(ready.remote, "main", place, files(), task=task)

    commit(ready, {"by-hand/Kptfile": KPTFILE, "notes/a.txt": "no package's"})
    await _published(store, ready.remote, location("app"))
    refs = ready.refs()
    for name, what in (
        ("app", r"tag app/v1\).*copyFrom or upgrade"),
        ("by-hand", "on branch 'main'"),
        ("notes", "no p"),
    ):
        with pytest.raises(GitPackageExists, match=what):
            await begin(location(name, "other"))
    assert ready.refs() == refs
    # Without its files on the branch it is published still.
    await store.delete(ready.remote, "main", location("app", "main"), revision=-1)
    with pytest.raises(GitPackageExists, match="tag app/v1"):
        await begin(location("app", "other"))
    await store.delete(ready.remote, "main", location("app", "v1"), revision=1)
    await begin(location("app", "other"))


async def test_drafts_are_no_content_and_the_second_to_be_published_drops_nothing(
    ready: Served, store: GitStore
) -> None:
    first, second, third = (location("app", workspace) for workspace in ("one", "two", "three"))
    contents = {first: files(a="a: 1"), second: files(b="b: 1"), third: files(a="a: 3", b="b: 3")}
    for place, content in contents.items():
        assert not (await init(store, ready.remote, place, content)).existing
        assert (await init(store, ready.remote, place, content)).existing, "a repeated attempt finds its own"
    await publish(store, ready.remote, first)
    assert (await init(store, ready.remote, second)).existing, "also once another is published"
    with pytest.raises(GitPackageExists, match="would drop app/a; make its next revision with copyFrom"):
        await publish(store, ready.remote, second)
    assert (await publish(store, ready.remote, third)).revision == 2
    assert not (await publish(store, ready.remote, first)).changed
    assert ready.files("main") == ["README.md", "app/Kptfile", "app/a", "app/b"]
