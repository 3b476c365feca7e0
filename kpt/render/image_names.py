"""Which image a function of a pipeline runs."""

from porchflow.kpt.format.kptfile import Function
from porchflow.kpt.render.evaluation import TagSource
from porchflow.kpt.render.versions import Constraint, ConstraintError, parse_version

_SHOWN_TAGS = 20


class UnresolvedImageError(Exception):
    """A function names no image that can be run here."""


class ImageResolver:
    """Tells the full image name of a function, with a tag or digest."""

    def __init__(self, default_image_prefix: str, tags: TagSource | None = None) -> None:
        """Take what names are completed with.

        Args:
            default_image_prefix: for short names; a missing `/` at its end is added.
            tags: asked where a `tag` is a constraint on versions; None knows of no tags.
        """
        self._prefix = f"{default_image_prefix.rstrip('/')}/" if default_image_prefix else ""
        self._tags = tags

    async def resolve(self, function: Function) -> str:
        """Return the image of a function of a pipeline that passed `check_pipeline`.

        Raises:
            UnresolvedImageError: an `exec` function, or a constraint that no tag fulfils.
            FunctionFailed: the registry has no such image.
            Exception: the tags cannot be listed now, try again later.
        """
        if function.exec:
            raise UnresolvedImageError("must run with `--allow-exec` option to allow running function binaries")
        image = function.image if "/" in function.image else f"{self._prefix}{function.image}"
        if function.tag:
            image = without_version(image)
            return f"{image}:{await self._chosen(image, function.tag)}"
        return image if has_version(image) else f"{image}:latest"

    async def _chosen(self, image: str, tag: str) -> str:
        """The tag that is meant: an exact version stands for itself, and so does what is no constraint either."""
        if parse_version(tag) is not None:
            return tag
        try:
            constraint = Constraint(tag)
        except ConstraintError:
            return tag
        known = await self._tags.tags(image, constraint) if self._tags is not None else []
        chosen = constraint.highest(known)
        if chosen is None:
            there = ", ".join(sorted(known, key=_by_version)[-_SHOWN_TAGS:]) or "none"
            raise UnresolvedImageError(
                f'no tag could be found matching the version constraint "{tag}"; known tags of {image}: {there}'
            )
        return chosen


def _by_version(tag: str) -> tuple[object, ...]:
    version = parse_version(tag)
    return (True, version.order, tag) if version is not None else (False, (), tag)


def has_version(image: str) -> bool:
    """Whether an image name has a tag or digest."""
    return "@" in image or ":" in image.rpartition("/")[2]


def without_version(image: str) -> str:
    """An image name without tag and digest."""
    image = image.partition("@")[0]
    head, slash, last = image.rpartition("/")
    return head + slash + last.partition(":")[0]
