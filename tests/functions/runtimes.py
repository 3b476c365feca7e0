"""Runtimes that a runner under test loads: they misbehave in ways that builtin functions do not."""

import asyncio
from pathlib import Path

from porchflow.api.models.functionconfig import FunctionConfig
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.executable import ExecutableRuntime
from porchflow.functions.function_errors import FunctionNotFound, ImageNotFound, RegistryUnavailable
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation


class Slow:
    """Waits until the file named by the list exists; says in another file that it began, and that it was cancelled."""

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        if not image.startswith("slow"):
            raise FunctionNotFound(image)
        folder = Path(resource_list.decode())
        (folder / "began").touch()
        try:
            while not (folder / "go").exists():  # noqa: ASYNC110 - another process makes the file
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            (folder / "cancelled").touch()
            raise
        return Evaluation(b"done", f"{time_limit:.0f}".encode())


class Failing:
    """Fails with more than a status has room for."""

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        if not image.startswith("failing"):
            raise FunctionNotFound(image)
        raise FunctionFailed(image, "broke", "the log\n" * 2000, 7, resource_list)


class Large:
    """Answers with as many bytes as the list says."""

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        return Evaluation(b"x" * int(resource_list))


def executable(path: Path) -> ExecutableRuntime:
    """Runs a program for the image `example.com/fn/f:latest`."""
    configs = FunctionConfigs()
    spec = {"image": "f", "prefixes": ["example.com/fn"], "binaryExecutor": {"tags": ["latest"], "path": path.name}}
    configs.put(("n", "f"), FunctionConfig.model_validate({"metadata": {"name": "f", "namespace": "n"}, "spec": spec}))
    return ExecutableRuntime(path.parent, configs, slots=2, max_output=16 << 20, memory_limit=512 << 20)


class Absent:
    """Looks images up in a registry that cannot be asked, or has none."""

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        if image.startswith("down"):
            raise RegistryUnavailable(image, "registry down.io: connection refused")
        if image.startswith("absent"):
            raise ImageNotFound(image, "registry absent.io has no such image")
        raise FunctionNotFound(image)
