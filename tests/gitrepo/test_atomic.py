"""What is added to a push, and what servers offer; that it works, test_late_pushes shows."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from porchflow.gitrepo.remote.atomic import offered, with_capability
from porchflow.gitrepo.remote.transport import open_push
from tests.gitrepo.conftest import Served

ZERO, OID = "0" * 40, "1" * 40


def _line(text: str) -> bytes:
    return f"{len(text) + 4:04x}{text}".encode()


UPDATE = f"{ZERO} {OID} refs/heads/main\0 report-status side-band-64k"


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (_line(UPDATE) + b"0000PACK", _line(UPDATE + " atomic") + b"0000PACK"),
        (_line(UPDATE + "\n") + b"0000", _line(UPDATE + " atomic\n") + b"0000"),
        (
            _line(UPDATE) + _line(f"{ZERO} {OID} refs/heads/b"),
            _line(UPDATE + " atomic") + _line(f"{ZERO} {OID} refs/heads/b"),
        ),
    ],
)
def test_the_first_line_asks(data: bytes, wanted: bytes) -> None:
    assert with_capability(data) == wanted


@pytest.mark.parametrize(
    "data", [b"", b"0000", b"PACK\0", b"0010no zero here", _line(UPDATE)[:30], b"fff0" + b"\0" * 0xFFEC]
)
def test_what_is_no_push_is_left_as_it_is(data: bytes) -> None:
    assert with_capability(data) == data


ADVERTISED = (
    _line("# service=git-receive-pack\n") + b"0000" + _line(f"{OID} refs/heads/main\0report-status atomic ofs-delta\n")
)


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        (ADVERTISED, True),
        (ADVERTISED[:60], None),
        (ADVERTISED[:-2], None),
        (ADVERTISED.replace(b" atomic", b" atomics"), False),
        (b"x" * 70_000, False),
    ],
)
def test_what_a_server_offers_is_heard(heard: bytes, wanted: bool | None) -> None:
    assert offered(heard) is wanted


@pytest.fixture
def repo(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path / "local.git"), bare=True)


async def test_each_connection_hears_its_own_server(
    ready: Served, new_repository: Callable[[], Served], repo: pygit2.Repository
) -> None:
    other = new_repository()
    other.git("config", "receive.advertiseAtomic", "false")

    def look(served: Served) -> bool:
        return open_push(repo, served.remote).takes_whole

    for served, wanted in ((ready, True), (other, False), (ready, True)):
        assert await asyncio.to_thread(look, served) is wanted
