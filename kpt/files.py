"""A package as a map from path to content, and which of its files mean what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname

from kpt.errors import InvalidPackage

Files = Mapping[str, bytes]
"""Content by path, relative to the package root, with `/` between segments."""

KPTFILE = "Kptfile"
KRM_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass
class PackageDir:
    """One package of a tree: the top one or a subpackage.

    Attributes:
        path: directory relative to the root of the file map; empty for that root.
        files: paths of its own files, without those of its subpackages, relative to the same root.
        children: direct subpackages, sorted by path.
    """

    path: str
    files: list[str] = field(default_factory=list)
    children: list["PackageDir"] = field(default_factory=list)

    def full(self, path: str) -> str:
        """A path relative to this package, relative to the root of the file map."""
        return join(self.path, path)

    @property
    def kptfile(self) -> str:
        """Path of its Kptfile."""
        return self.full(KPTFILE)


def join(directory: str, path: str) -> str:
    """Path below a directory, which may be the root (empty)."""
    return f"{directory}/{path}" if directory else path


def path_problem(path: str) -> str:
    """What makes a path unfit to be one of a package's files; empty if nothing does."""
    if not path:
        return "path must not be empty"
    if path.startswith("/"):
        return "path must be relative"
    segments = set(path.split("/"))
    if ".." in segments:
        return "path must not lead out of the package (`..`)"
    if ".git" in segments:
        return "path must not lead into a .git directory"
    return (
        "path must not have empty or `.` segments, or a NUL character" if segments & {"", "."} or "\0" in path else ""
    )


def check_paths(files: Files) -> None:
    """Refuse a map with a path that cannot be a file of a package.

    Raises:
        InvalidPackage: naming the path.
    """
    for path in files:
        problem = path_problem(path)
        if problem:
            raise InvalidPackage(path, problem)


def is_krm(path: str) -> bool:
    """Whether kpt reads the file as Kubernetes resources, judged by its base name."""
    name = basename(path)
    return name == KPTFILE or name.endswith(KRM_SUFFIXES)


def decode(path: str, content: bytes) -> str:
    """The text of a KRM file.

    Raises:
        InvalidPackage: not UTF-8, or binary.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8"
        raise InvalidPackage(path, reason, "save the file as UTF-8, or give a binary file another extension") from None
    if "\0" in text:
        raise InvalidPackage(path, "the file is binary", "give a binary file another extension than .yaml, .yml, .json")
    return text


def package_directory(files: Iterable[str]) -> str | None:
    """Directory of the top-most Kptfile, empty for the root; None if there is none. Among equals the first by name."""
    kptfiles = [path for path in files if basename(path) == KPTFILE and ".git" not in path.split("/")]
    if not kptfiles:
        return None
    return dirname(min(kptfiles, key=lambda path: (path.count("/"), path)))


def package_tree(files: Iterable[str]) -> PackageDir | None:
    """The packages in a file map, each with its own files; files outside of the top package are left out.

    Returns:
        The top package, or None if there is no Kptfile.
    """
    paths = sorted(files)
    top = package_directory(paths)
    if top is None:
        return None
    directories = {top: PackageDir(top)}
    inside = [path for path in paths if (not top or path.startswith(top + "/")) and ".git" not in path.split("/")]
    for path in inside:
        if basename(path) == KPTFILE and dirname(path) != top:
            directories[dirname(path)] = PackageDir(dirname(path))
    for path in inside:
        directories[_owner(dirname(path), directories)].files.append(path)
    for directory in sorted(directories):
        if directory != top:
            directories[_owner(dirname(directory), directories)].children.append(directories[directory])
    return directories[top]


def _owner(directory: str, packages: Mapping[str, PackageDir]) -> str:
    """The nearest package at or above a directory."""
    while directory not in packages:
        directory = dirname(directory)
    return directory
