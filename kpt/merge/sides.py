"""The three versions of a package that a merge compares, and errors that name the version at fault."""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from porchflow.kpt.format.files import Files
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.yaml_error import YamlError

OLD_UPSTREAM = "old upstream"
NEW_UPSTREAM = "new upstream"
LOCAL = "local package"


@dataclass(frozen=True)
class Sides:
    """The files of the old upstream, the new upstream and the local package."""

    base: Files
    upstream: Files
    local: Files

    def paths(self) -> list[str]:
        """Return every path of any side, sorted."""
        return list(self._sorted)

    def of(self, path: str) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Return the content of base, upstream and local at a path."""
        return self.base.get(path), self.upstream.get(path), self.local.get(path)

    def below(self, directory: str) -> "Sides":
        """Return the files below a directory, of each side."""
        start = bisect_left(self._sorted, directory + "/")
        end = bisect_left(self._sorted, directory + chr(ord("/") + 1), start)
        return Sides(
            *(
                {path: side[path] for path in self._sorted[start:end] if path in side}
                for side in (self.base, self.upstream, self.local)
            )
        )

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted({*self.base, *self.upstream, *self.local})


@contextmanager
def naming_side(side: str, path: str) -> Iterator[None]:
    """Add the side and the file to errors.

    Raises:
        InvalidPackage: In place of any error about a file.
    """
    try:
        yield
    except InvalidPackage as error:
        raise InvalidPackage(error.path or path, f"in the {side}: {error.reason}", error.hint) from None
    except YamlError as error:
        raise InvalidPackage(path, f"in the {side}: {error}") from None
