"""A worker killed in the middle of a push: the next one ends in the same state, whatever the server had done."""

import asyncio
import sys
from pathlib import Path

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.functions.children import end_child
from porchflow.gitrepo.git_store import GitStore
from tests.gitrepo.conftest import PASSWORD, USER, Served, init, location, proposed
from tests.gitrepo.steps import propose, publish
from tests.servers.waiting import eventually

_WORKER = """
import asyncio, sys
from pathlib import Path
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import BasicAuth
from porchflow.gitrepo.remote.remote import Remote
from tests.gitrepo import steps

async def main(cache, url, user, password, call):
    remote = Remote(url, BasicAuth(user, password))
    places = [PackageLocation("", f"p{number}", "v1") for number in range(4)]
    async with GitStore(Path(cache)) as store:
        await asyncio.gather(*(getattr(steps, call)(store, remote, place) for place in places))

asyncio.run(main(*sys.argv[1:]))
"""


async def _killed(served: Served, cache: Path, call: str, updates: int) -> None:
    """Run a worker and kill it when the server has begun its n-th update; the server is left to end as it likes."""
    count = served.path / "updates"
    count.write_text("")
    served.hook("update", f'echo "$1" >> {count}\nsleep 0.1')
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WORKER, str(cache), served.remote.url, USER, PASSWORD, call
    )
    try:
        await eventually(lambda: len(count.read_text().splitlines()) >= updates)
    finally:
        await end_child(worker)
    served.remove_hook("update")
    await eventually(lambda: not list(served.path.glob("refs/**/*.lock")))


@pytest.mark.parametrize("whole", ["true", "false"])
@pytest.mark.parametrize("updates", [1, 2, 4, 8])
async def test_killed_in_the_publish(ready: Served, store: GitStore, tmp_path: Path, updates: int, whole: str) -> None:
    ready.git("config", "receive.advertiseAtomic", whole)
    places = [location(f"p{number}") for number in range(4)]
    commits = [await proposed(store, ready.remote, place) for place in places]
    await _killed(ready, tmp_path / "killed", "publish", updates)
    for place, commit in zip(places, commits, strict=True):
        state = await publish(store, ready.remote, place, commit_hint=commit)
        assert state.revision == 1
        ready.git("merge-base", "--is-ancestor", state.commit, "main")
    assert set(ready.refs()) == {"refs/heads/main", *(place.tag_ref(1) for place in places)}
    assert ready.files("main") == ["README.md", *(f"{place.path}/Kptfile" for place in places)]
    for place in places:
        assert (await store.state(ready.remote, "main", place)).complete


@pytest.mark.parametrize("whole", ["true", "false"])
@pytest.mark.parametrize("updates", [1, 3, 5])
async def test_killed_in_the_propose(ready: Served, store: GitStore, tmp_path: Path, updates: int, whole: str) -> None:
    ready.git("config", "receive.advertiseAtomic", whole)
    places = [location(f"p{number}") for number in range(4)]
    drafts = [await init(store, ready.remote, place) for place in places]
    await _killed(ready, tmp_path / "killed", "propose", updates)
    for place, draft in zip(places, drafts, strict=True):
        await propose(store, ready.remote, place)
        state = await store.state(ready.remote, "main", place)
        assert (state.lifecycle, state.commit, state.complete) == (Lifecycle.PROPOSED, draft.commit, True)
    assert len(ready.refs()) == 5
