"""Ways to run a function, tried one after another."""

from collections.abc import Sequence
from typing import Protocol

from porchflow.functions.function_errors import FunctionNotFound
from porchflow.kpt.render.evaluation import Evaluation


class FunctionRuntime(Protocol):
    """One way to run functions: builtin, as a local executable, in a pod."""

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function.

        Args:
            image: full name with a tag or digest.
            resource_list: serialised ResourceList.
            time_limit: seconds that it may run before it is killed; waiting for its turn is not counted.

        Raises:
            FunctionNotFound: this runtime does not know the image; another may.
            FunctionFailed: the function ran and failed.
            FunctionUnavailable: it could not be run now; worth another try.
        """
        ...


class Chain:
    """Runtimes in order: the first that knows an image runs it."""

    def __init__(self, runtimes: Sequence[FunctionRuntime]) -> None:
        self._runtimes = runtimes

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `FunctionRuntime.evaluate`. FunctionNotFound if no runtime knows the image."""
        hints = []
        for runtime in self._runtimes:
            try:
                return await runtime.evaluate(image, resource_list, time_limit)
            except FunctionNotFound as error:
                hints.append(error.hint)
        raise FunctionNotFound(image, "; ".join(filter(None, hints)))
