"""Tags of function images: those of built-in functions first, then those in registries."""

from collections.abc import Sequence

from porchflow.functions.builtin.catalog import versions_of
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.private import PrivateImages
from porchflow.kpt.format.images import parse_image
from porchflow.kpt.render.versions import Constraint


class FunctionTags:
    """Lists tags; see `porchflow.kpt.render.evaluation.TagSource`."""

    def __init__(
        self, default_image_prefix: str, registries: RegistryLookup | None, private: PrivateImages | None = None
    ) -> None:
        """Create a source of tags.

        Args:
            default_image_prefix: A registry besides the catalog's own whose images the built-in functions stand for.
            registries: Lists the tags in registries; None where only built-in functions run.
            private: Images whose tags are listed on behalf of some namespaces only; None for none.
        """
        self._prefix = default_image_prefix
        self._registries = registries
        self._private = private or PrivateImages()

    async def tags(self, image: str, wanted: Constraint) -> Sequence[str]:
        """List tags of an image: the built-in function's if one of them is wanted, else the registry's too.

        Raises:
            RegistryUnavailable: The registry, or the Secret with the namespace's own credentials, cannot be read now.
            ImageNotFound: The registry has no such image, or does not show it; or it is for other namespaces.
        """
        known = versions_of(parse_image(image), [self._prefix])
        if self._registries is None or wanted.highest(known) is not None:
            return known
        self._private.check(image)
        owner = await self._registries.owner(image)
        return [*known, *await self._registries.tags(image, wanted, owner)]
