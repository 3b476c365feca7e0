"""The function runner as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from porchflow.functions.children import end_child

ROOT = Path(__file__).parents[2]
_PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from porchflow.functions.runner_settings import CallSettings, RunnerListenSettings
from porchflow.functions.runner.server import serve
from tests.functions import runtimes
settings = json.loads(sys.argv[1])
def of(group):
    return group(**{name: settings.pop(name) for name in group.model_fields if name in settings})
extra = [getattr(runtimes, name)() for name in settings.pop("runtimes", [])]
if "executable" in settings:
    extra.append(runtimes.executable(Path(settings.pop("executable"))))
# Port 0 is for tests: a setting names a port.
listen = of(RunnerListenSettings).model_copy(update={"listen": "127.0.0.1:0"})
asyncio.run(serve(listen, of(CallSettings), runtimes=extra, ready=lambda port: print(port, flush=True), **settings))
"""


class Runner:
    """A running function runner."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.address = f"127.0.0.1:{port}"

    def terminate(self) -> None:
        """Ask it to stop."""
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        """Wait until it ended."""
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Runner]:
    """Start a function runner and stop it afterwards; `runtimes` names classes of `tests.functions.runtimes`.

    Other names are those of fields of `RunnerListenSettings` and `CallSettings`, and of parameters of `serve`.

    `executable` is a program that runs for every version of the image `example.com/fn/f`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROGRAM,
        json.dumps({"processes": 1, "runs_images": True, **settings}),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        yield Runner(process, int(line))
    finally:
        if process.returncode is None:
            await end_child(process)
