"""Processes of one machine that were given the same folder for their Git caches."""

import asyncio
import errno
import itertools
import shutil
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.folders import CacheFolder, Turn
from porchflow.gitrepo.store.transition import Step
from tests.gitrepo.conftest import Served, files, init, location, proposed
from tests.gitrepo.steps import propose, publish

HOLDER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def other(store: GitStore, tmp_path: Path) -> AsyncIterator[GitStore]:
    """Another process's store, given the same folder as `store`."""
    async with GitStore(tmp_path / "cache", server_timeout=20) as other:
        yield other


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes out of turn, however slow the machine is."""
    monkeypatch.setattr("porchflow.gitrepo.push.connection._PATIENCE", 60.0)
    monkeypatch.setattr("porchflow.gitrepo.push.connection._SHORT_PATIENCE", 60.0)


def cache_of(store: GitStore) -> Path:
    (path,) = store.cache_path.glob("*.git")
    return path


async def held_elsewhere(path: Path, processes: AsyncExitStack) -> subprocess.Popen[str]:
    """Have another process hold a lock; when it is returned, it does."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER, str(path)]
    process = await asyncio.to_thread(subprocess.Popen, command, stdin=pipe, stdout=pipe, text=True)
    processes.callback(process.communicate)
    processes.callback(process.kill)
    assert process.stdout
    assert await asyncio.to_thread(process.stdout.readline) == "held\n"
    return process


def test_processes_share_a_cache_directory_without_meeting(tmp_path: Path) -> None:
    first, second = CacheFolder(tmp_path), CacheFolder(tmp_path)
    assert first.path != second.path
    first.close()
    third = CacheFolder(tmp_path)
    assert third.path == first.path
    second.close()
    third.close()


def test_a_cache_is_nobody_elses(tmp_path: Path) -> None:
    """It holds what private repositories hold."""
    CacheFolder(tmp_path / "cache").close()
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


async def test_what_another_process_has_is_not_fetched(ready: Served, store: GitStore, other: GitStore) -> None:
    draft = await init(store, ready.remote, location())
    assert await other.read_package(ready.remote, draft.commit, "app") == files()
    await propose(other, ready.remote, location())
    state = await publish(store, ready.remote, location())
    assert await other.read_package(ready.remote, state.commit, "app") == files()
    assert (store.stats.fetches, other.stats.fetches) == (0, 0)
    ready.git("fsck", "--strict")


@pytest.mark.parametrize("damage", ["deleted", "emptied", "truncated"])
async def test_a_process_that_loses_what_another_had_fetches_it(
    ready: Served, store: GitStore, other: GitStore, damage: str
) -> None:
    draft = await init(store, ready.remote, location())
    assert await other.read_package(ready.remote, draft.commit, "app") == files()
    match damage:
        case "deleted":
            shutil.rmtree(cache_of(store))
        case "emptied":
            shutil.rmtree(cache_of(store) / "objects")
        case "truncated":
            for file in (cache_of(store) / "objects").glob("??/*"):
                file.chmod(0o644)
                file.write_bytes(b"")
    assert await other.read_package(ready.remote, draft.commit, "app") == files()
    assert other.stats.fetches == 1
    state = await publish(other, ready.remote, location())
    assert (await store.state(ready.remote, "main", location())).commit == state.commit
    ready.git("fsck", "--strict")


async def test_caches_that_rely_on_each_other_and_are_dropped_lose_nothing(
    ready: Served, store: GitStore, other: GitStore
) -> None:
    stores = itertools.cycle([store, other])
    for number in range(12):
        first, second = next(stores), next(stores)
        place = location(f"p{number}")
        await init(first, ready.remote, place)
        await propose(second, ready.remote, place)
        shutil.rmtree(cache_of(first))
        state = await publish(first, ready.remote, place)
        assert await second.read_package(ready.remote, state.commit, place.path) == files()
        next(stores)
    ready.git("fsck", "--strict")
    assert len([ref for ref in ready.refs() if ref.startswith("refs/tags/")]) == 12


@pytest.mark.usefixtures("patient")
async def test_processes_take_turns_instead_of_racing_for_the_branch(
    ready: Served, store: GitStore, other: GitStore
) -> None:
    places = [location(f"p{number}") for number in range(24)]
    for place in places:
        await proposed(store, ready.remote, place)
    published = await asyncio.gather(
        *(publish(who, ready.remote, place) for who, place in zip(itertools.cycle((store, other)), places))
    )
    assert all(state.revision == 1 for state in published)
    assert store.stats.retries == other.stats.retries == 0
    assert store.stats.fetches == other.stats.fetches == 0
    ready.git("fsck", "--strict")


@pytest.mark.usefixtures("patient")
async def test_a_merge_goes_out_when_whoever_has_the_turn_is_gone(
    ready: Served, store: GitStore, tmp_path: Path
) -> None:
    await proposed(store, ready.remote, location())
    before = store.stats.groups
    async with AsyncExitStack() as processes:
        (turn,) = (tmp_path / "cache").glob("*.turn")
        process = await held_elsewhere(turn, processes)
        waiting = asyncio.create_task(publish(store, ready.remote, location()))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        assert store.stats.groups == before
        process.kill()
        await waiting


async def test_who_holds_the_turn_for_too_long_is_not_waited_for(
    ready: Served, store: GitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porchflow.gitrepo.push.connection._PATIENCE", 0.0)
    async with AsyncExitStack() as processes:
        (turn,) = (tmp_path / "cache").glob("*.turn")
        process = await held_elsewhere(turn, processes)
        await proposed(store, ready.remote, location())
        await publish(store, ready.remote, location())
        assert process.poll() is None
    assert "refs/tags/app/v1" in ready.refs()


async def test_only_merges_wait_long_for_their_turn(
    ready: Served, store: GitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a server far away, what cannot race would otherwise wait for one slow push after another."""
    monkeypatch.setattr("porchflow.gitrepo.push.connection._PATIENCE", 60.0)
    place = location()

    async def transition(step: Step, *, moves_branch: bool) -> None:
        await store.transition(ready.remote, "main", place, lambda *_: step, moves_branch=moves_branch)

    async with AsyncExitStack() as processes:
        (turn,) = (tmp_path / "cache").glob("*.turn")
        process = await held_elsewhere(turn, processes)
        async with asyncio.timeout(20):
            draft = await init(store, ready.remote, place)
            await store.commit_on_draft(
                ready.remote, place, files(a="b"), expected_parent=draft.commit, task=TaskType.PUSH
            )
            await transition(Step.PROPOSE, moves_branch=False)
        waiting = asyncio.create_task(transition(Step.PUBLISH, moves_branch=True))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        process.kill()
        await waiting
    assert "refs/tags/app/v1" in ready.refs()


async def test_without_a_folder_for_turns_a_push_goes_out(ready: Served, store: GitStore, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache")
    await init(store, ready.remote, location())
    assert "refs/heads/drafts/app/v1" in ready.refs()


async def test_a_file_system_that_has_lost_its_locks_keeps_nobody_from_pushing(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("porchflow.gitrepo.store.folders.fcntl.flock", no_locks)
    async with asyncio.timeout(20):
        await init(store, ready.remote, location())
    assert "refs/heads/drafts/app/v1" in ready.refs()


async def test_a_turn_is_free_again_whatever_happens_in_it(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "lock")
    with pytest.raises(ValueError, match="in it"):
        async with turn.taken(60):
            raise ValueError("in it")
    async with asyncio.timeout(20), turn.taken(60):
        """Nobody holds it."""
