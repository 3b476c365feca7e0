"""Whatever happens at once on one remote: nothing foreign is lost, nothing is forced, and answers are the truth.

Two workers walk packages through their lifecycles, in any order and one package at both at times, while somebody else
pushes with git to the branches they work on, a hook refuses some refs, and the server takes a push whole or cannot.
"""

import asyncio
import itertools
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.errors import GitConflict, GitError, GitHookDeclined, GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType
from tests.gitrepo import steps
from tests.gitrepo.conftest import Served, files, location
from tests.servers.faulty import Faults, FaultyGitServer

PACKAGES = ("a", "a/b", "c")
STEPS = ("propose", "reject", "publish", "publish", "propose_deletion", "undo_deletion")
REFUSED = ("refs/heads/proposed/c/", "refs/tags/c/", "refs/heads/drafts/c/")
REFLOG = "core.logAllRefUpdates"


@dataclass(frozen=True)
class Walk:
    """One worker's way with one revision: a step, then as many turns of the event loop, and so on."""

    package: str
    workspace: str
    steps: list[tuple[str, int]]


@dataclass(frozen=True)
class Push:
    """Somebody else's commit on a branch, after so many turns of the event loop."""

    branch: str
    pause: int


@dataclass
class World:
    served: Served
    stores: list[GitStore]
    published: dict[str, set[tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(set))
    refused: list[GitHookDeclined] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)

    async def walk(self, walk: Walk) -> None:
        # As in a system: one revision is worked on by one workflow at a time.
        store, place = self.stores[walk.workspace == "w2"], location(walk.package, walk.workspace)
        await self.attempt(store.create_draft(self.served.remote, "main", place, files(), task=TaskType.INIT))
        for step, pause in walk.steps:
            for _ in range(pause):
                await asyncio.sleep(0.002)
            await self.step(store, place, step)

    async def step(self, store: GitStore, place: PackageLocation, step: str) -> None:
        state = await self.attempt(getattr(steps, step)(store, self.served.remote, place))
        if state and state.lifecycle is Lifecycle.PUBLISHED:
            self.published[place.path].add((state.revision, place.workspace, state.commit))

    async def attempt(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except GitHookDeclined as error:
            self.refused.append(error)
        except (GitConflict, GitNotFound):
            """The step did not fit where the revision was."""
        except GitError as error:
            raise AssertionError(f"nothing else was to go wrong: {error}") from error
        return None

    async def push(self, push: Push) -> None:
        for _ in range(push.pause):
            await asyncio.sleep(0.002)
        try:
            commit = await asyncio.to_thread(self.served.commit, push.branch)
        except subprocess.CalledProcessError:
            return  # it is not there, or was moved just then: whoever pushes with git would be told so
        self.foreign.append((push.branch, commit))


def walks() -> st.SearchStrategy[list[Walk]]:
    steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), min_size=1, max_size=5)
    walk = st.builds(Walk, st.sampled_from(PACKAGES), st.sampled_from(("w1", "w2")), steps)
    return st.lists(walk, min_size=3, max_size=10)


def pushes() -> st.SearchStrategy[list[Push]]:
    branches = ("refs/heads/main", "refs/heads/drafts/a/w1", "refs/heads/proposed/a/w1", "refs/heads/drafts/c/w2")
    return st.lists(st.builds(Push, st.sampled_from(branches), st.integers(0, 150)), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(walks(), pushes(), st.sampled_from(("", *REFUSED)), st.booleans())
def test_any_interleaving(walks: list[Walk], pushes: list[Push], refused: str, whole: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(race(Path(folder), walks, pushes, refused, whole=whole))


async def race(folder: Path, walks: list[Walk], pushes: list[Push], refused: str, *, whole: bool) -> None:
    path = await asyncio.to_thread(create_bare_repository, folder / "git", "repo", durable=False)
    async with (
        FaultyGitServer(folder / "git", username="porch", password="s3cret-word") as server,
        GitStore(folder / "one", server_timeout=30) as one,
        GitStore(folder / "two", server_timeout=30) as two,
    ):
        served = Served(path, server, Faults())
        served.git("config", REFLOG, "always")
        served.git("config", "receive.advertiseAtomic", str(whole).lower())
        await one.ensure_branch(served.remote, "main", create_branch=True)
        if refused:
            served.hook("update", f'case "$1" in {refused}*) echo "not here" >&2; exit 1;; esac')
        world = World(served, [one, two])
        await asyncio.gather(*map(world.walk, walks), *map(world.push, pushes))
        await asyncio.to_thread(check, world, refused)


def check(world: World, refused: str) -> None:
    served, refs = world.served, world.served.refs()
    served.git("fsck", "--strict")
    # Nothing is forced: every value of the branch is in the history of the next.
    tips = served.git("log", "-g", "--format=%H", "refs/heads/main").splitlines()
    for newer, older in itertools.pairwise(tips):
        served.git("merge-base", "--is-ancestor", older, newer)
    # Nothing foreign is lost: it is in the branch, or in a draft or proposal that is still there.
    for branch, commit in world.foreign:
        held = served.git("for-each-ref", f"--contains={commit}", "--format=%(refname)")
        assert held, f"the commit on {branch} is lost"
    # Numbers have no gaps, no doubles, and are what the answers said.
    for package in PACKAGES:
        tags = {ref: commit for ref, commit in refs.items() if ref.rpartition("/")[0] == f"refs/tags/{package}"}
        numbers = sorted(int(ref.rpartition("/v")[2]) for ref in tags)
        assert numbers == list(range(1, len(numbers) + 1))
        told = world.published[package]
        assert len({workspace for _, workspace, _ in told}) == len(told), "a workspace is published once"
        for number, _, commit in told:
            assert tags[f"refs/tags/{package}/v{number}"] == commit
            served.git("merge-base", "--is-ancestor", commit, "refs/heads/main")
    # One bad change fails alone, in the server's words.
    assert all("not here" in str(error) for error in world.refused)
    assert not world.refused or refused
