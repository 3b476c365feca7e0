"""Parsing of image names of functions."""

from typing import NamedTuple


class ImageName(NamedTuple):
    """An image name.

    Attributes:
        repository: Registry and folders; empty for a name without a slash.
        name: The part after the last slash, without tag and digest.
        tag: Empty for a name without one.
        digest: Empty for a name without one; it goes before the tag.
    """

    repository: str
    name: str
    tag: str
    digest: str

    def is_below(self, prefix: str) -> bool:
        """Return whether the image lies in a registry or folder; only whole names of folders match."""
        return f"{self.repository}/".startswith(f"{prefix.rstrip('/')}/")


def parse_image(image: str) -> ImageName:
    """Parse an image name; any text is accepted."""
    reference, _, digest = image.partition("@")
    repository, _, rest = reference.rpartition("/")
    name, _, tag = rest.partition(":")
    return ImageName(repository, name, tag, digest)
