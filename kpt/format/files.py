"""A package as a map from path to content, and the roles of its files."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname

from porchflow.api.git_directory import is_git_directory
from porchflow.kpt.package_errors import InvalidPackage

Files = Mapping[str, bytes]
"""Content by path, relative to the package root, with `/` between segments."""

KPTFILE = "Kptfile"
KRM_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass
class PackageDir:
    """One package of a tree: the top package or a subpackage.

    Attributes:
        path: Directory relative to the root of the file map; empty for the root itself.
        files: Paths of its own files, without those of its subpackages, relative to the same root.
        children: Direct subpackages, sorted by path.
    """

    path: str
    files: list[str] = field(default_factory=list)
    children: list["PackageDir"] = field(default_factory=list)

    def full(self, path: str) -> str:
        """Return the path from the root of the file map for a path relative to this package."""
        return join(self.path, path)

    @property
    def kptfile(self) -> str:
        """Path of its Kptfile."""
        return self.full(KPTFILE)


def join(directory: str, path: str) -> str:
    """Return a path below a directory; an empty directory is the root."""
    return f"{directory}/{path}" if directory else path


def path_problem(path: str) -> str:
    """Return why a path cannot be a file of a package; empty if it can."""
    if not path:
        return "path must not be empty"
    if path.startswith("/"):
        return "path must be relative"
    segments = set(path.split("/"))
    if ".." in segments:
        return "path must not lead out of the package (`..`)"
    if any(map(is_git_directory, segments)):
        return "path must not lead into a .git directory"
    return (
        "path must not have empty or `.` segments, or a NUL character" if segments & {"", "."} or "\0" in path else ""
    )


_LONGEST_NAME, _LONGEST_PATH = 255, 4000
"""Bytes of a name and of a path that common file systems can store."""


def new_path_problem(path: str) -> str:
    """Return why a function cannot create a file at a path; empty if it can.

    This is stricter than `path_problem`. A package may hold any path that Git holds, but functions must not add paths
    that some file systems cannot store or take for another path.
    """
    if "\\" in path:
        return "path must not have a backslash: put `/` between directories"
    if not path.isprintable():
        return "path must not have control characters"
    if any(re.fullmatch("git~[0-9]", segment, re.IGNORECASE) for segment in path.split("/")):
        return "path must not lead into a .git directory (`git~1` is its short name on Windows)"
    longest = max(len(segment.encode(errors="replace")) for segment in path.split("/"))
    if longest > _LONGEST_NAME or len(path.encode(errors="replace")) > _LONGEST_PATH:
        return f"a name can have {_LONGEST_NAME} bytes, a path {_LONGEST_PATH}: choose a shorter one"
    return path_problem(path)


def check_paths(files: Files) -> None:
    """Refuse a map with a path that cannot be a file of a package.

    Raises:
        InvalidPackage: A path cannot be a file; the error names it.
    """
    for path in files:
        problem = path_problem(path)
        if problem:
            raise InvalidPackage(path, problem)


def is_krm(path: str) -> bool:
    """Return whether kpt reads the file as Kubernetes resources, judged by its base name."""
    name = basename(path)
    return name == KPTFILE or name.endswith(KRM_SUFFIXES)


def decode(path: str, content: bytes) -> str:
    """Return the text of a KRM file.

    Raises:
        InvalidPackage: The content is not UTF-8, or binary.
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        reason = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise _no_text(path, content, error.start, reason) from None
    if "\0" in text:
        raise _no_text(path, content, content.index(b"\0"), "the file is binary: it has a NUL character")
    return text


_UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]")


def _no_text(path: str, content: bytes, at: int, reason: str) -> InvalidPackage:
    if _UTF_16.match(content):
        return InvalidPackage(path, f"line 1: {reason}, but UTF-16", "save the file as UTF-8")
    line = content.count(b"\n", 0, at) + 1
    hint = "save the file as UTF-8, or give a binary file another extension than .yaml, .yml, .json"
    return InvalidPackage(path, f"line {line}: {reason}", hint)


def package_directory(files: Iterable[str]) -> str | None:
    """Return the directory of the top-most Kptfile: the first by name among those of equal depth.

    Returns:
        The directory, empty for the root; None without a Kptfile.
    """
    kptfiles = [path for path in files if basename(path) == KPTFILE and ".git" not in path.split("/")]
    if not kptfiles:
        return None
    return dirname(min(kptfiles, key=lambda path: (path.count("/"), path)))


def package_tree(files: Iterable[str]) -> PackageDir | None:
    """Return the packages in a file map, each with its own files; files outside of the top package are left out.

    Returns:
        The top package; None without a Kptfile.
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
    """Return the nearest package at or above a directory."""
    while directory not in packages:
        directory = dirname(directory)
    return directory
