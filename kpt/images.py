"""Which image a function of a pipeline runs."""

import re

from kpt.kptfile import Function

_SEMVER = re.compile(r"v?\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?")
_CONSTRAINT = re.compile(r"[<>=~^!*|, ]|\d+\.[xX]|(?:^|\.)[xX](?:$|\.)")


class UnresolvedImageError(Exception):
    """A function names no image that can be run here."""


def resolve_image(function: Function, default_image_prefix: str) -> str:
    """The full image name of a function, with a tag or digest.

    Args:
        function: of a pipeline that passed `check_pipeline`.
        default_image_prefix: for short names; a missing `/` at its end is added.

    Raises:
        UnresolvedImageError: an `exec` function, or a version constraint, which only a registry could resolve.
    """
    if function.exec:
        raise UnresolvedImageError("must run with `--allow-exec` option to allow running function binaries")
    image = function.image
    if "/" not in image:
        image = f"{default_image_prefix.rstrip('/')}/{image}" if default_image_prefix else image
    if function.tag:
        return f"{without_version(image)}:{_literal_tag(function.tag)}"
    return image if has_version(image) else f"{image}:latest"


def _literal_tag(tag: str) -> str:
    if not _SEMVER.fullmatch(tag) and _CONSTRAINT.search(tag):
        raise UnresolvedImageError(
            f'no tag could be found matching the version constraint "{tag}": registries are not asked here, '
            "give an exact version"
        )
    return tag


def has_version(image: str) -> bool:
    """Whether an image name has a tag or digest."""
    return "@" in image or ":" in image.rpartition("/")[2]


def without_version(image: str) -> str:
    """An image name without tag and digest."""
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return head + slash + last.partition(":")[0]
