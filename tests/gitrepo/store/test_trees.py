import subprocess
from pathlib import Path

import pygit2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pygit2.enums import FileMode, ObjectType

from porchflow.gitrepo.errors import GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.bounds import Limits
from porchflow.gitrepo.store.commits import Author, create_commit
from porchflow.gitrepo.store.trees import (
    File,
    Files,
    Mode,
    check_path,
    read_package,
    replace_directory,
    subtree,
    write_files,
)
from porchflow.gitrepo.tree_entries import find_entry, replace_entry


@pytest.fixture
def repo(tmp_path: Path) -> pygit2.Repository:
    return pygit2.init_repository(str(tmp_path / "bare"), bare=True)


def _commit(repo: pygit2.Repository, tree: pygit2.Oid) -> pygit2.Oid:
    return create_commit(repo, tree=tree, parents=[], message="x")


def _stored(repo: pygit2.Repository, content: Files, path: str = "a/b") -> pygit2.Oid:
    tree = replace_directory(repo, None, path, write_files(repo, content))
    assert tree is not None
    return tree


CONTENT: Files = {
    "Kptfile": File(b"kind: Kptfile\n"),
    "deep/er/x.yaml": File("ü: 1\n".encode()),
    "bin/run.sh": File(b"#!/bin/sh\n", Mode.EXECUTABLE),
    "link": File(b"deep/er/x.yaml", Mode.SYMLINK),
    "image.png": File(bytes(range(256)) * 3),
    "empty": File(b""),
}


def test_files_come_back_as_they_were(repo: pygit2.Repository) -> None:
    tree = _stored(repo, CONTENT)
    assert read_package(repo, _commit(repo, tree), "a/b") == CONTENT


segment = st.text("abcXYZ019._- ü", min_size=1, max_size=8).filter(
    lambda s: s not in {".", ".."} and s.strip(" .") != ""
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.dictionaries(st.lists(segment, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), min_size=1))
def test_any_files_come_back_or_are_refused(repo: pygit2.Repository, contents: dict[str, bytes]) -> None:
    content = {path: File(data) for path, data in contents.items()}
    try:
        tree = _stored(repo, content)
    except InvalidName:
        assert any(one != two and two.startswith(one + "/") for one in contents for two in contents)
        return
    assert read_package(repo, _commit(repo, tree), "a/b") == content


def test_only_the_directory_is_replaced(repo: pygit2.Repository) -> None:
    base = replace_directory(repo, _stored(repo, CONTENT, "a/b"), "a/c", write_files(repo, {"y": File(b"1")}))
    changed = replace_directory(repo, base, "a/b", write_files(repo, {"z": File(b"2")}))
    assert changed is not None
    assert base is not None
    assert subtree(repo, changed, "a/c") == subtree(repo, base, "a/c")
    assert read_package(repo, _commit(repo, changed), "a/b") == {"z": File(b"2")}


def test_equal_content_is_no_change(repo: pygit2.Repository) -> None:
    base = _stored(repo, CONTENT)
    assert replace_directory(repo, base, "a/b", write_files(repo, dict(reversed(CONTENT.items())))) is None


def test_removing_a_directory_removes_empty_parents(repo: pygit2.Repository) -> None:
    base = replace_directory(repo, _stored(repo, CONTENT, "a/b/c"), "x", write_files(repo, {"y": File(b"1")}))
    removed = replace_directory(repo, base, "a/b/c", None)
    assert removed is not None
    assert subtree(repo, removed, "a") is None
    assert subtree(repo, removed, "x") is not None
    assert replace_directory(repo, removed, "a/b/c", None) is None


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../x",
        "/x",
        "",
        "a//b",
        ".git/config",
        "a/.GIT/x",
        ".git ",
        "git~1",
        ".git::$INDEX_ALLOCATION/x",
        "./x",
        "a/",
        "a\x00",
    ],
)
def test_unsafe_paths_are_refused(repo: pygit2.Repository, path: str) -> None:
    with pytest.raises(InvalidName):
        write_files(repo, {path: File(b"x")})
    with pytest.raises(InvalidName):
        replace_directory(repo, None, path, write_files(repo, CONTENT))


@pytest.mark.parametrize("order", [["a", "a/b"], ["a/b", "a"], ["a/b/c", "a/b"]])
def test_a_file_is_no_directory(repo: pygit2.Repository, order: list[str]) -> None:
    with pytest.raises(InvalidName, match="file and a directory"):
        write_files(repo, {path: File(b"x") for path in order})


def test_a_file_in_the_way_of_the_package_is_said(repo: pygit2.Repository) -> None:
    base = write_files(repo, {"a": File(b"x")})
    with pytest.raises(InvalidName, match="'a' is a file"):
        replace_directory(repo, base, "a/b", write_files(repo, CONTENT))


def test_limits(repo: pygit2.Repository) -> None:
    commit = _commit(repo, _stored(repo, CONTENT))
    with pytest.raises(GitQuotaExceeded, match="more than"):
        read_package(repo, commit, "a/b", Limits(files=5))
    with pytest.raises(GitQuotaExceeded, match="more than"):
        read_package(repo, commit, "a/b", Limits(bytes=100))
    with pytest.raises(GitQuotaExceeded):
        write_files(repo, CONTENT, Limits(files=5))
    assert len(read_package(repo, commit, "a/b", Limits(files=6))) == 6


def test_a_missing_directory_is_not_found(repo: pygit2.Repository) -> None:
    commit = _commit(repo, _stored(repo, CONTENT))
    with pytest.raises(GitNotFound, match="no directory 'a/x'"):
        read_package(repo, commit, "a/x")


def test_a_submodule_is_refused(repo: pygit2.Repository) -> None:
    builder = repo.TreeBuilder()
    builder.insert("sub", _commit(repo, _stored(repo, CONTENT)), pygit2.enums.FileMode.COMMIT)
    tree = replace_directory(repo, None, "a", builder.write())
    assert tree is not None
    with pytest.raises(InvalidName, match="submodule"):
        read_package(repo, _commit(repo, tree), "a")


def test_a_package_without_files_is_refused(repo: pygit2.Repository) -> None:
    with pytest.raises(InvalidName):
        write_files(repo, {})


@pytest.mark.parametrize(
    ("author", "email", "shown"),
    [
        (None, None, "porch-controller <porch-controller@kpt.dev>"),
        ("Jo", "jo@example.com", "Jo <jo@example.com>"),
        (None, "jo@example.com", "jo@example.com <jo@example.com>"),
        ("Jo", None, "Jo <>"),
    ],
)
def test_identities(repo: pygit2.Repository, author: str | None, email: str | None, shown: str) -> None:
    tree = write_files(repo, CONTENT)
    oid = create_commit(repo, tree=tree, parents=[], message="m\n", author=Author.of_repository(author, email))
    lines = repo[oid].read_raw().decode().split("\n")
    assert lines[1].startswith(f"author {shown} ")
    assert lines[2].startswith("committer Package Orchestration Service <porch@kpt.dev> ")
    assert lines[1].endswith(" +0000")


def test_a_broken_author_is_refused() -> None:
    with pytest.raises(InvalidName):
        Author("a\nparent x", "")


def test_modes_of_old_histories_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    repo = pygit2.init_repository(str(tmp_path / "modes"), bare=True)
    blob = repo.create_blob(b"x")
    inner = replace_entry(repo, None, "below", replace_entry(repo, None, "z", repo.TreeBuilder().write()))
    assert inner is not None
    # "a.b" comes before the directory "a", which Git sorts as "a/".
    raw = [(b"100664 a.b", blob), (b"040000 a", inner), (b"100775 run", blob)]
    tree = repo.write(ObjectType.TREE, b"".join(b"%s\0%s" % (entry, oid.raw) for entry, oid in raw))
    modes = {name: entry.mode for name in ("a.b", "a", "run") if (entry := find_entry(repo, tree, name))}
    assert modes == {"a.b": FileMode.BLOB, "a": FileMode.TREE, "run": FileMode.BLOB_EXECUTABLE}
    assert subtree(repo, tree, "a") == inner
    changed = replace_entry(repo, tree, "b", inner)
    assert changed is not None
    assert [entry.name for entry in repo[changed]] == ["a.b", "a", "b", "run"]


GIT_DIRECTORIES = [
    ".git",
    ".GIT",
    ".Git. .",
    "git~1",
    "GIT~1 ",
    ".git::$INDEX_ALLOCATION",
    ".g\u200cit",
    "\ufeff.git",
    ".gi\u206ft",
    ".git\u202e",
    "a\\.git\\hooks",
    "a\\GIT~1",
]
OTHERS = [
    ".gitignore",
    ".gitattributes",
    "git",
    "git~2",
    "a.git",
    ".git-x",
    "\u200c",
    "a\\b",
    ".git\u00e9",
    "g\u0130t",
    "-rf",
]


@pytest.mark.parametrize("name", GIT_DIRECTORIES)
@pytest.mark.parametrize("path", ["{}", "{}/hooks/post-checkout", "a/{}/config"])
def test_a_path_that_some_system_takes_for_gits_directory_is_refused(name: str, path: str) -> None:
    with pytest.raises(InvalidName, match=r"must not hold a part named \.git"):
        check_path(path.format(name))


@pytest.mark.parametrize("name", [*OTHERS, *GIT_DIRECTORIES])
def test_what_is_refused_is_what_git_itself_refuses(name: str, tmp_path: Path) -> None:
    """Git servers that check objects refuse a whole push for one such name."""
    repository = pygit2.init_repository(str(tmp_path / "r"), bare=True)
    entry = b"100644 " + name.encode() + b"\0" + bytes.fromhex(str(repository.create_blob(b"x")))
    repository.odb.write(pygit2.GIT_OBJECT_TREE, entry)
    checked = subprocess.run(
        ["git", "-C", str(tmp_path / "r"), "fsck", "--strict", "--no-dangling"],
        capture_output=True,
        text=True,
        check=False,
    )
    if name in OTHERS:
        check_path(name)
    assert ("hasDotgit" in checked.stderr) == (name in GIT_DIRECTORIES), checked.stderr
