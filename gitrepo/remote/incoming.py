"""Packs of servers, unpacked by a child process with limits, in a folder of their own until they are whole."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from porchflow.api.limits import GIT_PACK_BYTES, GIT_UNPACK_BYTES, GIT_UNPACK_SECONDS, GIT_UNPACKS, MIB
from porchflow.gitrepo.errors import GitQuotaExceeded, GitUnavailable
from porchflow.gitrepo.remote.call import Call
from porchflow.gitrepo.remote.protocol.server_words import clean

QUARANTINE: Final = "incoming-"
"""Begin of the names of folders in a repository that hold packs on their way; outdated ones may be deleted."""

# Faults of old histories that harm nobody; servers of forges take them too.
_TOLERATED = (
    "badEmail", "badTimezone", "emptyName", "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail", "zeroPaddedDate", "zeroPaddedFilemode", "nullSha1", "hasDotgit", "hasDotdot", "hasDot",
    "fullPathname", "emptyName", "gitmodulesName", "gitmodulesUrl", "gitmodulesPath", "gitmodulesUpdate",
    "gitmodulesSymlink", "gitmodulesBlob", "gitmodulesParse", "gitmodulesLarge", "gitmodulesMissing", "badDate",
    "badFilemode", "badTagName", "missingTaggerEntry",
)  # fmt: skip
_STRICT = "--strict=" + ",".join(f"{fault}=ignore" for fault in dict.fromkeys(_TOLERATED))
_WINDOWS = ("core.packedGitWindowSize=32m", "core.packedGitLimit=128m")
"""Parts of packs in memory; by default a gigabyte of a pack that the objects build on."""
_WARNINGS_BYTES = 1 << 16
"""Of what git prints, the last that is read."""
_LIMIT_SIGNALS = {-signal.SIGXCPU, -signal.SIGXFSZ, -signal.SIGKILL}
_LIMIT_WORDS = (
    "out of memory",
    "malloc failed",
    "cannot allocate",
    "maximum allowed size",
    "mmap failed",
    "file too large",
)
_ABSENT_WORDS = (
    "unresolved delta",
    "did not receive expected object",
    "missing blob",
    "missing tree",
    "missing commit",
)


class IncompletePackError(Exception):
    """A pack builds on objects that are not present, though they were named as present: the local copy is damaged."""


class Unpacking:
    """The child processes that unpack, a few at a time. Safe to use from several threads."""

    def __init__(self, *, most: int = GIT_UNPACKS) -> None:
        """Allow so many at once: each may take `GIT_UNPACK_BYTES` of memory."""
        self._free = threading.BoundedSemaphore(most)

    def take_in(self, pack: Path, repository: Path, others: Sequence[Path], call: Call) -> None:
        """Unpack a pack and make its objects part of a repository.

        Args:
            pack: The pack, alone in a folder of `quarantine`.
            repository: A bare repository.
            others: Further repositories with objects that the pack may build on.
            call: The call that it is part of.

        Raises:
            GitQuotaExceeded: That takes more memory, disk or time than the limits allow.
            GitUnavailable: The pack is damaged.
            IncompletePackError: The repository is.
        """
        folder = pack.parent
        (folder / "info").mkdir()
        places = [repository / "objects", *(other / "objects" for other in others)]
        (folder / "info" / "alternates").write_text("".join(f"{place.resolve()}\n" for place in places))
        with call.turn(self._free):
            code, said = _index(pack, repository, call)
        if code:
            raise _failure(code, said, call)
        target = repository / "objects" / "pack"
        target.mkdir(exist_ok=True)
        # The index makes a pack visible.
        made = sorted((folder / "pack").iterdir(), key=lambda file: file.suffix == ".idx")
        for file in made:
            file.rename(target / file.name)


@contextlib.contextmanager
def quarantine(repository: Path) -> Iterator[Path]:
    """Make a folder in a repository for a pack on its way, which is deleted in the end."""
    folder = Path(tempfile.mkdtemp(prefix=QUARANTINE, dir=repository))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _index(pack: Path, repository: Path, call: Call) -> tuple[int, str]:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_DIR": str(repository.resolve()),
        "GIT_OBJECT_DIRECTORY": str(pack.parent.resolve()),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    # Git streams blobs above the threshold instead of holding them, so the limit of memory would not bound them.
    settings = ["core.bigFileThreshold=16g", "core.fsync=none", *_WINDOWS]
    command = ["git", *(part for setting in settings for part in ("-c", setting))]
    command += ["index-pack", "--stdin", "--fix-thin", "--threads=1", f"--max-input-size={GIT_PACK_BYTES}", _STRICT]
    # Git warns of each object with a fault while it reads, more than a pipe holds.
    with tempfile.TemporaryFile(dir=pack.parent) as warnings:
        # The pack comes through a pipe, and only after the limits are set: the child waits for it.
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=warnings, env=environment
            )
        except OSError as error:
            raise GitUnavailable(f"cannot start git, which unpacks what servers send: {error}; install git") from None
        with child:
            call.ends_with(child.kill)
            try:
                _limit(child.pid)
                _feed(child, pack)
            except BaseException:
                child.kill()
                raise
            finally:
                code = child.wait()
        warnings.seek(max(0, warnings.seek(0, os.SEEK_END) - _WARNINGS_BYTES))
        return code, warnings.read().decode(errors="replace")


def _limit(child: int) -> None:
    for which, most in (
        (resource.RLIMIT_AS, GIT_UNPACK_BYTES),
        (resource.RLIMIT_FSIZE, GIT_PACK_BYTES + MIB),
        (resource.RLIMIT_CPU, GIT_UNPACK_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.prlimit(child, which, (most, most))


def _feed(child: "subprocess.Popen[bytes]", pack: Path) -> None:
    if child.stdin is None:
        raise AssertionError("a pipe was requested")
    with contextlib.suppress(BrokenPipeError), child.stdin, pack.open("rb") as file:
        shutil.copyfileobj(file, child.stdin, MIB)


def _failure(code: int, said: str, call: Call) -> Exception:
    if call.ended:
        return GitUnavailable(call.ended)
    words = said.lower()
    if code in _LIMIT_SIGNALS or any(each in words for each in _LIMIT_WORDS):
        return GitQuotaExceeded(
            f"what the server sends cannot be unpacked within {GIT_UNPACK_BYTES // MIB} MiB of memory,"
            f" {GIT_PACK_BYTES // MIB} MiB of disk and {GIT_UNPACK_SECONDS} s (the limits)"
        )
    if any(each in words for each in _ABSENT_WORDS):
        return IncompletePackError(clean(said))
    return GitUnavailable(f"the server sends a damaged pack: {clean(said) or f'git ended with code {code}'}")
