"""Whatever a repository holds, reading a package of it ends soon, and says which limit was met where."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import FileMode

from porchflow.gitrepo.errors import GitQuotaExceeded
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.bounds import Bounds, Limits, read_blob
from porchflow.gitrepo.store.commits import create_commit
from porchflow.gitrepo.store.object_copy import objects_of
from porchflow.gitrepo.store.package_trees import find_packages
from porchflow.gitrepo.store.snapshots import Edit, edit_tree, take_snapshot
from porchflow.gitrepo.store.trees import File, commit_at, read_package, subtree, write_files

REMOTE = Remote("https://example.com/r.git")
MIB = 1024 * 1024


@pytest.fixture
def repo(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path / "bare"), bare=True)


def tree_of(repo: pygit2.Repository, entries: dict[str, tuple[pygit2.Oid, FileMode]]) -> pygit2.Oid:
    builder = repo.TreeBuilder()
    for name, (oid, mode) in entries.items():
        builder.insert(name, oid, mode)
    return builder.write()


def nested(repo: pygit2.Repository, *, levels: int, width: int, leaf: str = "Kptfile") -> pygit2.Oid:
    """A tree whose levels hold the same subtree again and again: few objects, endless paths."""
    tree = tree_of(repo, {leaf: (repo.create_blob(b"kind: Kptfile\n"), FileMode.BLOB)})
    for _ in range(levels):
        tree = tree_of(repo, {f"d{number}": (tree, FileMode.TREE) for number in range(width)})
    return tree


def commit_of(repo: pygit2.Repository, tree: pygit2.Oid) -> pygit2.Oid:
    package = tree_of(repo, {"app": (tree, FileMode.TREE)})
    return create_commit(repo, tree=package, parents=[], message="x")


Reader = Callable[[pygit2.Repository, pygit2.Oid], object]


def _read(repo: pygit2.Repository, commit: pygit2.Oid) -> object:
    return read_package(repo, commit, "app")


def _list(repo: pygit2.Repository, commit: pygit2.Oid) -> object:
    return take_snapshot(repo, REMOTE, commit, "app")


def _carry(repo: pygit2.Repository, commit: pygit2.Oid) -> object:
    return objects_of(repo, [str(subtree(repo, commit_at(repo, commit).tree_id, "app"))])


readers = pytest.mark.parametrize("read", [_read, _list])


@readers
@pytest.mark.parametrize("leaf", ["Kptfile", "notes.txt"])
def test_equal_subtrees_count_as_often_as_they_are_there(repo: pygit2.Repository, read: Reader, leaf: str) -> None:
    """8 levels of 20 are 25,600,000,000 files: the time limit of the test run would be over first."""
    commit = commit_of(repo, nested(repo, levels=8, width=20, leaf=leaf))
    with pytest.raises(
        GitQuotaExceeded, match=r"package 'app' at commit \w+.*: more than 10,000 directories \(the limit\)"
    ):
        read(repo, commit)


@readers
def test_directories_without_files_count(repo: pygit2.Repository, read: Reader) -> None:
    empty = repo.TreeBuilder().write()
    for _ in range(8):
        empty = tree_of(repo, {f"d{number}": (empty, FileMode.TREE) for number in range(20)})
    with pytest.raises(GitQuotaExceeded, match=r"more than 10,000 directories \(the limit\)"):
        read(repo, commit_of(repo, empty))


@pytest.mark.parametrize("read", [_read, _list, _carry])
def test_depth_is_bounded(repo: pygit2.Repository, read: Reader) -> None:
    commit = commit_of(repo, nested(repo, levels=300, width=1))
    with pytest.raises(GitQuotaExceeded, match=r"deeper than 100 directories \(the limit\) at d0/d0/"):
        read(repo, commit)


@readers
def test_paths_are_bounded(repo: pygit2.Repository, read: Reader) -> None:
    tree = tree_of(repo, {"n" * 3000: (repo.create_blob(b""), FileMode.BLOB)})
    commit = commit_of(repo, tree_of(repo, {"m" * 3000: (tree, FileMode.TREE)}))
    with pytest.raises(GitQuotaExceeded, match=r"a path longer than 4,000 bytes \(the limit\)") as raised:
        read(repo, commit)
    assert len(str(raised.value)) < 1000


def test_what_is_named_often_is_carried_once(repo: pygit2.Repository) -> None:
    commit = commit_of(repo, nested(repo, levels=8, width=20))
    assert len(_carry(repo, commit)) == 10  # type: ignore[arg-type]


def test_a_search_for_packages_ends(repo: pygit2.Repository) -> None:
    told: list[str] = []
    root = nested(repo, levels=8, width=20)
    with pytest.raises(GitQuotaExceeded, match=r"more than 100,000 packages \(the limit\)"):
        list(find_packages(repo, root, "", told.append))
    assert told == []


def test_a_search_leaves_out_what_is_too_deep(repo: pygit2.Repository) -> None:
    told: list[str] = []
    assert list(find_packages(repo, nested(repo, levels=300, width=1), "", told.append)) == []
    assert len(told) == 1
    assert "deeper than 100 directories" in told[0]


def test_a_large_tree_is_not_read(repo: pygit2.Repository) -> None:
    """One tree object of 40 MiB, which packs to almost nothing."""
    data = b"".join(b"40000 %07d\0%s" % (number, bytes(20)) for number in range(1_200_000))
    tree = repo.write(pygit2.enums.ObjectType.TREE, data)
    with pytest.raises(GitQuotaExceeded, match=r"tree \w+: more than 32 MiB \(the limit\)"):
        read_package(repo, commit_of(repo, tree), "app")


def test_a_large_commit_is_not_read(repo: pygit2.Repository) -> None:
    oid = create_commit(repo, tree=nested(repo, levels=0, width=0), parents=[], message="x" * 2 * MIB)
    with pytest.raises(GitQuotaExceeded, match=r"commit \w+: more than 1 MiB \(the limit\)"):
        commit_at(repo, oid)


def test_a_chain_of_tags_ends(repo: pygit2.Repository) -> None:
    oid, kind = commit_of(repo, nested(repo, levels=0, width=0)), "commit"
    for _ in range(40):
        text = f"object {oid}\ntype {kind}\ntag x\ntagger a <b@c> 0 +0000\n\nx\n"
        oid, kind = repo.write(pygit2.enums.ObjectType.TAG, text.encode()), "tag"
    with pytest.raises(GitQuotaExceeded, match=r"more than 10 tags of tags \(the limit\)"):
        commit_at(repo, oid)


@readers
def test_limits_that_were_set_count(repo: pygit2.Repository, read: Reader) -> None:
    commit = commit_of(repo, nested(repo, levels=2, width=3))
    bounds = Bounds("p", Limits(directories=3))
    for _ in range(3):
        bounds.enter("d", 1)
    with pytest.raises(GitQuotaExceeded, match=r"^p: more than 3 directories \(the limit\) at d"):
        bounds.enter("d", 1)
    assert read(repo, commit)


def test_a_blob_is_not_read_before_its_size_is_known(tmp_path: Path) -> None:
    """A blob of 256 MiB of zeros is a small object: a process that may hold 128 MiB more refuses it and lives."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gitrepo.zeros", str(tmp_path / "bare")],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert all("more than 64 MiB (the limit)" in line or line == "None" for line in said)


def test_a_tree_is_no_blob(repo: pygit2.Repository) -> None:
    with pytest.raises(GitQuotaExceeded, match="is a tree"):
        read_blob(repo, nested(repo, levels=1, width=1), 10, "x")


def test_equal_files_count_as_often_as_they_are_there(repo: pygit2.Repository) -> None:
    blob = repo.create_blob(b"")
    tree = tree_of(repo, {f"f{number}": (blob, FileMode.BLOB) for number in range(500)})
    many = tree_of(repo, {f"d{number}": (tree, FileMode.TREE) for number in range(50)})
    with pytest.raises(GitQuotaExceeded, match=r"more than 10,000 files \(the limit\) at d"):
        read_package(repo, commit_of(repo, many), "app")


def test_equal_contents_count_as_often_as_they_are_there(repo: pygit2.Repository) -> None:
    blob = repo.create_blob(bytes(MIB))
    tree = tree_of(repo, {f"f{number}": (blob, FileMode.BLOB) for number in range(100)})
    with pytest.raises(GitQuotaExceeded, match=r"more than 64 MiB \(the limit\) at f"):
        read_package(repo, commit_of(repo, tree), "app")


@pytest.mark.parametrize(
    ("path", "said"), [("a/" * 150 + "x", "deeper than 100 directories"), ("a/" * 3_000 + "x", "a path longer than")]
)
def test_paths_of_files_to_be_written_are_bounded(repo: pygit2.Repository, path: str, said: str) -> None:
    with pytest.raises(GitQuotaExceeded, match=said):
        write_files(repo, {path: File(b"")})
    with pytest.raises(GitQuotaExceeded, match=said):
        edit_tree(
            repo,
            Edit(
                take_snapshot(repo, REMOTE, commit_of(repo, nested(repo, levels=0, width=0)), "app"), {path: File(b"")}
            ),
        )
