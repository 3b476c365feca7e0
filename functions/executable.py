"""Functions that are executables in a folder of the function runner.

Source: docs/reference/porch-function-runner.md, "Executables".
"""

import asyncio
import contextlib
import os
import resource
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from porchflow.api.limits import LOG_BYTES
from porchflow.api.models.functionconfig import BinaryExecutor, FunctionConfigSpec
from porchflow.functions.builtin.pool import DEFAULT_MEMORY_LIMIT
from porchflow.functions.children import end_child
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound
from porchflow.functions.slots import FairSlots
from porchflow.kpt.format.images import ImageName, parse_image
from porchflow.kpt.format.resource_list import split_list
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation
from porchflow.yamltext.yaml_error import YamlError

_CHUNK = 64 * 1024


class ExecutableRuntime:
    """Runs the executables that FunctionConfigs name, each in a process group that ends with its call.

    An executable reads the ResourceList from standard input and works in an empty temporary folder. Of the runner's
    environment it sees only PATH. Executables outside the folder never run, whatever a FunctionConfig says.
    """

    def __init__(
        self,
        folder: Path,
        configs: FunctionConfigs,
        *,
        slots: int,
        max_output: int,
        memory_limit: int = DEFAULT_MEMORY_LIMIT,
    ) -> None:
        """Create a runtime over a folder.

        Args:
            folder: The folder of the executables.
            configs: FunctionConfigs, which name the executable of an image.
            slots: Executables at a time of one tenant; one more slot is free for other tenants.
            max_output: Bytes of an answer; a function that writes more is killed.
            memory_limit: Bytes of address space of one executable; 0 for none.
        """
        self._folder = folder.resolve()
        self._configs = configs
        self._slots = FairSlots(slots)
        self._max_output = max_output
        self._memory_limit = memory_limit

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `porchflow.functions.runner.evaluators.FunctionRuntime`."""
        path = self._find(image)
        try:
            async with self._slots.taken(), asyncio.timeout(time_limit):
                with tempfile.TemporaryDirectory(prefix="function-") as folder:
                    return await self._run(image, path, resource_list, folder)
        except TimeoutError:
            raise FunctionFailed(image, f"function {image!r} was killed after {time_limit:g} s") from None

    def problem(self, path: str) -> str:
        """Return why an executable that a FunctionConfig names cannot run; empty if it can."""
        target = (self._folder / path).resolve()
        if not target.is_relative_to(self._folder):
            return f"the executable {path!r} is outside of the runner's folder of functions: put it there"
        if not target.is_file():
            return f"there is no executable {path!r} in the runner's folder of functions"
        return "" if os.access(target, os.X_OK) else f"the file {path!r} is not executable: set its mode"

    def _find(self, image: str) -> Path:
        executable = configured_executable(parse_image(image), self._configs)
        if executable is None:
            raise FunctionNotFound(image)
        problem = self.problem(executable.path)
        if problem:
            raise FunctionNotFound(image, problem)
        return (self._folder / executable.path).resolve()

    async def _run(self, image: str, path: Path, resource_list: bytes, folder: str) -> Evaluation:
        try:
            process = await asyncio.create_subprocess_exec(
                path,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "TMPDIR": folder},
                start_new_session=True,
            )
        except OSError as error:
            raise FunctionFailed(
                image, f"Failed to execute function {image!r}: {path.name}: {error.strerror}", ran=False
            ) from None
        try:
            self._limit(process)
            output, log = await self._communicate(process, resource_list)
        finally:
            await _end(process)
        if len(output) > self._max_output:
            raise FunctionFailed(
                image, f"function {image!r} was killed: its answer is larger than {self._max_output} bytes"
            )
        return _evaluation(image, process.returncode or 0, output, log)

    def _limit(self, process: Process) -> None:
        if not self._memory_limit:
            return
        try:
            resource.prlimit(process.pid, resource.RLIMIT_AS, (self._memory_limit, self._memory_limit))
        except ProcessLookupError:
            # The process has ended already.
            return

    async def _communicate(self, process: Process, resource_list: bytes) -> tuple[bytes, bytes]:
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise ChildProcessError("the process has no pipes")
        async with asyncio.TaskGroup() as group:
            group.create_task(_write(process.stdin, resource_list))
            output = group.create_task(self._read_answer(process, process.stdout))
            log = group.create_task(_read_log(process.stderr))
            group.create_task(process.wait())
        return output.result(), log.result()

    async def _read_answer(self, process: Process, stream: asyncio.StreamReader) -> bytes:
        """Read to the end of the output; kill a process that writes too much.

        Returns:
            The output, or more bytes than the limit, which tells the caller of the excess.
        """
        answer = bytearray()
        while chunk := await stream.read(_CHUNK):
            answer += chunk
            if len(answer) > self._max_output:
                _kill(process)
                break
        return bytes(answer)


def configured_executable(name: ImageName, configs: FunctionConfigs) -> BinaryExecutor | None:
    """Return the `binaryExecutor` of an image's FunctionConfig; None if no executable stands for the image."""

    def tags_of(spec: FunctionConfigSpec) -> list[str] | None:
        return spec.binary_executor.tags if spec.binary_executor is not None else None

    chosen = None if name.digest else configs.chosen(name, tags_of)
    return chosen.binary_executor if chosen is not None else None


async def _write(stream: asyncio.StreamWriter, data: bytes) -> None:
    try:
        stream.write(data)
        await stream.drain()
        stream.close()
        await stream.wait_closed()
    except ConnectionError:
        # A function may close its input unread.
        return


async def _read_log(stream: asyncio.StreamReader) -> bytes:
    log = bytearray()
    while chunk := await stream.read(_CHUNK):
        log += chunk[: LOG_BYTES - len(log)]
    return bytes(log)


async def _end(process: Process) -> None:
    """Kill a process with all processes of its group, and wait for it."""
    _kill(process)
    await end_child(process)


def _kill(process: Process) -> None:
    # The group is usually empty by then.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _evaluation(image: str, exit_code: int, output: bytes, log: bytes) -> Evaluation:
    stderr = log.decode(errors="replace").strip()
    if exit_code:
        what = f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"
        message = f"Failed to execute function {image!r}: {what}" + (f" ({stderr})" if stderr else "")
        raise FunctionFailed(image, message, stderr, exit_code, None if _problem(output) else output)
    problem = _problem(output)
    if problem:
        raise FunctionFailed(image, f"failed to parse the output of function {image!r}: {problem}", stderr)
    return Evaluation(output, log)


def _problem(output: bytes) -> str:
    """Return why an answer is no ResourceList; empty if it is one."""
    try:
        split_list(output)
    except YamlError as error:
        return str(error)
    return ""
