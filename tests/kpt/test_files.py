import pytest

from porchflow.kpt.format.files import check_paths, decode, is_krm, package_directory, package_tree, path_problem
from porchflow.kpt.format.krmignore import ignored
from porchflow.kpt.package_errors import InvalidPackage


@pytest.mark.parametrize(
    "path", ["", "/a", "a/../b", "..", "a//b", "a/./b", "a\0b", ".git/config", "a/.git/x", "a/.GIT/x", "a/"]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    assert path_problem(path)
    with pytest.raises(InvalidPackage):
        check_paths({path: b""})


@pytest.mark.parametrize("path", ["Kptfile", "a/b.yaml", "..a", "a..b/c", ".gitignore"])
def test_ordinary_paths_are_fine(path: str) -> None:
    assert path_problem(path) == ""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Kptfile", True),
        ("a/Kptfile", True),
        ("x.yaml", True),
        ("x.yml", True),
        ("x.json", True),
        ("README.md", False),
        ("Kptfile.bak", False),
        ("x.YAML", False),
    ],
)
def test_krm_files_are_known_by_name(path: str, expected: bool) -> None:
    assert is_krm(path) is expected


@pytest.mark.parametrize(("content", "problem"), [(b"a: 1\nb: \xff\n", "line 2: byte 0xff"), (b"a\0b", "binary")])
def test_what_is_no_text_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidPackage, match=problem) as raised:
        decode("x.yaml", content)
    assert raised.value.path == "x.yaml"


def test_the_top_package_is_the_shallowest() -> None:
    assert package_directory(["a/b/Kptfile", "a/Kptfile", "a/b/c/Kptfile"]) == "a"
    assert package_directory(["Kptfile", "a/Kptfile"]) == ""
    assert package_directory(["b/Kptfile", "a/Kptfile"]) == "a"
    assert package_directory(["a.yaml", ".git/Kptfile"]) is None


def test_a_tree_gives_each_package_its_own_files() -> None:
    top = package_tree(
        [
            "Kptfile",
            "x.yaml",
            "a/Kptfile",
            "a/x.yaml",
            "a/deep/dir/y.yaml",
            "a/x/Kptfile",
            "dir/c/Kptfile",
            "dir/z.yaml",
        ]
    )
    assert top is not None
    assert top.files == ["Kptfile", "dir/z.yaml", "x.yaml"]
    assert [child.path for child in top.children] == ["a", "dir/c"]
    assert top.children[0].files == ["a/Kptfile", "a/deep/dir/y.yaml", "a/x.yaml"]
    assert [child.path for child in top.children[0].children] == ["a/x"]


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        ("a.yaml", "a.yaml", True),
        ("a.yaml", "d/a.yaml", True),
        ("/a.yaml", "a.yaml", True),
        ("/a.yaml", "d/a.yaml", False),
        ("d/", "d/a.yaml", True),
        ("d/", "d", False),
        ("d", "x/d/a.yaml", True),
        ("**/e", "x/e/a.yaml", True),
        ("d/a.yaml", "d/a.yaml", True),
        ("d/a.yaml", "x/d/a.yaml", False),
        ("d/**/a.yaml", "d/x/y/a.yaml", True),
        ("d/**", "d/x/a.yaml", True),
        ("*.json", "d/a.json", True),
        ("?.json", "ab.json", False),
        ("[ab].yaml", "b.yaml", True),
        ("[!ab].yaml", "b.yaml", False),
        ("[^ab].yaml", "b.yaml", False),
        ("[^ab].yaml", "c.yaml", True),
        ("a[!b]c", "a/c", False),
        ("[\\]]", "]", True),
        ("[]^[]", "[", True),
        ("[[:alpha:]].yaml", "x.yaml", True),
        ("[[:alpha:]].yaml", "1.yaml", False),
        ("*.yaml\n!a.yaml", "a.yaml", False),
        ("*.yaml\n!a.yaml", "b.yaml", True),
        ("d\n!d/a.yaml", "d/a.yaml", True),
        ("# a.yaml", "a.yaml", False),
        ("\\#a.yaml", "#a.yaml", True),
        ("a.yaml  ", "a.yaml", True),
        ("\n\n", "a.yaml", False),
    ],
)
def test_krmignore_works_as_gitignore(patterns: str, path: str, expected: bool) -> None:
    assert ignored(patterns)(path) is expected


@pytest.mark.parametrize("pattern", ["[z-a]", "[]", "[[:none:]]", "?" * 5000])
def test_a_pattern_that_cannot_be_read_is_named(pattern: str) -> None:
    with pytest.raises(InvalidPackage, match=r"^d/\.krmignore: line 2: "):
        ignored(f"a\n{pattern}\n", "d/.krmignore")
