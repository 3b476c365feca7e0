from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from porchflow.kpt.render.versions import Constraint


@dataclass(frozen=True)
class Evaluation:
    """What a function that succeeded gave back.

    Attributes:
        resource_list: a serialised ResourceList: the new items, and results.
        log: what it wrote to its standard error.
    """

    resource_list: bytes
    log: bytes = b""


class TagSource(Protocol):
    """Knows which tags an image has."""

    async def tags(self, image: str, wanted: Constraint) -> Sequence[str]:
        """List tags of an image: those that are known without asking far when one of them is wanted, else all.

        Args:
            image: full name without tag and digest.
            wanted: what the tags are looked through for.

        Raises:
            Exception: they cannot be listed now: the caller of the rendering tries again.
        """
        ...


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
