"""Image names of functions in pipelines.

Source: docs/reference/kpt-rendering.md, "Images".
"""

from porchflow.kpt.format.images import parse_image
from porchflow.kpt.format.kptfile import Function
from porchflow.kpt.render.evaluation import TagSource
from porchflow.kpt.render.versions import Constraint, ConstraintError, parse_version

_SHOWN_TAGS = 20
_SHOWN_PROGRAM = 100
"""Characters of an `exec` in a message."""


class UnresolvedImageError(Exception):
    """A function names no image that can run."""


class ImageResolver:
    """Resolves the full image name of a function, with a tag or digest."""

    def __init__(self, default_image_prefix: str, tags: TagSource | None = None) -> None:
        """Create a resolver.

        Args:
            default_image_prefix: Prefix of names without a `/`; a missing `/` at its end is added.
            tags: Lists tags where `tag` is a constraint on versions; with None there are no tags.
        """
        self._prefix = f"{default_image_prefix.rstrip('/')}/" if default_image_prefix else ""
        self._tags = tags

    async def resolve(self, function: Function) -> str:
        """Return the image of a function of a pipeline that passed `check_pipeline`.

        Raises:
            UnresolvedImageError: The function has `exec`, or no tag fulfils its constraint.
            FunctionFailed: The registry has no such image.
            Exception: The tags cannot be listed now; try again later.
        """
        if function.exec:
            raise UnresolvedImageError(
                f"it is a program of one machine (exec: {_shortened(function.exec)}), and such programs are"
                " never run here: name the image of a function in its place"
            )
        image = function.image if "/" in function.image else f"{self._prefix}{function.image}"
        if function.tag:
            base = parse_image(image).base
            return f"{base}:{await self._chosen(base, function.tag)}"
        return image if parse_image(image).version else f"{image}:latest"

    async def _chosen(self, image: str, tag: str) -> str:
        """Return the highest tag that fulfils a constraint; any other text, such as an exact version, is the tag."""
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


def _shortened(program: str) -> str:
    return program if len(program) <= _SHOWN_PROGRAM else f"{program[:_SHOWN_PROGRAM]}…"


def _by_version(tag: str) -> tuple[object, ...]:
    version = parse_version(tag)
    return (True, version.order, tag) if version is not None else (False, (), tag)
