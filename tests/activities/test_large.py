"""A package of 5,000 files and 50 MiB goes through every source and a rendering, and its content through no memory."""

import asyncio
import os
import random
from pathlib import Path

import psutil

from porchflow.activities.definitions import PhaseResult
from porchflow.api.work.needs import Phase
from tests.activities.test_upgrades import ROOT, upgrade
from tests.activities.upstream import UPSTREAM_KPTFILE, clone_from_git, clone_of, create_clone, publish, push_tree, tree
from tests.activities.world import World
from tests.servers.git import GitRepository

FILES, SIZE = 5_000, 50 * 1024 * 1024
RESOURCES = 50
MEMORY = 40 * 1024 * 1024
"""What the phases may take in addition; one copy of the content would be more."""


def fill(folder: Path, color: str = "blue") -> None:
    """Binaries that cannot be compressed, some in folders, and a few resources."""
    chance = random.Random(1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Kptfile").write_text(UPSTREAM_KPTFILE)
    for number in range(RESOURCES):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\ndata: {{color: {color}}}\n"
        (folder / f"c{number}.yaml").write_text(text)
    for number in range(FILES - RESOURCES - 1):
        inner = folder / f"media/{number % 50}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"{number}.bin").write_bytes(chance.randbytes(SIZE // FILES))


def _own_memory() -> int:
    """Bytes that this process holds, without files that are mapped: the system takes those back when it wants."""
    memory = psutil.Process(os.getpid()).memory_info()
    return int(memory.rss - memory.shared)


async def test_a_large_package(world: World, deployments: GitRepository) -> None:
    await push_tree(world.git.url, "main", lambda clone: fill(clone / "seed"), world.folder)
    begin, peak = _own_memory(), 0
    source = clone_from_git(world.git.url, "main", "seed")

    async def run(name: str, phase: Phase = Phase.SOURCE) -> PhaseResult:
        nonlocal peak
        read = world.store.stats.bytes_read
        task = asyncio.create_task(world.run(phase, name))
        while not task.done():
            await asyncio.wait([task], timeout=0.02)
            peak = max(peak, _own_memory() - begin)
        result = await task
        assert len(result.model_dump_json()) < 2_000
        assert world.store.stats.bytes_read - read < 100_000
        return result

    upstream = await world.create(source=source)
    await run(upstream)
    await publish(world, upstream, world.git.url, "drafts/web/v1")
    clone = await create_clone(world, clone_of(upstream))
    await run(clone)
    await run(clone, Phase.RENDER)
    await publish(world, clone, deployments.url, "drafts/live/shop/web/v1")
    second = await world.create("v2", source={"copyFrom": {"name": upstream}})
    await run(second)

    def change(folder: Path) -> None:
        (folder / "web/c1.yaml").write_text((folder / "web/c1.yaml").read_text().replace("blue", "green"))
        (folder / "web/media/1/1.bin").write_bytes(b"\0new")

    await publish(world, second, world.git.url, "drafts/web/v2", change)
    upgraded = await create_clone(world, upgrade(), workspace="v2")
    await run(upgraded)
    new = tree(deployments.path, f"drafts/live/shop/web/v2:{ROOT}")
    assert len(new) == FILES
    old = tree(deployments.path, f"live/shop/web/v1:{ROOT}")
    assert {path for path in new if new[path] != old[path]} == {"Kptfile", "c1.yaml", "media/1/1.bin"}
    assert peak < MEMORY, f"{peak / 2**20:.0f} MiB"
