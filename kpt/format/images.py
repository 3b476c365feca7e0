"""Image names, taken apart: any text is accepted."""

from typing import NamedTuple


class ImageName(NamedTuple):
    """An image name; `base` and `version` together are its text.

    Attributes:
        base: The name without tag and digest.
        version: The text after the base, such as `:v1`, `@sha256:…`, or both; empty for a name without tag and digest.
    """

    base: str
    version: str

    @property
    def repository(self) -> str:
        """Registry and folders; empty for a name without a slash."""
        return self.base.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The part of the base after the last slash."""
        return self.base.rpartition("/")[2]

    @property
    def tag(self) -> str:
        """Tag; empty for a name without one."""
        return self.version.partition("@")[0].removeprefix(":")

    @property
    def digest(self) -> str:
        """Digest; empty for a name without one. It goes before the tag."""
        return self.version.partition("@")[2]

    def is_below(self, prefix: str) -> bool:
        """Return whether the image lies in a registry or folder; only whole names of folders match."""
        return f"{self.repository}/".startswith(f"{prefix.rstrip('/')}/")


def parse_image(image: str) -> ImageName:
    """Parse an image name. A colon before the last slash is that of a registry's port."""
    reference = image.partition("@")[0]
    folder, slash, last = reference.rpartition("/")
    base = folder + slash + last.partition(":")[0]
    return ImageName(base, image[len(base) :])
