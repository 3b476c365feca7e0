import asyncio

from functions.builtin.pool import evaluation_of
from functions.builtin.registry import find
from functions.builtin.sdk import execute
from functions.errors import FunctionNotFound
from kpt.evaluation import Evaluation


class LocalEvaluator:
    """Runs builtin functions in this process, for a worker without a function runner."""

    def __init__(self, default_image_prefix: str = "") -> None:
        """Prepare.

        Args:
            default_image_prefix: a registry besides the catalog's own whose images the builtins stand for.
        """
        self._prefixes = (default_image_prefix,) if default_image_prefix else ()

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        """Run one function in a thread; see `kpt.evaluation.Evaluator`.

        Raises:
            FunctionNotFound: the image is no builtin.
            FunctionFailed: the function failed.
        """
        builtin = find(image, self._prefixes)
        if builtin is None:
            raise FunctionNotFound(image, "only builtin functions run because FUNCTION_RUNNER_ADDRESS is not set")
        reply = await asyncio.to_thread(execute, builtin.run, resource_list)
        return evaluation_of(image, reply)
