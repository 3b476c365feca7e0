"""The cases that kpt's and kyaml's own tests cover, in our words.

Source: docs/reference/kpt-merge.md, "Cases of kpt's own tests".
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from porchflow.kpt.format.kptfile import RENDERED
from porchflow.kpt.merge.kptfile_merge import merge_kptfiles
from porchflow.kpt.merge.merge_result import ABSENT
from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.sides import Sides
from porchflow.kpt.merge.text import merge_documents
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document, dump, load
from porchflow.yamltext.nodes import Value
from tests.kpt.merge.packages import config, package, update
from tests.kptfiles import kptfile

SCHEMAS = Schemas(Sides({}, {}, {}))


def merged(base: str, upstream: str, local: str, shape_of: str = "") -> Document:
    shape = SCHEMAS.shape_of(load(shape_of))
    return merge_documents(Document(base), Document(upstream), Document(local), shape)[0]


TABLES = yaml.safe_load((Path(__file__).parents[1] / "data" / "merge" / "reference_cases.yaml").read_text())
SIDES = ("base", "upstream", "local", "expected")


def table(name: str) -> Any:
    """Cases of a table, four versions each; `ABSENT` where one has nothing."""
    rows = [pytest.param(*(row.get(side, ABSENT) for side in SIDES), id=str(row["case"])) for row in TABLES[name]]
    return pytest.mark.parametrize(SIDES, rows)


@table("values")
def test_values(base: Value, upstream: Value, local: Value, expected: Value) -> None:
    assert merged(*map(dump, (base, upstream, local))).value == expected


@pytest.mark.parametrize(
    ("base", "upstream", "local", "expected"),
    [
        pytest.param("r: 3 #c", "r: 3", "r: 3", "r: 3", id="a comment removed locally stays removed"),
        pytest.param("r: 3", "r: 3 #c", "r: 3", "r: 3 #c", id="8 a comment added upstream"),
        pytest.param("r: 3 #c", "r: 3 #c2", "r: 3 #c", "r: 3 #c2", id="9 a comment changed upstream"),
        pytest.param("r: 3 #c", "r: 3 #c", "r: 4", "r: 4", id="10 value changed and comment removed locally"),
        pytest.param("r: 3", "r: 3 #c", "r: 4", "r: 4", id="a comment for a value that was changed locally"),
        pytest.param("l: #c\n- 1\n- 2", "l: #u\n- 2\n- 3", "l: #c\n- 1\n- 2", "l: #u\n- 2\n- 3", id="18"),
        pytest.param("l: #o\n- 1\n- 2", "l: #u\n- 2\n- 3", "l: #l\n- 1\n- 2", "l: #l\n- 2\n- 3", id="19"),
        pytest.param("l: #o\n- 1\n- 2", "l: #u\n- 2\n- 3", "l:\n- 1\n- 2", "l:\n- 2\n- 3", id="20"),
        pytest.param("d: {k: o}", "d: {k: o, 'x': 'u'}", 'd: {"x": "l"}', 'd: {"x": "u"}', id="28 quotes stay"),
    ],
)  # fmt: skip
def test_comments_and_quotes(base: str, upstream: str, local: str, expected: str) -> None:
    # The first field keeps the sides apart as texts, so that each comment is merged and not the file taken over.
    text = merged(f"x: 1\n{base}\n", f"x: 1\n{upstream}\n", f"x: 2\n{local}\n").text
    assert text == f"x: 2\n{expected}\n"


POD = "apiVersion: v1\nkind: Pod\n"


def pod(containers: Value) -> str:
    return POD + dump({"spec": {} if containers is ABSENT else {"containers": containers}})


@table("containers")
def test_elements_by_name(base: Value, upstream: Value, local: Value, expected: Value) -> None:
    assert merged(*map(pod, (base, upstream, local)), POD).value == load(pod(expected))


@table("ports")
def test_elements_by_two_keys(base: Value, upstream: Value, local: Value, expected: Value) -> None:
    sides = (pod([{"name": "c", "ports": ports}]) for ports in (base, upstream, local))
    assert merged(*sides, POD).value == load(pod([{"name": "c", "ports": expected}]))


@table("kptfiles")
def test_kptfiles(base: Value, upstream: Value, local: Value, expected: Value) -> None:
    def file(name: str, value: Value) -> bytes:
        return kptfile(name, "" if value is ABSENT else dump(value))

    outcome = update(*(package(Kptfile=file(*side)) for side in (("u", base), ("u", upstream), ("l", local))))
    assert load(outcome.files["Kptfile"].decode()) == load(file("l", expected).decode())


@pytest.mark.parametrize(
    ("take", "expected"), [(False, ""), (True, "upstream: {git: {ref: v2}}\nupstreamLock: {git: {commit: c2}}\n")]
)
def test_49j_upstream_is_taken_over_only_where_asked_for(take: bool, expected: str) -> None:
    base = Document(kptfile("u", "upstream: {git: {ref: v1}}\n").decode())
    upstream = Document(kptfile("u", "upstream: {git: {ref: v2}}\nupstreamLock: {git: {commit: c2}}\n").decode())
    document, clashes = merge_kptfiles(base, upstream, Document(kptfile("l").decode()), take_upstream=take)
    assert document.value == load(kptfile("l", expected).decode())
    assert not clashes


def test_50_label_and_annotation_of_different_sides() -> None:
    base = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\n"
    text = merged(base, base + "  annotations: {a: u}\n", base + "  labels:\n    l: l\n", base).text
    assert text == base + "  labels:\n    l: l\n  annotations:\n    a: u\n"


SUB = {"bar/Kptfile": kptfile("bar"), "bar/d.yaml": config("bar")}


def test_52_a_subpackage_with_resources_of_both_sides() -> None:
    base = package(**SUB)
    files = update(base, {**base, "bar/z.yaml": config("zork")}, {**base, "bar/a.yaml": config("abc")}).files
    assert sorted(files) == ["Kptfile", "bar/Kptfile", "bar/a.yaml", "bar/d.yaml", "bar/z.yaml"]


def test_53_a_subpackage_added_on_both_sides() -> None:
    other = {**package(**SUB), "abc/Kptfile": kptfile("abc"), "abc/x.yaml": config("x")}
    mine = {**other, "abc/Kptfile": kptfile("abc", "info: {site: x}\n")}
    with pytest.raises(InvalidPackage, match=r"^abc: the subpackage was added in both"):
        update(package(**SUB), other, mine)
    assert update(package(**SUB), other, dict(other)).files == other


def test_54_a_directory_made_a_package_locally() -> None:
    base = package(**{"bar/d.yaml": config("bar")})
    upstream = {**base, "bar/n.yaml": config("new")}
    local = {**base, "bar/Kptfile": kptfile("bar")}
    assert update(base, upstream, local).files == {**local, **upstream}


@pytest.mark.parametrize(("local", "expected"), [(b"1", b"2"), (b"L", b"L")])
def test_55_a_file_that_is_no_resource(local: bytes, expected: bytes) -> None:
    assert update(package(f=b"1"), package(f=b"2"), package(f=local)).files == package(f=expected)


def test_56_the_rendered_condition_is_no_upstream_matter() -> None:
    local = kptfile("l", f"status:\n  conditions:\n  - type: {RENDERED}\n    status: 'True'\n")
    files = update(package(), package(n=b""), package(Kptfile=local)).files
    assert files == package(Kptfile=local, n=b"")
