"""A cache of servers for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from porchflow.devstack.toolchain.executables import Server
from tests.devstack.toolchain.servers import Builders, make_server


@pytest.fixture(scope="package")
def go_build_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Go's own cache: shared by these tests, and nobody else's."""
    return tmp_path_factory.mktemp("go-build")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_build_cache: Path) -> Path:
    """The folder that builds go to; builds need no network."""
    folder = tmp_path / "cache"
    for name, value in {
        "PORCHFLOW_CACHE_DIR": str(folder),
        "GOPROXY": "off",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOCACHE", str(go_build_cache))
    monkeypatch.delenv("TEST_TINY", raising=False)
    return folder / "servers"


@pytest.fixture
def tiny(tmp_path: Path) -> Server:
    """A server that builds in a second."""
    return make_server(tmp_path / "modules", "tiny")


@pytest.fixture
def builders() -> Iterator[Builders]:
    started = Builders()
    yield started
    started.stop()
