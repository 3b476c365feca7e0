"""Facts of an image that a pod of it is made from."""

from typing import NamedTuple, Protocol


class ImageInfo(NamedTuple):
    """A registry's description of an image.

    Attributes:
        digest: `sha256:…` of the manifest or index that the name stands for.
        command: Entrypoint and arguments of the image; never empty.
    """

    digest: str
    command: tuple[str, ...]


class ImageLookup(Protocol):
    """Reads descriptions of images from registries."""

    async def describe(self, image: str) -> ImageInfo:
        """Return the digest and the command of an image.

        Args:
            image: Full name with a tag or digest.

        Raises:
            ImageNotFound: There is no such image, it may not be read, or it has no command; the error is final.
            RegistryUnavailable: The registry cannot be read now; the error is transient.
        """
        ...
