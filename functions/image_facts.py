"""What the pod evaluator needs to know of an image before it can start a pod of it."""

from typing import NamedTuple, Protocol


class ImageInfo(NamedTuple):
    """What a registry says of an image.

    Attributes:
        digest: `sha256:…` of what the name stands for now.
        command: entrypoint and arguments of its containers; never empty.
    """

    digest: str
    command: tuple[str, ...]


class ImageLookup(Protocol):
    """Asks registries for images."""

    async def describe(self, image: str) -> ImageInfo:
        """Look an image up.

        Args:
            image: full name with a tag or digest.

        Raises:
            ImageNotFound: there is no such image, it may not be read, or it has no command; final.
            RegistryUnavailable: the registry cannot be asked now; worth another try.
        """
        ...
