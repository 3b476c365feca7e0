"""What a package says is bounded before it is held in memory."""

import pytest

from porchflow.api.limits import KRM_NODES, PIPELINE_FUNCTIONS, YAML_DIRECTIVES, YAML_NODES
from porchflow.kpt.format.krmignore import ignored
from porchflow.kpt.merge.resource_identity import unchanged
from porchflow.kpt.merge.update import UpdateStrategy, update_package
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document, load
from porchflow.yamltext.yaml_error import YamlError
from tests.kpt.rendering import Functions, run
from tests.kptfiles import kptfile

MANY = f"more than {YAML_NODES:,} nodes (the limit): split the document"


@pytest.mark.parametrize(
    "text",
    [
        "a:\n" + "- a\n" * YAML_NODES,
        "".join(f"k{number}: 1\n" for number in range(YAML_NODES // 2 + 1)),
        "[" + "a," * YAML_NODES + "]",
    ],
    ids=["list", "mapping", "brackets"],
)
def test_nodes_are_counted(text: str) -> None:
    with pytest.raises(YamlError) as raised:
        load(text)
    assert raised.value.reason == MANY


def test_directives_are_counted() -> None:
    text = "".join(f"%TAG !t{number}! tag:x,2000:\n" for number in range(YAML_DIRECTIVES + 1)) + "---\na: 1\n"
    with pytest.raises(YamlError) as raised:
        load(text)
    assert str(raised.value) == f"line {YAML_DIRECTIVES + 1}: more than {YAML_DIRECTIVES} directives (the limit)"
    assert load("%YAML 1.2\n# %\n---\na: |\n" + "  %\n" * 1000)


@pytest.mark.parametrize("text", ["[&a 1, &a 2, *a]", "a: &a 1\nb: &a 2\nc: *a\n"])
def test_an_anchor_may_be_there_twice(text: str) -> None:
    value = load(text)
    assert (value if isinstance(value, list) else [*value.values()]) == [1, 2, 2]


def _large(name: str) -> bytes:
    lists = f"  a: [{'a,' * (YAML_NODES - 100)}]\n"
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{lists}".encode()


async def test_nodes_of_all_files_are_counted() -> None:
    files = {"Kptfile": kptfile("p"), **{f"{name}.yaml": _large(name) for name in "abc"}}
    outcome = await run(files, Functions())
    assert not outcome.ok
    assert outcome.message == f"c.yaml: with all before it more than {KRM_NODES:,} nodes (the limit): split the package"


def test_nodes_of_a_merge_are_counted() -> None:
    base, upstream, local = (
        {"Kptfile": kptfile("p"), "a.yaml": _large("a") + line} for line in (b"", b"# b\n", b"# c\n")
    )
    with pytest.raises(InvalidPackage, match=r"a\.yaml: .*with all before it more than"):
        update_package(UpdateStrategy.RESOURCE_MERGE, base=base, upstream=upstream, local=local)


async def test_functions_are_counted() -> None:
    mutators = ", ".join(["{image: f}"] * PIPELINE_FUNCTIONS)
    files = {"Kptfile": kptfile("p", mutators=f"[{mutators}]"), "s/Kptfile": kptfile("s", mutators="[{image: f}]")}
    outcome = await run(files, Functions())
    assert (
        outcome.message
        == "Kptfile: with its subpackages 1,001 functions, more than 1,000 (the limit); split the package"
    )


def test_a_path_is_ignored_with_the_directories_above_it() -> None:
    matches = ignored("a/b/\n!a/b/c\n*.x\n!keep.x\n")
    assert matches("a/b/c")
    assert matches("d/e.x")
    assert not matches("d/keep.x")
    assert not matches("a/b")


def test_blanks_before_a_comment_are_looked_at_once() -> None:
    """A8: 40,000 of them took eight seconds."""
    blanks = " " * 400_000
    one, other = Document(f"a: {{name: x}} # c{blanks}x\n"), Document(f"a:\n  name: x # c{blanks}x\n")
    assert unchanged(one, other)
