"""Packages that are broken, strange or large."""

import json

import pytest

from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.kpt.merge import resource_merge
from porchflow.kpt.merge.documents import ParsedFile, parse_file
from porchflow.kpt.package_errors import InvalidPackage, PackageError
from tests.kpt.merge.packages import config, package, update
from tests.kptfiles import kptfile

BROKEN = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a\n"
SIDES = ("old upstream", "new upstream", "local package")


def three(index: int, content: bytes) -> list[dict[str, bytes]]:
    """Three versions of a file, one of them replaced."""
    contents = [config("a", f"{{x: '{number}'}}") for number in range(3)]
    contents[index] = content
    return [package(a_yaml=each) for each in contents]


@pytest.mark.parametrize("index", range(3))
def test_broken_yaml_names_side_file_and_line(index: int) -> None:
    with pytest.raises(InvalidPackage, match=rf"^a\.yaml: in the {SIDES[index]}: line 4: "):
        update(*three(index, BROKEN))


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"\xff\xfe", "line 1: byte 0xff is not UTF-8", id="not UTF-8"),
        pytest.param(b"a: \0", "line 1: the file is binary", id="binary"),
        pytest.param(b"a: 1\n--- x\n", "line 2: invalid document separator", id="separator"),
        pytest.param(b"a: 1\na: 2\n", 'line 2: key "a" appears twice', id="a key twice"),
        pytest.param(b"a: " + b"[" * 10_000, "line 1: nested deeper than 200", id="deep"),
        pytest.param(
            config("a") + b"---\n" + config("b") + b"---\n" + config("a"),
            "v1/ConfigMap a is there twice, from line 1 and 13",
            id="a resource twice",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_merged_names_side_and_file(index: int, content: bytes, reason: str) -> None:
    with pytest.raises(InvalidPackage) as refused:
        update(*three(index, content))
    assert str(refused.value).startswith(f"a.yaml: in the {SIDES[index]}: {reason}")


@pytest.mark.parametrize(
    "content", [BROKEN, b"\xff\xfe", b"", b"# only a comment\n", config("a") + b"---\n" + config("a")]
)
def test_what_needs_no_merge_may_be_anything(content: bytes) -> None:
    good, other, strange = package(a_yaml=config("a")), package(a_yaml=config("a", "{x: '1'}")), package(a_yaml=content)
    for base, upstream, local, expected in (
        (good, strange, good, strange),
        (strange, good, strange, good),
        (good, good, strange, strange),
        (strange, strange, good, good),
        (good, strange, dict(strange), strange),
        (good, good, strange, strange),
        (good, {**good, "n.yaml": config("n")}, strange, {**strange, "n.yaml": config("n")}),
        (strange, other, other, other),
    ):
        assert update(base, upstream, dict(local)).files == expected


def test_a_pattern_that_cannot_be_read_is_named() -> None:
    sides = three(0, config("a", "{x: '3'}"))
    with pytest.raises(InvalidPackage, match=r"^\.krmignore: line 1: the pattern \[z-a\] cannot be read"):
        update(*({**side, ".krmignore": b"[z-a]\n"} for side in sides))


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("content", [b"[1]\n", b"text\n", b"", b"a: [\n", b"a: 1\n---\na: 2\n"])
@pytest.mark.parametrize("strategy", UpdateStrategy)
def test_a_broken_kptfile_is_named(index: int, content: bytes, strategy: UpdateStrategy) -> None:
    sides = [package(Kptfile=kptfile("a", f"info: {{site: s{number}}}\n")) for number in range(3)]
    sides[index]["Kptfile"] = content
    with pytest.raises(PackageError, match="Kptfile"):
        update(*sides, strategy)


def test_a_missing_kptfile_comes_from_upstream() -> None:
    assert update(package(), package(Kptfile=kptfile("n")), package(Kptfile=None)).files == package(
        Kptfile=kptfile("n")
    )


def test_line_ends_and_byte_order_mark_stay() -> None:
    base = config("a", "{x: '1'}", "  labels:\n    l: o\n")
    upstream = base.replace(b"l: o", b"l: u").replace(b"'1'", b"'2'") + b"---\n" + config("new")
    local = b"\xef\xbb\xbf" + (base + b"other: 1\n").replace(b"\n", b"\r\n")
    result = update(package(a_yaml=base), package(a_yaml=upstream), package(a_yaml=local)).files["a.yaml"]
    assert result == local.replace(b"l: o", b"l: u").replace(b"'1'", b"'2'") + b"---\n" + config("new").replace(
        b"\n", b"\r\n"
    )


def test_an_unchanged_file_with_other_line_ends_gets_the_change_only() -> None:
    base = config("a", "{x: '1'}")
    local = base.replace(b"\n", b"\r\n")
    result = update(package(a_yaml=base), package(a_yaml=base.replace(b"'1'", b"'2'")), package(a_yaml=local))
    assert result.files["a.yaml"] == local.replace(b"'1'", b"'2'")


def test_text_between_documents_stays() -> None:
    licence = b"# Licence\n\n---\n# about a\n"
    base = licence + config("a", "{x: '1'}") + b"---\n# nothing here\n---\n" + config("b") + b"# end\n"
    upstream = base.replace(b"'1'", b"'2'")
    local = base.replace(b"own", b"mine") + b"---\n" + config("l")
    assert update(package(a_yaml=base), package(a_yaml=upstream), package(a_yaml=local)).files[
        "a.yaml"
    ] == local.replace(b"'1'", b"'2'")


def test_what_a_secret_holds_is_not_told() -> None:
    def secret(password: str, label: str) -> bytes:
        text = f"kind: Secret\nmetadata:\n  name: s\n  labels: {{l: {label}}}\nstringData: {{p: {password}}}\n"
        return f"apiVersion: v1\n{text}".encode()

    sides = [package(s_yaml=secret(f"hunter{number}", f"l{number}")) for number in range(3)]
    messages = [conflict.message for conflict in update(*sides).conflicts]
    assert messages == [
        's.yaml: v1/Secret s: metadata.labels.l: local is "l2", upstream is "l1"; kept upstream',
        "s.yaml: v1/Secret s: stringData.p: local is (hidden), upstream is (hidden); kept upstream",
    ]


def test_a_conflict_is_short_whatever_the_values_are() -> None:
    sides = [package(a_yaml=config("a", json.dumps({"k" * 900: str(number) * 1_000_000}))) for number in range(3)]
    (conflict,) = update(*sides).conflicts
    assert len(conflict.message) < 700
    assert len(conflict.local) <= 120


def test_a_conflict_shows_where_long_values_differ() -> None:
    sides = [package(a_yaml=config("a", json.dumps({"k": f"{'x' * 900}{number}{'y' * 900}"}))) for number in range(3)]
    (conflict,) = update(*sides).conflicts
    assert conflict.local == f"…{'x' * 40}2{'y' * 77}…"
    assert conflict.upstream == f"…{'x' * 40}1{'y' * 77}…"


def test_aliases_cannot_grow_without_bound() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
    )
    with pytest.raises(InvalidPackage, match="aliases expand"):
        update(*three(2, bomb.encode()))


def test_a_large_package_is_read_only_where_upstream_changed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counting(side: str, path: str, content: bytes) -> ParsedFile:
        read.append(path)
        return parse_file(side, path, content)

    monkeypatch.setattr(resource_merge, "parse_file", counting)
    files = {f"d{number % 50}/r{number}.yaml": config(f"r{number}", "{x: '1', y: '1'}") for number in range(5000)}
    base = {**package(), **files}
    upstream = {**base, "d7/r7.yaml": config("r7", "{x: '2', y: '1'}"), "n.yaml": config("brand-new")}
    local = {**base, "d7/r7.yaml": config("r7", "{x: '1', y: '2'}"), "d8/r8.yaml": BROKEN}
    outcome = update(base, upstream, local)
    merged = {"d7/r7.yaml": config("r7", "{x: '2', y: '2'}"), "n.yaml": config("brand-new")}
    assert outcome.files == {**local, **merged}
    assert set(read) == set(merged)
    assert all(outcome.files[path] is content for path, content in local.items() if path not in merged)


def test_the_deepest_document_that_is_read_is_merged() -> None:
    def deep(value: int) -> bytes:
        return b"a: " + b'{"a": [' * 98 + str(value).encode() + b"]}" * 98 + b"\n"

    def deep_map(value: int, more: str) -> bytes:
        return b"".join(b" " * level + b"a:\n" for level in range(195)) + b" " * 195 + f"b: {value}{more}\n".encode()

    assert update(*(package(x_yaml=deep(each)) for each in range(3))).files["x.yaml"] == deep(1)
    local = deep_map(0, "\n" + " " * 195 + "c: 1")
    result = update(package(x_yaml=deep_map(0, "")), package(x_yaml=deep_map(1, " # why")), package(x_yaml=local))
    assert result.files["x.yaml"] == local.replace(b"b: 0", b"b: 1 # why")
