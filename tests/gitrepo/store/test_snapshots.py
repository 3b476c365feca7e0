"""Packages listed without being read, drafts made of them, and objects carried from one repository to another."""

import asyncio
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from porchflow.devstack.git.gitserver import STATISTICS_PATH
from porchflow.gitrepo.errors import GitNotFound, GitQuotaExceeded, GitUnavailable
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName, PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Edit, Snapshot, Stored
from porchflow.gitrepo.store.trees import File, Limits, Mode
from tests.gitrepo.conftest import Served

CONTENT = {
    "Kptfile": File(b"kind: Kptfile\n"),
    "a/b/deep.yaml": File(b"deep: 1\n"),
    "a/run": File(b"#!/bin/sh\n", Mode.EXECUTABLE),
    "a/link": File(b"run", Mode.SYMLINK),
    "big.bin": File(bytes(range(256)) * 400),
}


def place(workspace: str = "v1", package: str = "web") -> PackageLocation:
    return PackageLocation("", package, workspace)


async def upstream(store: GitStore, served: Served) -> Snapshot:
    """A package in a repository, as a snapshot."""
    draft = await store.create_draft(served.remote, "main", place(), CONTENT, task=TaskType.INIT)
    return await store.snapshot(served.remote, draft.commit, "web")


async def test_a_snapshot_names_files_and_reads_none(ready: Served, store: GitStore) -> None:
    read = store.stats.bytes_read
    snapshot = await upstream(store, ready)
    assert {path: (file.mode, file.size) for path, file in snapshot.files.items()} == {
        path: (file.mode, len(file.data)) for path, file in CONTENT.items()
    }
    assert store.stats.bytes_read == read
    assert await store.read_files(snapshot, ["a/b/deep.yaml"]) == {"a/b/deep.yaml": b"deep: 1\n"}
    assert store.stats.bytes_read == read + 8
    whole = await store.snapshot(ready.remote, snapshot.commit, "")
    assert whole.files["web/a/run"] == snapshot.files["a/run"]
    with pytest.raises(GitNotFound, match="has no directory 'none'"):
        await store.snapshot(ready.remote, snapshot.commit, "none")


EDITS: dict[str, tuple[dict[str, File | None], list[str]]] = {
    "nothing": ({}, ["Kptfile", "a/b/deep.yaml", "a/link", "a/run", "big.bin"]),
    "a file": ({"Kptfile": File(b"new\n")}, ["Kptfile", "a/b/deep.yaml", "a/link", "a/run", "big.bin"]),
    "a new folder": ({"x/y": File(b"")}, ["Kptfile", "a/b/deep.yaml", "a/link", "a/run", "big.bin", "x/y"]),
    "a folder that empties": ({"a/b/deep.yaml": None}, ["Kptfile", "a/link", "a/run", "big.bin"]),
    "a file in a folder's place": (
        {"a/b/deep.yaml": None, "a/b": File(b"")},
        ["Kptfile", "a/b", "a/link", "a/run", "big.bin"],
    ),
    "a folder in a file's place": (
        {"a/run": None, "a/run/x": File(b"")},
        ["Kptfile", "a/b/deep.yaml", "a/link", "a/run/x", "big.bin"],
    ),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_a_draft_of_an_edited_snapshot(ready: Served, store: GitStore, edit: str) -> None:
    changes, wanted = EDITS[edit]
    snapshot = await upstream(store, ready)
    draft = await store.create_draft(
        ready.remote, "main", place(package="copy"), Edit(snapshot, changes), task=TaskType.COPY
    )
    made = await store.read_package(ready.remote, draft.commit, "copy")
    expected = {**CONTENT, **changes}
    assert sorted(made) == wanted
    assert made == {path: expected[path] for path in wanted}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"a": File(b"")}, InvalidName),
        ({"Kptfile/x": File(b"")}, InvalidName),
        ({"../x": File(b"")}, InvalidName),
        ({".git/config": File(b"")}, InvalidName),
        (dict.fromkeys(CONTENT), InvalidName),
    ],
)
async def test_an_edit_that_makes_no_package_is_refused(
    ready: Served, store: GitStore, changes: dict[str, File | None], error: type[Exception]
) -> None:
    snapshot = await upstream(store, ready)
    with pytest.raises(error):
        await store.create_draft(ready.remote, "main", place("v2"), Edit(snapshot, changes), task=TaskType.COPY)


async def test_a_package_above_the_limits_is_refused_unread(ready: Served, tmp_path: Path) -> None:
    async with GitStore(tmp_path / "small") as small, GitStore(tmp_path / "large") as large:
        small._limits = Limits(files=4)
        snapshot = await upstream(large, ready)
        with pytest.raises(GitQuotaExceeded, match=r"more than 4 files \(the limit\)"):
            await small.snapshot(ready.remote, snapshot.commit, "web")


@pytest.mark.parametrize("big", [False, True])
async def test_objects_of_another_repository_are_carried(
    ready: Served, new_repository: Callable[[], Served], store: GitStore, *, big: bool
) -> None:
    snapshot = await upstream(store, ready)
    if big:
        many = {f"f{number}/{number}": File(str(number).encode() * 1000) for number in range(300)}
        draft = await store.create_draft(ready.remote, "main", place("big", "big"), many, task=TaskType.INIT)
        snapshot = await store.snapshot(ready.remote, draft.commit, "big")
    other = new_repository()
    read = store.stats.bytes_read
    draft = await store.create_draft(
        other.remote, "main", place(package="x/y"), Edit(snapshot, {"own": File(b"")}), task=TaskType.CLONE
    )
    assert big == (store.stats.bytes_read == read), "what is large goes through no memory"
    made = await store.read_package(other.remote, draft.commit, "x/y")
    assert made == await store.read_package(ready.remote, snapshot.commit, snapshot.path) | {"own": File(b"")}
    other.git("fsck", "--strict")


async def test_a_stored_file_of_another_snapshot(
    ready: Served, new_repository: Callable[[], Served], store: GitStore
) -> None:
    """As an upgrade does: the base is at home, some files are upstream's."""
    snapshot = await upstream(store, ready)
    other = new_repository()
    own = await store.create_draft(other.remote, "main", place(), {"Kptfile": File(b"own\n")}, task=TaskType.INIT)
    base = await store.snapshot(other.remote, own.commit, "web")
    changes: dict[str, File | Stored | None] = {"tool": snapshot.files["a/run"]}
    draft = await store.create_draft(
        other.remote, "main", place("v2"), Edit(base, changes, (snapshot,)), task=TaskType.UPGRADE
    )
    made = await store.read_package(other.remote, draft.commit, "web")
    assert made == {"Kptfile": File(b"own\n"), "tool": CONTENT["a/run"]}
    assert await store.commit_on_draft(
        other.remote,
        place("v2"),
        Edit(base, {**changes, "more": File(b"")}, (snapshot,)),
        expected_parent=draft.commit,
        task=TaskType.RENDER,
    )


async def test_carrying_survives_a_deleted_cache(
    ready: Served, new_repository: Callable[[], Served], store: GitStore, tmp_path: Path
) -> None:
    snapshot = await upstream(store, ready)
    other = new_repository()
    _delete_caches(tmp_path)
    edit = Edit(snapshot, {"own": File(b"")})
    for attempt in itertools.count():
        try:
            draft = await store.create_draft(other.remote, "main", place("v2"), edit, task=TaskType.CLONE)
            break
        except GitUnavailable:
            assert attempt < 2, "the next attempt finds everything again"
    made = await store.read_package(other.remote, draft.commit, "web")
    assert made == {**CONTENT, "own": File(b"")}


def _delete_caches(folder: Path) -> None:
    for repository in folder.glob("cache/worker-0/*.git"):
        shutil.rmtree(repository)


async def test_200_clones_of_one_upstream_fetch_it_once(
    ready: Served, new_repository: Callable[[], Served], store: GitStore, tmp_path: Path
) -> None:
    snapshot = await upstream(store, ready)
    ready.git("update-ref", "refs/tags/web/v1", snapshot.commit)
    targets = [new_repository(), new_repository()]
    requests: list[str] = []

    async def note(request: web.Request) -> None:
        requests.append(f"{request.path.rpartition('/')[0]}?{request.query_string}")

    before = await _fetches(ready)
    ready.faults.on_request = note
    async with GitStore(tmp_path / "worker") as worker:

        async def clone(number: int) -> None:
            commit = await worker.resolve(ready.remote, "v1", "web")
            found = await worker.snapshot(ready.remote, commit, "web")
            where = place(package=f"p{number}")
            edit = Edit(found, {"own": File(str(number).encode())})
            await worker.create_draft(targets[number % 2].remote, "main", where, edit, task=TaskType.CLONE)

        await asyncio.gather(*map(clone, range(200)))
        assert await _fetches(ready) - before == 1
        listings = [request for request in requests if ready.path.name in request and "upload-pack" in request]
        assert len(listings) < 10, "those who ask at the same time share a listing"
        # A branch or tag that moved is seen by who asks after that, whatever was resolved before.
        ready.git("update-ref", "refs/tags/web/v1", ready.commit("refs/heads/drafts/web/v1"))
        assert await worker.resolve(ready.remote, "v1", "web") == ready.refs()["refs/tags/web/v1"]
    ready.faults.on_request = None
    assert sum(len(target.refs()) - 1 for target in targets) == 200


async def _fetches(served: Served) -> int:
    headers = {"Authorization": served.remote.authorization or ""}
    async with ClientSession() as session, session.get(served.server.url + STATISTICS_PATH, headers=headers) as answer:
        fetches: dict[str, int] = (await answer.json())["fetches"]
        return fetches.get(served.path.name, 0)
