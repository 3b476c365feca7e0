"""Poison: packages that are small in Git and would take all of a worker's memory or time."""

import hashlib
import os
import subprocess
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.packs import entry, pack_with, varint
from bench.published import data_of
from porchflow.api.limits import GIT_UNPACK_BYTES, MIB, PACKAGE_BYTES
from porchflow.devstack.git.gitserver import create_bare_repository

EXPRESSIONS = "expressions"
"""The repository of the packages that an upgrade merges."""

_WHO = "bench <bench@example.com> 1700000000 +0000"
_KPTFILE = "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: poison\n"
_LEVELS, _EQUAL = 8, 20
"""A tree of 52 KB with 26 thousand million directories."""
_COPIED = 16 * MIB - 1
"""Bytes of the longest copy instruction of a delta."""
_BLOB, _DELTA = 3, 7
_IDENTITY = {f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def write_poison(root: Path) -> None:
    """Make a repository for each kind of poison, and one with the packages of an upgrade.

    Args:
        root: Folder that the Git server serves.
    """
    for name, write in CLONED.items():
        write(create_bare_repository(root, name))
    _write_expressions(create_bare_repository(root, EXPRESSIONS))


def _write_delta_bomb(bare: Path) -> None:
    """A pack of some KB whose largest file has more bytes than unpacking may take of memory."""
    base, copies = bytes(_COPIED), GIT_UNPACK_BYTES // _COPIED + 8
    name = hashlib.sha1(b"blob %d\0" % len(base) + base, usedforsecurity=False).digest()
    delta = varint(len(base)) + varint(copies * _COPIED) + copies * (bytes([0x80 | 0x70]) + b"\xff\xff\xff")
    pack = pack_with(
        entry(_BLOB, len(base), zlib.compress(base)), entry(_DELTA, len(delta), name + zlib.compress(delta))
    )
    # Neither command holds a file above the threshold in memory to find deltas; the one in the pack is sent as it is.
    _git(bare, "config", "core.bigFileThreshold", "16g")
    _git(bare, "index-pack", "--stdin", data=pack)
    whole = hashlib.sha1(b"blob %d\0" % (copies * _COPIED), usedforsecurity=False)
    for _ in range(copies):
        whole.update(base)
    entries_of_tree = f"100644 blob {name.hex()}\tbase\n100644 blob {whole.hexdigest()}\tbomb\n"
    _commit(bare, _tree(bare, entries_of_tree))


def _write_tree_bomb(bare: Path) -> None:
    kptfile = _blob(bare)
    below = _tree(bare, "")
    for _ in range(_LEVELS):
        below = _tree(bare, "".join(f"040000 tree {below}\td{number:02}\n" for number in range(_EQUAL)), kptfile)
    _commit(bare, below)


def _write_zeros(bare: Path) -> None:
    """A file above the limit of a package, of a few hundred KB in a pack."""
    zeros = bare / "zeros"
    with zeros.open("wb") as file:
        file.truncate(4 * PACKAGE_BYTES)
    blob = _git(bare, "hash-object", "-w", str(zeros))
    zeros.unlink()
    _commit(bare, _tree(bare, f"100644 blob {blob}\tzeros\n"))


def _write_patterns(bare: Path) -> None:
    """Patterns that a backtracking expression takes quadratic time to read."""
    patterns = _git(bare, "hash-object", "-w", "--stdin", data=("[" * 250 + "\n").encode() * 400)
    _commit(bare, _tree(bare, f"100644 blob {patterns}\t.krmignore\n"))


CLONED: Mapping[str, Callable[[Path], None]] = {
    "delta-bomb": _write_delta_bomb,
    "tree-bomb": _write_tree_bomb,
    "zeros": _write_zeros,
    "patterns": _write_patterns,
}
"""Repositories whose main branch is cloned, and what writes each."""


def _write_expressions(bare: Path) -> None:
    """Three published packages that differ in a field, behind which are blanks that end in no comment of kpt."""
    stream = b"".join(
        _published(number, package, workspace)
        for number, (package, workspace) in enumerate((("up", "v1"), ("up", "v2"), ("down", "v1")), start=1)
    )
    _git(bare, "fast-import", "--quiet", data=stream)


def _published(mark: int, package: str, workspace: str) -> bytes:
    message = (
        f"Approving package revision {package}/{workspace}\n\n"
        f'kpt:{{"package":"{package}","workspaceName":"{workspace}","revision":"{workspace[1:]}"}}\n'
    )
    value = {"v1": "a", "v2": "b"}[workspace]
    blanks = "x".join(" " * 20_000 for _ in range(10))
    resource = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n  key: {value} #{blanks}x\n"
    files = {"Kptfile": _KPTFILE, "config.yaml": resource}
    changes = [f"M 100644 inline {package}/{name}\n".encode() + data_of(text) for name, text in files.items()]
    head = f"commit refs/heads/main\nmark :{mark}\nauthor {_WHO}\ncommitter {_WHO}\n".encode()
    return (
        head
        + data_of(message)
        + b"".join(changes)
        + f"\nreset refs/tags/{package}/{workspace}\nfrom :{mark}\n\n".encode()
    )


def _blob(bare: Path) -> str:
    return _git(bare, "hash-object", "-w", "--stdin", data=_KPTFILE.encode())


def _tree(bare: Path, entries: str, kptfile: str = "") -> str:
    kptfile = kptfile or _blob(bare)
    return _git(bare, "mktree", data=f"{entries}100644 blob {kptfile}\tKptfile\n".encode())


def _commit(bare: Path, tree: str) -> None:
    _git(bare, "update-ref", "refs/heads/main", _git(bare, "commit-tree", tree, "-m", "poison"))


def _git(bare: Path, *arguments: str, data: bytes = b"") -> str:
    command = ["git", "-C", str(bare), *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=True, env={**os.environ, **_IDENTITY})
    return done.stdout.decode().strip()
