from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Evaluation:
    """What a function that succeeded gave back.

    Attributes:
        resource_list: a serialised ResourceList: the new items, and results.
        log: what it wrote to its standard error.
    """

    resource_list: bytes
    log: bytes = b""


class Evaluator(Protocol):
    """Runs KRM functions by image name."""

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        """Run one function.

        Args:
            image: full name with a tag or digest.
            resource_list: serialised ResourceList with items and perhaps a functionConfig.

        Raises:
            FunctionFailed: the function ran and failed; data for the outcome.
            Exception: it could not be run (no connection, deadline): the caller of the rendering tries again.
        """
        ...
