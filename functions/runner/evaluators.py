"""Runtimes of functions, and the chain that tries one after another."""

from collections.abc import Sequence
from typing import Protocol

from porchflow.functions.function_errors import FunctionNotFound
from porchflow.kpt.render.evaluation import Evaluation


class FunctionRuntime(Protocol):
    """One way to run functions: built-in, as an executable of the runner, in a pod."""

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function.

        Args:
            image: Full name with a tag or digest.
            resource_list: A serialised ResourceList.
            time_limit: Seconds that the function may run before it is killed, without the wait for its turn.

        Raises:
            FunctionNotFound: This runtime does not know the image; another may.
            FunctionFailed: The function ran and failed.
            FunctionUnavailable: The function cannot run now; the error is transient.
        """
        ...


class Chain:
    """Runtimes in order: the first that knows an image runs it."""

    def __init__(self, runtimes: Sequence[FunctionRuntime], *, hint: str = "") -> None:
        """Create the chain.

        Args:
            runtimes: In order.
            hint: What to say of an image that none of them knows, after their own hints.
        """
        self._runtimes = runtimes
        self._hint = hint

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function in the first runtime that knows its image; see `FunctionRuntime.evaluate`.

        Raises:
            FunctionNotFound: No runtime knows the image.
        """
        hints = []
        for runtime in self._runtimes:
            try:
                return await runtime.evaluate(image, resource_list, time_limit)
            except FunctionNotFound as error:
                hints.append(error.hint)
        raise FunctionNotFound(image, "; ".join(filter(None, [*hints, self._hint])))
