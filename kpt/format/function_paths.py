"""Checks of the places where a function puts resources: no file that it did not get may be lost."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property

from porchflow.kpt.format.files import Files
from porchflow.kpt.format.resources import Resource, SourceFile
from porchflow.yamltext.quoting import shown


class BadOutputError(Exception):
    """A function's answer cannot be part of the package."""


class Places:
    """The files of a package as they were before the rendering."""

    def __init__(self, files: Files, sources: Mapping[str, SourceFile]) -> None:
        """Store the files.

        Args:
            files: All files of the package.
            sources: The files whose resources functions get, by path.
        """
        self._files = files.keys()
        self._sources = sources

    @cached_property
    def _directories(self) -> set[str]:
        return {directory for path in self._files for directory in _above(path)}

    @cached_property
    def _unseen(self) -> set[str]:
        return self._files - self._sources.keys()

    def has_unseen(self, directory: str) -> bool:
        """Return whether a directory, not the root, holds files that functions do not get."""
        return any(path.startswith(f"{directory}/") for path in self._unseen)

    def check(self, resources: Iterable[Resource]) -> None:
        """Refuse resources at places that are taken.

        Raises:
            BadOutputError: Two resources are in one place. Or the path of a resource is a directory or a file that
                functions do not get, lies below a file, or differs from another path by case only.
        """
        check_places(resources)
        paths = {resource.full_path for resource in resources}
        fresh = paths - self._sources.keys()
        if not fresh:
            return
        directories = self._directories | {directory for path in fresh for directory in _above(path)}
        cases: dict[str, set[str]] = defaultdict(set)
        for path in paths | self._unseen:
            cases[path.casefold()].add(path)
        for path in sorted(fresh):
            self._check(path, paths, directories, cases)

    def _check(
        self, path: str, paths: AbstractSet[str], directories: AbstractSet[str], cases: Mapping[str, set[str]]
    ) -> None:
        if path in self._unseen:
            raise _in_the_way(path, "there is a file that functions do not get, and it would be lost")
        if path in directories:
            raise _in_the_way(path, "that is a directory")
        for directory in _above(path):
            if directory in self._files or directory in paths:
                raise _in_the_way(path, f"{shown(directory)} is a file")
        for other in cases[path.casefold()] - {path}:
            raise _in_the_way(path, f"it differs from {shown(other)} by case only, which some file systems ignore")


def check_places(resources: Iterable[Resource]) -> None:
    """Refuse two resources in one place.

    Raises:
        BadOutputError: Two have the same path and index; the error names them.
    """
    seen: set[tuple[str, int]] = set()
    for resource in resources:
        place = (resource.full_path, resource.index)
        if place in seen:
            raise BadOutputError(
                f'resource at path "{shown(resource.path)}" and index "{resource.index_text}" already exists;'
                " give one of them another path or index annotation"
            )
        seen.add(place)


def _in_the_way(path: str, why: str) -> BadOutputError:
    return BadOutputError(f"a resource cannot be put at {shown(path)}: {why}; choose another path annotation")


def _above(path: str) -> list[str]:
    """Return all directories above a path."""
    return [path[:place] for place, character in enumerate(path) if character == "/"]
