"""Which tags the images of functions have: the builtin functions' first, then those in their registries."""

from collections.abc import Sequence

from porchflow.functions.builtin.catalog import of_catalog
from porchflow.functions.images import parse_image
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.kpt.render.versions import Constraint


class FunctionTags:
    """Lists tags; see `porchflow.kpt.render.evaluation.TagSource`."""

    def __init__(self, default_image_prefix: str, registries: RegistryLookup | None) -> None:
        """Take what there is to ask.

        Args:
            default_image_prefix: a registry besides the catalog's own whose images the builtins stand for.
            registries: None where only builtin functions run.
        """
        self._prefix = default_image_prefix
        self._registries = registries

    async def tags(self, image: str, wanted: Constraint) -> Sequence[str]:
        """List tags of an image: the builtin's where one of them is wanted, else those of the registry too.

        Raises:
            RegistryUnavailable: the registry cannot be asked now.
            ImageNotFound: it has no such image, or does not show it.
        """
        builtin = of_catalog(parse_image(image), [self._prefix])
        known = builtin.versions if builtin is not None else ()
        if self._registries is None or wanted.highest(known) is not None:
            return known
        return [*known, *await self._registries.tags(image, wanted)]
