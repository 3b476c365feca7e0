"""Upstreams that an author names: the worker reaches more than she does, and does not lend her that."""

from pathlib import Path

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.networks import DENIED_BY_DEFAULT, DeniedNetworks
from porchflow.api.work.needs import Phase
from porchflow.gitrepo.git_settings import GitSettings
from porchflow.gitrepo.git_store import GitStore
from tests.activities.upstream import clone_from_git
from tests.activities.world import reason
from tests.security.stage import NAME, Listener, Stage


@pytest.fixture
def guarded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the worker's store deny what it denies in a cluster."""
    names = stage.world.store._connections.transport._names
    monkeypatch.setattr(names, "_denied", DeniedNetworks(DENIED_BY_DEFAULT))


@pytest.mark.usefixtures("guarded")
async def test_an_author_has_no_worker_connect_to_its_own_machine(stage: Stage, listener: Listener) -> None:
    await stage.team.create(source=clone_from_git(f"{listener.url}/x.git", "main", "/"))
    words = await stage.world.fails(Phase.SOURCE, NAME, ErrorKind.STALLED)
    assert "register the repository, or name one elsewhere" in words
    assert reason(await stage.world.get(NAME), "Stalled") == "True/GitAddressDenied"
    assert listener.shown == []


async def test_workers_deny_and_users_do_not(tmp_path: Path) -> None:
    """What a user compares on her own machine is asked from her own network."""
    settings = GitSettings(cache_dir=tmp_path)
    async with GitStore.of(settings, serves_authors=True) as worker, GitStore.of(settings) as user:
        assert worker._connections.transport._names._denied.denies("127.0.0.1")
        assert not user._connections.transport._names._denied.denies("127.0.0.1")
