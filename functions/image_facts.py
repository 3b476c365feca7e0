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

    async def owner(self, image: str) -> str:
        """Return the namespace on whose behalf the context calls, if its own credentials count for an image.

        Returns:
            Empty if those of the installation count.

        Raises:
            ImageNotFound: The image may not be used.
            RegistryUnavailable: The credentials of the namespace cannot be read now.
        """
        ...

    async def pull_configuration(self, image: str, owner: str) -> str:
        """Return a Docker configuration with an owner's credentials for an image; empty if the owner has none.

        Raises:
            RegistryUnavailable: The credentials of the namespace cannot be read now.
        """
        ...

    async def describe(self, image: str, owner: str = "") -> ImageInfo:
        """Return the digest and the command of an image.

        Args:
            image: Full name with a tag or digest.
            owner: The namespace with whose credentials the registry is asked; empty for those of the installation.

        Raises:
            ImageNotFound: There is no such image, it may not be read, or it has no command; the error is final.
            RegistryUnavailable: The registry cannot be read now; the error is transient.
        """
        ...
