"""A package in a local folder: read without following links, and written as a whole or not at all."""

import contextlib
import errno
import os
import signal
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from porchflow.gitrepo.store.trees import File, Files, Mode

_GIT = ".git"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PERMISSIONS = 0o777


class FolderError(Exception):
    """The folder cannot be read or written; the message says where and why."""


class Folder(NamedTuple):
    """A folder and its files.

    Attributes:
        root: The folder.
        files: Its files by path; symbolic links are kept as such.
    """

    root: Path
    files: Files

    @property
    def texts(self) -> dict[str, bytes]:
        """Content of the regular files, by path."""
        return {path: file.data for path, file in self.files.items() if file.mode is not Mode.SYMLINK}

    def with_texts(self, texts: Mapping[str, bytes]) -> Files:
        """Return the files with other contents; links and modes stay.

        Args:
            texts: Contents of all regular files, by path.
        """
        links = {path: file for path, file in self.files.items() if file.mode is Mode.SYMLINK}
        changed = {path: File(data, self._mode(path)) for path, data in texts.items()}
        return {**links, **changed}

    def _mode(self, path: str) -> Mode:
        return self.files[path].mode if path in self.files else Mode.REGULAR


def read_folder(root: Path) -> Folder:
    """Read a package; `.git` is left out.

    Raises:
        FolderError: There is no folder or no Kptfile in it, or a file cannot be read or has a name that is no UTF-8.
    """
    if not root.is_dir():
        raise FolderError(f"{root} is no folder: give the folder of a package, the one with its Kptfile")
    if not (root / "Kptfile").is_file():
        raise FolderError(f"{root} is no package: there is no Kptfile in it; `kpt pkg init` makes one")
    return Folder(root, {_name(path, root): _read(path) for path in _paths(root)})


def _paths(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=_refuse):
        here = Path(folder)
        found += [here / name for name in folders if (here / name).is_symlink()]
        found += [here / name for name in names if name != _GIT]
        folders[:] = sorted(name for name in folders if name != _GIT)
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise FolderError(f"cannot read {error.filename}: {error.strerror}")


def _name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise FolderError(f"the name of {os.fsencode(path)!r} is not UTF-8: rename the file") from None
    return name


def _read(path: Path) -> File:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return File(os.fsencode(path.readlink()), Mode.SYMLINK)
        if not stat.S_ISREG(mode):
            raise FolderError(f"{path} is neither file nor folder nor link: a package cannot hold it")
        return File(path.read_bytes(), Mode.EXECUTABLE if mode & stat.S_IXUSR else Mode.REGULAR)
    except OSError as error:
        raise FolderError(f"cannot read {path}: {error.strerror}") from None


def write_folder(folder: Folder, files: Files) -> None:
    """Write changed files and remove those that are gone.

    All contents are written to temporary files first, so that an error leaves the folder as it was. Then the files are
    replaced, and signals are held back until all of them are.

    Args:
        folder: The folder as it was read.
        files: Its files as they shall be, by path.

    Raises:
        FolderError: A file cannot be written or removed, or changed after it was read.
    """
    changed = [path for path, file in files.items() if folder.files.get(path) != file]
    gone = sorted(folder.files.keys() - files.keys())
    for path in changed:
        _check_links(folder.root, path)
    for path in [*changed, *gone]:
        _check_as_read(folder, path)
    for path in gone:
        _check_removable(folder.root / path)
    with _Staged() as staged:
        for path in changed:
            staged.add(folder.root / path, files[path])
        with _uninterrupted():
            staged.put()
            for path in gone:
                _remove(folder.root, path)


def _check_links(root: Path, path: str) -> None:
    """Refuse to write through a link: a function may name any path in the package, and a link may lead out of it.

    Raises:
        FolderError: The path, or a folder on the way to it, is a link.
    """
    for place in [root / path, *(root / parent for parent in Path(path).parents)][:-1]:
        if place.is_symlink():
            raise FolderError(f"a function wrote {path}, but {place} is a link, and links are not followed")


def _check_as_read(folder: Folder, path: str) -> None:
    place, old = folder.root / path, folder.files.get(path)
    try:
        same = not place.exists() if old is None else _read(place) == old
    except FolderError:
        same = False
    if not same:
        raise FolderError(f"{place} was changed while the package was rendered: nothing was written, render again")


def _check_removable(path: Path) -> None:
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise FolderError(f"cannot remove {path}: {os.strerror(errno.EACCES)}")


class _Staged:
    """New contents in temporary files, each in the folder of the file that it will replace."""

    def __init__(self) -> None:
        self._files: list[tuple[Path, Path]] = []
        self._folders: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove temporary files, and new folders that are still empty."""
        for new, _target in self._files:
            new.unlink(missing_ok=True)
        for folder in reversed(self._folders):
            with contextlib.suppress(OSError):
                # The folder holds files now, and stays.
                folder.rmdir()

    def add(self, path: Path, file: File) -> None:
        try:
            self._make(path.parent)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".porchflow-")
            self._files.append((Path(name), path))
            with os.fdopen(descriptor, "wb") as new:
                new.write(file.data)
                mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else file.mode & _PERMISSIONS
                os.fchmod(descriptor, mode)
        except OSError as error:
            raise _unwritable(path, error) from None

    def _make(self, folder: Path) -> None:
        missing = [parent for parent in [folder, *folder.parents] if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            self._folders.append(parent)

    def put(self) -> None:
        """Replace the files."""
        for new, path in self._files:
            try:
                new.replace(path)
            except OSError as error:
                raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> FolderError:
    return FolderError(f"cannot write {path}: {error.strerror}")


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back signals that end the process until the context ends.

    By handlers, because a signal mask is of one thread, and another thread would receive the signal.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda each, _: came.append(each)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for got in came:
            signal.raise_signal(got)


def _remove(root: Path, path: str) -> None:
    target = root / path
    try:
        target.unlink()
        for parent in target.relative_to(root).parents:
            if parent != Path() and not any((root / parent).iterdir()):
                (root / parent).rmdir()
    except OSError as error:
        raise FolderError(f"cannot remove {target}: {error.strerror}") from None
