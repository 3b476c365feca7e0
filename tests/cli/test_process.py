import asyncio
import gc
import subprocess
import sys

from porchflow.cli.processes.process import collect_seldom

COLLECTIONS = """
import gc, sys
from porchflow.cli.processes.process import collect_seldom
from porchflow.yamltext.nodes import compose
if sys.argv[1] == "seldom":
    collect_seldom()
before = sum(generation["collections"] for generation in gc.get_stats())
trees = [compose("a: {b: [1, 2, 3], c: {d: e}}\\n") for _ in range(2_000)]
print(sum(generation["collections"] for generation in gc.get_stats()) - before)
"""


async def _collections(mode: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COLLECTIONS, mode, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    return int(output)


async def test_parsing_is_hardly_interrupted_by_the_garbage_collector() -> None:
    usual, seldom = await _collections("usual"), await _collections("seldom")
    assert usual > 10 * max(seldom, 1)


def test_garbage_is_still_collected() -> None:
    thresholds = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.isenabled()
        assert 0 < gc.get_threshold()[0] < 1_000_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
