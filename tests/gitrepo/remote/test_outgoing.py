"""The packs of pushes: the server gets what it lacks, whatever was changed, and little more."""

import subprocess
from pathlib import Path

import pygit2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pygit2.enums import FileMode

from porchflow.gitrepo.remote.outgoing import Outgoing, difference, objects_to_send, pack_of

_WHO = pygit2.Signature("author", "author@example.com", 1_700_000_000, 0)
_NAMES = ("a", "b", "c/d", "c/e/f", "c.d", "wide/x", "wide/y/z")
_WIDE = 300
"""Entries of a directory that is worth a difference."""

# One commit: which of the earlier commits are its parents, and what it changes; None removes a file.
_CHANGES = st.dictionaries(st.sampled_from(_NAMES), st.none() | st.integers(0, 3), max_size=4)
_COMMITS = st.lists(st.tuples(st.lists(st.integers(0, 20), max_size=2, unique=True), _CHANGES), min_size=1, max_size=9)


def git(*arguments: str, cwd: Path, data: bytes = b"") -> bytes:
    done = subprocess.run(["git", *arguments], cwd=cwd, input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def tree_of(repo: pygit2.Repository, files: dict[str, bytes]) -> pygit2.Oid:
    builder = repo.TreeBuilder()
    below: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        first, _, rest = path.partition("/")
        if rest:
            below.setdefault(first, {})[rest] = data
        else:
            builder.insert(first, repo.create_blob(data), FileMode.BLOB)
    for name, inner in below.items():
        builder.insert(name, tree_of(repo, inner), FileMode.TREE)
    return builder.write()


def pack(repo: pygit2.Repository, tips: list[pygit2.Oid], there: set[str], *, thin: bool = True) -> bytes:
    with pack_of(repo, objects_to_send(repo, tips, there), thin=thin) as (size, parts):
        data = b"".join(parts)
    assert len(data) == size
    return data


@given(commits=_COMMITS, held=st.integers(0, 8), thin=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_server_understands_every_pack_and_lacks_nothing(
    commits: list[tuple[list[int], dict[str, int | None]]],
    held: int,
    thin: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("packs")
    repo = pygit2.init_repository(str(folder / "local"), bare=True)
    wide = {f"wide/{number:04}": b"%d" % number for number in range(_WIDE)}
    made: list[tuple[pygit2.Oid, dict[str, bytes]]] = []
    for parents, changes in commits:
        before = [made[each % len(made)] for each in parents] if made else []
        files = dict(before[0][1]) if before else dict(wide)
        for name, number in changes.items():
            files.pop(name, None)
            if number is not None:
                files[name] = b"content %d" % number
        ids = list(dict.fromkeys(oid for oid, _ in before))
        made.append((repo.create_commit(None, _WHO, _WHO, f"{len(made)}", tree_of(repo, files), ids), files))
    server = folder / "server"
    git("init", "--quiet", "--bare", str(server), cwd=folder)
    there: set[str] = set()
    # First some of the commits, then the rest: as two pushes.
    for tips in (made[: held % len(made)], made):
        ids = [oid for oid, _ in tips]
        git("index-pack", "--stdin", "--fix-thin", "--strict", cwd=server, data=pack(repo, ids, there, thin=thin))
        for oid in ids:
            git("update-ref", f"refs/tags/{oid}", str(oid), cwd=server)
        git("fsck", "--full", "--strict", cwd=server)
        there = {str(oid) for oid in ids}


def test_a_publish_into_thousands_of_packages_sends_what_changed(tmp_path: Path) -> None:
    repo = pygit2.init_repository(str(tmp_path / "local"), bare=True)
    files = {f"package-{number}/Kptfile": b"%d" % number for number in range(3_000)}
    first = repo.create_commit(None, _WHO, _WHO, "first", tree_of(repo, files), [])
    files["package-1500a/Kptfile"] = b"new"
    second = repo.create_commit(None, _WHO, _WHO, "second", tree_of(repo, files), [first])
    whole = len(pack(repo, [second], {str(first)}, thin=False))
    assert whole > 60_000
    assert len(pack(repo, [second], {str(first)})) < 1_000


def test_a_directory_that_comes_back_is_not_sent_again(tmp_path: Path) -> None:
    """Two differences that build on each other could not be resolved."""
    repo = pygit2.init_repository(str(tmp_path / "local"), bare=True)
    one, other = (tree_of(repo, {f"{name}/{n}": b"%d" % n for n in range(_WIDE)}) for name in ("x", "y"))
    first = repo.create_commit(None, _WHO, _WHO, "1", one, [])
    second = repo.create_commit(None, _WHO, _WHO, "2", other, [first])
    third = repo.create_commit(None, _WHO, _WHO, "3", one, [second])
    sent = objects_to_send(repo, [third], {str(first)})
    assert one not in {each.oid for each in sent}
    assert {each.oid: each.base for each in sent}[other] == one


def test_nothing_to_send_is_a_pack_too(tmp_path: Path) -> None:
    repo = pygit2.init_repository(str(tmp_path / "local"), bare=True)
    with pack_of(repo, []) as (size, parts):
        data = b"".join(parts)
    assert len(data) == size
    git("index-pack", "--stdin", cwd=tmp_path / "local", data=data)


@given(
    size=st.sampled_from([1, 40, 400, 4_000]),
    gone=st.sets(st.integers(0, 4_000), max_size=5),
    new=st.sets(st.integers(0, 9_999), max_size=5),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_git_makes_the_new_tree_of_each_difference(
    size: int, gone: set[int], new: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also beyond the 64 KiB that one instruction copies."""
    folder = tmp_path_factory.mktemp("difference")
    repo = pygit2.init_repository(str(folder / "from"), bare=True)
    names = {f"{number:04}": b"" for number in range(size)}
    changed = {name: data for name, data in names.items() if int(name) not in gone}
    changed |= {f"{number:04}-new": b"new" for number in new}
    base, target = tree_of(repo, names), tree_of(repo, changed)
    if base == target:
        return
    server = pygit2.init_repository(str(folder / "to"), bare=True)
    assert tree_of(server, names) == base
    server.create_blob(b"new")
    old, wanted = (repo.read(each)[1] for each in (base, target))
    assert len(difference(old, wanted)) <= len(wanted) + len(wanted) // 100 + 50
    with pack_of(repo, [Outgoing(target, base)]) as (_, parts):
        git("index-pack", "--stdin", "--fix-thin", cwd=folder / "to", data=b"".join(parts))
    assert server.read(target)[1] == wanted


@pytest.mark.parametrize(
    ("old", "new"), [(b"", b""), (b"", b"a"), (b"a", b""), (b"ab" * 40_000, b"ab" * 70_000), (b"aXa", b"aa")]
)
def test_a_difference_ends_where_the_texts_do(old: bytes, new: bytes) -> None:
    """Begin and end never overlap, also where they could."""
    assert applied(difference(old, new), old) == new


def applied(delta: bytes, old: bytes) -> bytes:
    """Do the instructions of a difference, which are those of git's deltas."""
    at = 0
    for _ in range(2):
        while delta[at] & 0x80:
            at += 1
        at += 1
    made = b""
    while at < len(delta):
        kind, at = delta[at], at + 1
        if not kind & 0x80:
            made, at = made + delta[at : at + kind], at + kind
            continue
        numbers = [0] * 6
        for bit in range(6):
            if kind & 1 << bit:
                numbers[bit], at = delta[at], at + 1
        start = int.from_bytes(bytes(numbers[:4]), "little")
        made += old[start : start + (int.from_bytes(bytes(numbers[4:]), "little") or 1 << 16)]
    return made
