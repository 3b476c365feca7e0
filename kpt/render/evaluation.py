from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from porchflow.kpt.render.versions import Constraint


@dataclass(frozen=True)
class Evaluation:
    """The answer of a function that succeeded.

    Attributes:
        resource_list: A serialised ResourceList with the new items and the results.
        log: Its standard error.
    """

    resource_list: bytes
    log: bytes = b""


class TagSource(Protocol):
    """Lists the tags of images."""

    async def tags(self, image: str, wanted: Constraint) -> Sequence[str]:
        """List the tags of an image.

        Tags that are known without a request suffice if one of them is wanted; otherwise all are listed.

        Args:
            image: Full name without tag and digest.
            wanted: The constraint on the tag.

        Raises:
            Exception: They cannot be listed now; the caller of the rendering tries again.
        """
        ...


class Evaluator(Protocol):
    """Runs KRM functions by image name."""

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        """Run one function.

        Args:
            image: Full name with a tag or digest.
            resource_list: A serialised ResourceList with items, and with a functionConfig if there is one.

        Raises:
            FunctionFailed: The function ran and failed; the failure is the outcome of the rendering.
            Exception: The function cannot run now (no connection, deadline); the caller of the rendering tries again.
        """
        ...
