"""Poison: what one namespace's author brings in stalls her own objects, and neither the worker nor other namespaces."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from porchflow.api.limits import MIB, PACKAGE_BYTES
from porchflow.gitrepo.remote.protocol.pkt_lines import pkt_line
from tests.e2e.conftest import register
from tests.e2e.packages import KPTFILE
from tests.e2e.system import System, condition
from tests.gitrepo.remote.test_attacks import OID, answering, delta_bomb, sending
from tests.servers.git import GitRepositories, GitRepository, commit_files

_LEVELS, _EQUAL = 8, 20
"""A tree of 52 KB with 26 thousand million directories."""
_GROWTH = 256 * MIB
"""More memory than a worker takes for all of this, and far less than one of the bombs would."""


def _tree_bomb(repository: GitRepository) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=KPTFILE)
    below = repository.git("mktree", stdin=f"100644 blob {blob}\tKptfile\n")
    for _ in range(_LEVELS):
        entries = "".join(f"040000 tree {below}\td{number:02}\n" for number in range(_EQUAL))
        below = repository.git("mktree", stdin=f"{entries}100644 blob {blob}\tKptfile\n")
    _commit(repository, below)


def _zeros(repository: GitRepository, folder: Path) -> None:
    """A file above the limit of a package that packs into some hundred KB."""
    zeros = folder / "zeros"
    with zeros.open("wb") as file:
        file.truncate(4 * PACKAGE_BYTES)
    blob = repository.git("hash-object", "-w", str(zeros))
    zeros.unlink()
    kptfile = repository.git("hash-object", "-w", "--stdin", stdin=KPTFILE)
    _commit(repository, repository.git("mktree", stdin=f"100644 blob {kptfile}\tKptfile\n100644 blob {blob}\tzeros\n"))


def _commit(repository: GitRepository, tree: str) -> None:
    environment = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(repository.path), "commit-tree", tree, "-m", "poison"],
        capture_output=True, text=True, check=True, env={**os.environ, **environment},
    )  # fmt: skip
    repository.git("update-ref", "refs/heads/main", done.stdout.strip())


def _clone(url: str) -> dict[str, Any]:
    return {"source": {"cloneFrom": {"type": "git", "git": {"repo": url, "ref": "main", "directory": "/"}}}}


def _highest_memory(process: "subprocess.Popen[bytes]") -> int:
    """Bytes of memory that a process had at most. It is started by another one, which is replaced by it."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


@pytest.mark.timeout(400)
async def test_poison_of_one_namespace_stops_no_other(
    idle_system: System, git_server: GitRepositories, git_repository: GitRepository, tmp_path: Path
) -> None:
    system = idle_system
    neighbour = await system.neighbour()
    system.start("watcher", "watcher", "--namespaces", f"{system.namespace},{neighbour.namespace}")
    worker = system.start_worker()
    await register(system, "blueprints", git_repository.url)
    neighbours = git_server.create()
    await asyncio.to_thread(commit_files, neighbours, "main", {"README.md": "packages\n"}, "first commit")
    await register(neighbour, "packages", neighbours.url)
    await neighbour.ready(await neighbour.create_draft("packages", "before"))
    before = await asyncio.to_thread(_highest_memory, worker)

    trees, zeros, patterns = git_server.create(), git_server.create(), git_server.create()
    await asyncio.to_thread(_tree_bomb, trees)
    await asyncio.to_thread(_zeros, zeros, tmp_path)
    slow = {"Kptfile": KPTFILE, ".krmignore": ("[" * 250 + "\n") * 400}
    await asyncio.to_thread(commit_files, patterns, "main", slow, "slow expressions")
    refs = pkt_line(f"{OID} refs/heads/main\n".encode())
    async with answering(sending(delta_bomb(130), refs)) as deltas:
        poison = {"deltas": deltas, "trees": trees.url, "zeros": zeros.url, "patterns": patterns.url}
        names = {
            kind: [await system.create_draft("blueprints", f"{kind}-{number}", **_clone(url)) for number in range(2)]
            for kind, url in poison.items()
        }
        # While all of it is worked on, the neighbour's objects are made and published.
        for number in range(4):
            name = await neighbour.create_draft("packages", f"app-{number}")
            await neighbour.ready(name, timeout=60)
        for kind in ("deltas", "trees", "zeros"):
            for name in names[kind]:
                stalled = await system.stalled(name, "GitQuotaExceeded", timeout=60)
                assert "the limit" in condition(stalled, "Ready")["message"], kind
        for name in names["patterns"]:
            await system.until(name, "is done with", _is_settled, timeout=60)
    assert worker.poll() is None, "the worker lives"
    assert await asyncio.to_thread(_highest_memory, worker) - before < _GROWTH


def _is_settled(obj: dict[str, Any]) -> bool:
    return condition(obj, "Ready").get("status") == "True" or condition(obj, "Stalled").get("status") == "True"
