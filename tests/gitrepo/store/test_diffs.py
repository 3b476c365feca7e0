import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porchflow.cli.diff.show import lines_of
from porchflow.gitrepo.store.diffs import FileDiff, compare_files
from porchflow.gitrepo.store.trees import File, Files, Mode

TEXT = File(b"one\ntwo\nthree\n")


def unified(old: Files, new: Files) -> bytes:
    return b"".join(line + b"\n" for _, line in lines_of(compare_files(old, new), "unified"))


def only(old: Files, new: Files) -> FileDiff:
    (found,) = compare_files(old, new)
    return found


def test_equal_packages_do_not_differ() -> None:
    assert compare_files({"a": TEXT}, {"a": File(b"one\ntwo\nthree\n")}) == []


def test_a_changed_line_is_told_with_its_surroundings() -> None:
    assert unified({"dir/a.yaml": TEXT}, {"dir/a.yaml": File(b"one\n2\nthree\n")}) == (
        b"diff --git a/dir/a.yaml b/dir/a.yaml\n--- a/dir/a.yaml\n+++ b/dir/a.yaml\n"
        b"@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    )


def test_files_come_and_go() -> None:
    assert unified({"old": TEXT}, {"new": File(b"one")}) == (
        b"diff --git a/new b/new\nnew file mode 100644\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+one\n"
        b"\\ No newline at end of file\n"
        b"diff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n@@ -1,3 +0,0 @@\n"
        b"-one\n-two\n-three\n"
    )


def test_a_mode_alone_is_a_difference() -> None:
    diff = only({"run.sh": TEXT}, {"run.sh": File(TEXT.data, Mode.EXECUTABLE)})
    assert (diff.hunks, diff.header) == (
        b"",
        ["diff --git a/run.sh b/run.sh", "old mode 100644", "new mode 100755"],
    )


def test_a_file_that_becomes_a_link_goes_and_comes() -> None:
    gone, came = compare_files({"a": TEXT}, {"a": File(b"b", Mode.SYMLINK)})
    assert (gone.new, came.old) == (None, None)
    assert "new file mode 120000" in came.header


def test_a_binary_file_is_named() -> None:
    diff = only({"logo.png": File(b"\x89PNG\0\1")}, {"logo.png": File(b"\x89PNG\0\2")})
    assert diff.binary
    assert diff.header[-1] == "Binary files a/logo.png and b/logo.png differ"
    new = only({}, {"logo.png": File(b"\0")})
    assert new.header[-1] == "Binary files /dev/null and b/logo.png differ"


def test_an_empty_file_that_comes_has_a_header_only() -> None:
    assert unified({}, {"empty": File(b"")}) == b"diff --git a/empty b/empty\nnew file mode 100644\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("größe.yaml", "+++ b/größe.yaml"),
        ("two words", "+++ b/two words\t"),
        ('quote"d', '+++ "b/quote\\"d"'),
        ("tab\there", '+++ "b/tab\\there"'),
        ("esc\x1b[2J", '+++ "b/esc\\033[2J"'),
        ("back\\slash", '+++ "b/back\\\\slash"'),
    ],
)
def test_odd_names_cannot_be_mistaken(name: str, told: str) -> None:
    assert only({name: TEXT}, {name: File(b"1\n")}).header[-1] == told


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    assert b"-caf\xe9\n+caf\xc3\xa9\n" in unified({"a": File(b"caf\xe9\n")}, {"a": File("café\n".encode())})


names = st.sampled_from(["a", "b.yaml", "dir/c", "dir/two words", 'dir/q"', "größe", "dir/t\tb"])
contents = st.lists(st.sampled_from([b"one\n", b"two\r\n", b"caf\xe9\n", b"\n", b"- x\n", b"tail"]), max_size=12)
files = st.builds(File, contents.map(b"".join), st.sampled_from([Mode.REGULAR, Mode.EXECUTABLE]))
packages = st.dictionaries(names, files, min_size=1, max_size=6)


@settings(max_examples=15, deadline=None)
@given(old=packages, new=packages)
def test_git_makes_the_one_version_from_the_other(
    tmp_path_factory: pytest.TempPathFactory, old: Files, new: Files
) -> None:
    folder = tmp_path_factory.mktemp("apply")
    for name, file in old.items():
        _write(folder / name, file)
    patch = unified(old, new)
    if patch:
        done = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"], cwd=folder, input=patch, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert _read(folder) == {name: (file.data, file.mode) for name, file in new.items()}


def _write(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    path.chmod(file.mode & 0o777)


def _read(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), 0o100000 | path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }
