"""The pack of a push: the objects that a server lacks.

A pack is written here and not by libgit2's pack builder, which sends a directory of 5,000 packages whole with every
publish (13 ms and 200 KB): a changed directory is sent as its difference to the one before. Source:
docs/reference/git-protocol.md, "Packs".
"""

import hashlib
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final, NamedTuple

import pygit2
from pygit2.enums import FileMode, ObjectType, SortMode

from porchflow.gitrepo.tree_entries import entries_of, id_of, mode_of, name_of

OUTGOING: Final = "outgoing-"
"""Begin of the names of folders in a repository that hold packs on their way; outdated ones may be deleted."""

_CHUNK_BYTES = 1 << 16
_NEAR = 200
"""Commits above what the server has, in nearly all pushes. Further down, libgit2 searches for what both have."""

_LEAST_DIFFERENCE_BYTES = 1024
"""Trees below are sent whole: a difference would save less than its base's id takes to look up."""
_BASE_BY_ID = 7
"""Type of an object in a pack that is a difference to another one."""
_COPY_BYTES = 1 << 16
_INSERT_BYTES = 127
"""The most that one instruction of a difference copies, and inserts."""


class Outgoing(NamedTuple):
    """An object to send.

    Attributes:
        oid: Its id.
        base: A tree that the server has, or that comes before, and that this tree differs little from; None for all
            other objects.
    """

    oid: pygit2.Oid
    base: pygit2.Oid | None = None


@contextmanager
def pack_of(
    repo: pygit2.Repository, objects: Collection[Outgoing], *, thin: bool = True
) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Make a pack; yields its size in bytes, and its bytes.

    Args:
        repo: Has the objects.
        objects: What goes into it.
        thin: Whether the server takes differences to objects that it has.
    """
    with tempfile.TemporaryFile(prefix=OUTGOING, dir=repo.path) as file:
        writer = _PackWriter(file)
        writer.write(b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big"))
        for each in objects:
            if each.base is not None and thin:
                old, new = (b"".join(entries_of(repo, oid)) for oid in (each.base, each.oid))
                if len(new) >= _LEAST_DIFFERENCE_BYTES:
                    writer.add(_BASE_BY_ID, difference(old, new), each.base.raw)
                    continue
            writer.add(*repo.read(each.oid))
        file.write(writer.digest())
        size = file.tell()
        file.seek(0)
        yield size, iter(lambda: file.read(_CHUNK_BYTES), b"")


class _PackWriter:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sum = hashlib.sha1(usedforsecurity=False)

    def write(self, data: bytes) -> None:
        self._sum.update(data)
        self._file.write(data)

    def add(self, kind: int, data: bytes, base: bytes = b"") -> None:
        first, rest = len(data) & 0xF, len(data) >> 4
        head = bytes([kind << 4 | first | (0x80 if rest else 0)]) + (_number(rest) if rest else b"")
        self.write(head + base)
        self.write(zlib.compress(data))

    def digest(self) -> bytes:
        return self._sum.digest()


def difference(old: bytes, new: bytes) -> bytes:
    """Return the instructions that make one text from another: the begin and the end that both have are copied."""
    begin = _common(old, new)
    most = min(len(old), len(new)) - begin
    end = min(most, _common(old[: -most - 1 : -1], new[: -most - 1 : -1])) if most else 0
    middle = new[begin : len(new) - end]
    return b"".join(
        [
            _number(len(old)),
            _number(len(new)),
            *_copies(0, begin),
            *(
                bytes([len(piece)]) + piece
                for at in range(0, len(middle), _INSERT_BYTES)
                if (piece := middle[at : at + _INSERT_BYTES])
            ),
            *_copies(len(old) - end, end),
        ]
    )


def _copies(start: int, length: int) -> Iterator[bytes]:
    """Yield the instructions that copy a part of the base."""
    for at in range(start, start + length, _COPY_BYTES):
        size = min(_COPY_BYTES, start + length - at)
        # A size of 64 KiB is written as none.
        numbers = [*at.to_bytes(4, "little"), *(size % _COPY_BYTES).to_bytes(2, "little")]
        present = sum(1 << bit for bit, number in enumerate(numbers) if number)
        yield bytes([0x80 | present, *(number for number in numbers if number)])


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts begin with alike."""
    same, end = 0, min(len(one), len(other))
    while same < end:
        half = (same + end + 1) // 2
        if one[same:half] == other[same:half]:
            same = half
        else:
            end = half - 1
    return same


def _number(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value >= 0x80:  # noqa: PLR2004 - seven bits
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def objects_to_send(repo: pygit2.Repository, tips: Iterable[pygit2.Oid], there: Collection[str]) -> list[Outgoing]:
    """Return the objects that a server lacks, each once; one that others build on comes before them.

    Args:
        repo: Has them.
        tips: Ids that the server's refs get.
        there: Ids of the server's refs; a set.

    Raises:
        KeyError: The repository lacks one.
    """
    found: dict[pygit2.Oid, pygit2.Oid | None] = {}
    starts: list[pygit2.Oid] = []
    for tip in tips:
        oid = tip
        while str(oid) not in there and (tag := repo[oid]).type == ObjectType.TAG:
            found[oid] = None
            oid = tag.target  # type: ignore[attr-defined]  # a tag's
        starts.append(oid)
    trees = _Trees(repo)
    for commit in _oldest_first(_commits(repo, starts, there)):
        found[commit.id] = None
        trees.add_new(commit.tree_id, [parent.tree_id for parent in commit.parents], found)
    return [Outgoing(oid, base) for oid, base in found.items()]


def _commits(
    repo: pygit2.Repository, starts: list[pygit2.Oid], there: Collection[str]
) -> dict[pygit2.Oid, pygit2.Commit]:
    near: dict[pygit2.Oid, pygit2.Commit] = {}
    waiting = [oid for oid in starts if str(oid) not in there]
    while waiting and len(near) <= _NEAR:
        oid = waiting.pop()
        if oid not in near:
            near[oid] = commit = repo[oid].peel(pygit2.Commit)
            waiting += [parent for parent in commit.parent_ids if str(parent) not in there]
    return near if not waiting else {commit.id: commit for commit in _beyond(repo, starts, there)}


def _beyond(repo: pygit2.Repository, starts: list[pygit2.Oid], there: Collection[str]) -> Iterator[pygit2.Commit]:
    walk = repo.walk(None, SortMode.NONE)
    for oid in starts:
        walk.push(oid)
    for each in there:
        if each in repo and repo[each].type in {ObjectType.COMMIT, ObjectType.TAG}:
            walk.hide(pygit2.Oid(hex=each))
    return walk


def _oldest_first(commits: dict[pygit2.Oid, pygit2.Commit]) -> Iterator[pygit2.Commit]:
    """Yield commits, each after those of its parents that are among them."""
    done: set[pygit2.Oid] = set()
    for start in commits:
        waiting = [start]
        while waiting:
            oid = waiting[-1]
            if oid in done:
                waiting.pop()
            elif before := [each for each in commits[oid].parent_ids if each in commits and each not in done]:
                waiting += before
            else:
                done.add(waiting.pop())
                yield commits[oid]


class _Trees:
    """The trees of a walk over commits, each with what it has that the trees before it have not."""

    def __init__(self, repo: pygit2.Repository) -> None:
        self._repo = repo
        self._before: set[pygit2.Oid] = set()
        """Trees that others come after: the server has them, or gets them."""

    def add_new(
        self, tree: pygit2.Oid, before: Sequence[pygit2.Oid], found: dict[pygit2.Oid, pygit2.Oid | None]
    ) -> None:
        """Add a tree and what is in it, but not what the trees before it have at the same places."""
        waiting = [(tree, before)]
        while waiting:
            oid, olds = waiting.pop()
            self._before.update(olds)
            if oid in found or oid in self._before:
                continue
            found[oid] = olds[0] if olds else None
            here = entries_of(self._repo, oid)
            news, gone = here, []
            for old in olds:
                came, went = _changed(entries_of(self._repo, old), here)
                news = [each for each in news if each in came]
                gone.append({name_of(each): each for each in went})
            for each in news:
                mode, entry = mode_of(each), id_of(each)
                if mode == FileMode.TREE:
                    names = [at[name_of(each)] for at in gone if name_of(each) in at]
                    waiting.append((entry, [id_of(at) for at in names if mode_of(at) == FileMode.TREE]))
                elif mode != FileMode.COMMIT:
                    found.setdefault(entry, None)


def _changed(old: Sequence[bytes], new: Sequence[bytes]) -> tuple[set[bytes], set[bytes]]:
    """Return the entries that only the new one of two trees has, and those that only the old one has.

    What both begin and end with is left out at once: of a wide tree that is nearly all.
    """
    begin = 0
    most = min(len(old), len(new))
    while begin < most and old[begin] == new[begin]:
        begin += 1
    end = 0
    while end < most - begin and old[-1 - end] == new[-1 - end]:
        end += 1
    came, went = set(new[begin : len(new) - end]), set(old[begin : len(old) - end])
    return came - went, went - came
