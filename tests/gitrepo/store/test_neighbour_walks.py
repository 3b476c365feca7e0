"""Random packages and lifecycles by two workers: what one does leaves the files of all other packages as they are."""

import asyncio
import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.errors import GitConflict, GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import TAGS, PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType
from tests.gitrepo import steps
from tests.gitrepo.conftest import Served, files, location
from tests.gitrepo.store.test_neighbours import KPTFILE, commit
from tests.servers.faulty import Faults, FaultyGitServer

PATHS = ("x", "x/y", "x/y/z", "x/w", "xy", "v")
MAKES = {"init": TaskType.INIT, "copy": TaskType.COPY, "upgrade": TaskType.UPGRADE}
STEPS = (*MAKES, "init and publish", "copy and publish", "push", "publish", "delete", "delete from branch")


@dataclass(frozen=True)
class Act:
    """What a worker does to a package; `text` makes its content differ, `inner` is a directory with a Kptfile in it."""

    worker: int
    path: str
    workspace: str
    step: str
    text: str
    inner: str


ACTS = st.builds(
    Act,
    st.integers(0, 1),
    st.sampled_from(PATHS),
    st.sampled_from("abcdef"),
    st.sampled_from(STEPS),
    st.sampled_from("123"),
    st.sampled_from(("", "y", "w", "other")),
)
SEEDS = st.sets(st.sampled_from(PATHS))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(SEEDS, st.lists(st.lists(ACTS, min_size=1, max_size=2), min_size=4, max_size=12))
def test_no_step_touches_a_file_of_another_package(seeds: set[str], turns: list[list[Act]]) -> None:
    """Each turn is one act, or two at once; afterwards only what was acted on may differ."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_walk(Path(folder), seeds, turns))


async def _walk(folder: Path, seeds: set[str], turns: list[list[Act]]) -> None:
    path = await asyncio.to_thread(create_bare_repository, folder / "git", "repo", durable=False)
    async with (
        FaultyGitServer(folder / "git", username="porch", password="s3cret-word") as server,
        GitStore(folder / "one", server_timeout=30) as one,
        GitStore(folder / "two", server_timeout=30) as two,
    ):
        served = Served(path, server, Faults())
        await one.ensure_branch(served.remote, "main", create_branch=True)
        if seeds:
            contents = {f"{seed}/{name}": text for seed in seeds for name, text in (("Kptfile", KPTFILE), ("s", seed))}
            commit(served, contents, *(f"{seed}/v1" for seed in seeds))
        for acts in turns:
            before, packages = _contents(served), _packages(served)
            await asyncio.gather(*(_do((one, two)[act.worker], served, act) for act in acts))
            after = _contents(served)
            touched = {act.path for act in acts}
            owned = {name: _owner(name, packages) for name in before.keys() | after.keys()}
            for name, owner in owned.items():
                assert owner is None or owner in touched or after.get(name) == before.get(name), (acts, name)
        served.git("fsck", "--strict")


def _contents(served: Served) -> Mapping[str, str]:
    lines = served.git("ls-tree", "-r", "main").splitlines()
    return {name: entry for entry, _, name in (line.partition("\t") for line in lines)}


def _packages(served: Served) -> set[str]:
    """Those with a tag, and the first Kptfile on the way down."""
    tagged = {ref.removeprefix(TAGS).rpartition("/")[0] for ref in served.refs() if ref.startswith(TAGS)}
    on_branch = {name.removesuffix("/Kptfile") for name in _contents(served) if name.endswith("/Kptfile")}
    first = {path for path in on_branch if not any(path.startswith(f"{other}/") for other in on_branch)}
    return tagged | first


def _owner(name: str, packages: set[str]) -> str | None:
    owners = [path for path in packages if name.startswith(f"{path}/")]
    return max(owners, key=len, default=None)


async def _do(store: GitStore, served: Served, act: Act) -> None:
    place = location(act.path, act.workspace)
    with contextlib.suppress(GitConflict, GitNotFound):
        await _try(store, served, act, place)


async def _try(store: GitStore, served: Served, act: Act, place: PackageLocation) -> None:
    remote = served.remote
    content = files(**{f"file{act.text}": act.text})
    if act.inner:
        content |= {f"{act.inner}/Kptfile": content["Kptfile"], f"{act.inner}/mine": content[f"file{act.text}"]}
    make, _, _ = act.step.partition(" and ")
    if make in MAKES:
        await store.create_draft(remote, "main", place, content, task=MAKES[make])
    match act.step:
        case "publish" | "init and publish" | "copy and publish":
            await steps.propose(store, remote, place)
            await steps.publish(store, remote, place)
        case "push":
            parent = served.refs().get(place.draft_ref, "0" * 40)
            await store.commit_on_draft(remote, place, content, expected_parent=parent, task=TaskType.PUSH)
        case "delete":
            await store.delete(remote, "main", place)
        case "delete from branch":
            await store.delete(remote, "main", location(act.path, "main"), revision=-1)
