"""The evaluator of a local rendering: the function runner, or built-in functions."""

import contextlib
import os
from collections.abc import AsyncIterator

from porchflow.cli.processes.functions.runner_client import open_runner_client
from porchflow.cli.settings import Settings
from porchflow.functions.builtin.pool import BuiltinRuntime, WorkerPool
from porchflow.functions.function_errors import IMAGES_RUN, FunctionNotFound
from porchflow.kpt.render.evaluation import Evaluation, Evaluator

_MOST_PROCESSES = 4


class _Builtins:
    """Built-in functions in processes of their own, so that a function that does not end can be killed."""

    def __init__(self, runtime: BuiltinRuntime, time_limit: float) -> None:
        self._runtime = runtime
        self._time_limit = time_limit

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        try:
            return await self._runtime.evaluate(image, resource_list, self._time_limit)
        except FunctionNotFound as error:
            hint = "without a function runner only built-in functions run: set --function-runner-address"
            raise FunctionNotFound(image, "; ".join(filter(None, (error.hint, hint, IMAGES_RUN)))) from None


@contextlib.asynccontextmanager
async def open_evaluator(settings: Settings) -> AsyncIterator[Evaluator]:
    """Yield an evaluator: the function runner of the settings, or built-in functions without one.

    Raises:
        SettingsError: A certificate cannot be used.
    """
    if settings.runner_client.address:
        async with open_runner_client(settings.runner_client, settings.calls) as evaluator:
            yield evaluator
        return
    async with WorkerPool(min(_MOST_PROCESSES, os.cpu_count() or 1)) as pool:
        runtime = BuiltinRuntime(
            pool, settings.calls.image_prefixes, most_seconds=settings.calls.builtin_function_timeout
        )
        yield _Builtins(runtime, settings.calls.function_timeout)
