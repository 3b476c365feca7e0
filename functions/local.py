import asyncio

from porchflow.api.limits import BUILTIN_SECONDS, INLINE_BYTES
from porchflow.functions.builtin.catalog import absence, find
from porchflow.functions.builtin.pool import BuiltinRuntime, WorkerPool, evaluation_of
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.functions.function_errors import IMAGES_RUN, FunctionNotFound
from porchflow.kpt.render.evaluation import Evaluation

_PROGRAMS = frozenset({"starlark"})
"""Functions that run a user's program, which may never end or may crash the interpreter."""

_PROCESSES = 2


class LocalEvaluator:
    """Runs built-in functions for a worker without a function runner; close it after use.

    Large calls and users' programs run in processes of their own, all others in threads.
    """

    def __init__(self, default_image_prefix: str = "", *, time_limit: float = BUILTIN_SECONDS) -> None:
        """Create an evaluator; processes start when a call needs one.

        Args:
            default_image_prefix: A registry besides the catalog's own whose images the built-in functions stand for.
            time_limit: Seconds after which a function in a process is killed.
        """
        self._prefixes = (default_image_prefix,) if default_image_prefix else ()
        self._time_limit = time_limit
        self._pool = WorkerPool(_PROCESSES)
        self._apart = BuiltinRuntime(self._pool, self._prefixes, most_seconds=time_limit)

    async def aclose(self) -> None:
        """End the processes."""
        await self._pool.aclose()

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        """Run one function; see `porchflow.kpt.render.evaluation.Evaluator`.

        Raises:
            FunctionNotFound: No built-in function stands for the image.
            FunctionFailed: The function failed.
        """
        builtin = find(image, self._prefixes)
        if builtin is None:
            hint = "only built-in functions run because FUNCTION_RUNNER_ADDRESS is not set"
            raise FunctionNotFound(image, "; ".join(filter(None, (absence(image, self._prefixes), hint, IMAGES_RUN))))
        if builtin.name in _PROGRAMS or len(resource_list) > INLINE_BYTES:
            return await self._apart.evaluate(image, resource_list, self._time_limit)
        reply = await asyncio.to_thread(execute, builtin.run, resource_list)
        return evaluation_of(image, reply)
