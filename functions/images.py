"""Names of function images, taken apart."""

from typing import NamedTuple


class ImageName(NamedTuple):
    """An image name.

    Attributes:
        repository: registry and folders; empty if there are none.
        name: what follows the last slash, without tag and digest.
        tag: empty if there is none.
        digest: empty if there is none; it names exact content, whatever the tag.
    """

    repository: str
    name: str
    tag: str
    digest: str

    def is_below(self, prefix: str) -> bool:
        """Whether the image lies in a registry or folder; a name is never matched in part."""
        return f"{self.repository}/".startswith(f"{prefix.rstrip('/')}/")


def parse_image(image: str) -> ImageName:
    """Take an image name apart; any text is one."""
    reference, _, digest = image.partition("@")
    repository, _, rest = reference.rpartition("/")
    name, _, tag = rest.partition(":")
    return ImageName(repository, name, tag, digest)
