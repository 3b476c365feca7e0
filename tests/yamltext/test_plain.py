"""The quick reader gives the tree that libyaml's events give, or none."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.api.limits import YAML_DEPTH
from porchflow.yamltext.nodes import compose_events
from porchflow.yamltext.plain import compose_plain
from porchflow.yamltext.tree import AliasNode, MappingNode, Node, ScalarNode
from tests.yamltext.yaml_documents import documents

relaxed = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

KEYS = ["a", "b", "c", "name", "x.y/z-1", "n", "true", "on"]
SCALARS = [
    "x", "1", "-1", "1.10", "0x1F", "012", "1e3", ".5", "true", "null", "~", "on", "x y", "a:b", "a#b", "v1  ", "x # c",
    "'q'", '"q"', "'it''s'", '"a: b"', "'a' # c", "''", '""', "{}", "[]", "http://x/y", "$(A)", "2026-01-01", "--flag",
]  # fmt: skip
NOISE = [" ", "\n", "  ", "- ", ":", ": ", "", "'", '"', "x", "#", " #", "\t", "|", "&a", "*a", "---\n", "\\", "é", "{"]


def tree(node: Node | None) -> Any:
    if isinstance(node, ScalarNode):
        written = getattr(node.value, "text", None)
        return "scalar", node.start, node.end, node.raw, node.style, type(node.value), repr(node.value), written
    if node is None or isinstance(node, AliasNode):
        return node
    common = (node.start, node.end, node.flow, node.column, repr(node.value))
    if isinstance(node, MappingNode):
        return "mapping", *common, node.merged, [(tree(key), tree(value)) for key, value in node.entries]
    return "list", *common, [tree(item) for item in node.items]


def lines(chance: random.Random, indent: int, depth: int = 0) -> list[str]:
    made = []
    for key in chance.sample(KEYS, chance.randint(1, 4)):
        made += chance.choices(["", " " * chance.randint(0, 6) + "# c", " " * indent], [18, 1, 1])[:1]
        kind = chance.random() if depth < 4 else 0
        start = " " * indent + key + ":"
        if kind < 0.55:
            made.append(start + " " * chance.choice([1, 1, 2]) + chance.choice(SCALARS))
        elif kind < 0.75:
            made += [
                start + chance.choice(["", " ", "  # c"]),
                *lines(chance, indent + chance.choice([1, 2, 4]), depth + 1),
            ]
        else:
            made += [start, *items(chance, indent + chance.choice([0, 2, 4]), depth + 1)]
    return made


def items(chance: random.Random, indent: int, depth: int) -> list[str]:
    made = []
    for _ in range(chance.randint(1, 3)):
        gap = chance.choice([1, 1, 3])
        if chance.random() < 0.5:
            made.append(" " * indent + "-" + " " * gap + chance.choice(SCALARS))
            continue
        inside = [line for line in lines(chance, indent + 1 + gap, depth) if line.strip(" ").strip("# c")]
        made += [" " * indent + "-" + " " * gap + inside[0].lstrip(), *inside[1:]]
    return made


def test_the_plain_kind_is_read_as_libyaml_reads_it() -> None:
    chance = random.Random(5)
    read = 0
    for _ in range(800):
        text = "\n".join(lines(chance, 0)) + chance.choice(["", "\n", "\n\n# end\n"])
        plain = compose_plain(text)
        if plain is not None:
            assert tree(plain) == tree(compose_events(text)), text
            read += 1
    assert read > 400


@relaxed
@given(st.randoms(use_true_random=False), st.data())
def test_what_is_spoiled_is_read_alike_or_not_at_all(chance: random.Random, data: st.DataObject) -> None:
    text = "\n".join(lines(chance, 0))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(NOISE)) + text[at + data.draw(st.integers(0, 2)) :]
    plain = compose_plain(text)
    if plain is not None:
        assert tree(plain) == tree(compose_events(text))


@relaxed
@given(documents())
def test_any_document_is_read_alike_or_not_at_all(text: str) -> None:
    plain = compose_plain(text)
    if plain is not None:
        assert tree(plain) == tree(compose_events(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "# c\n", "x", "- a", " a: 1", "a:", "a: 1\na: 2", "a: |\n  x\n", "a: x\n  y\n", "a: 'x\n  y'", "a: &x 1",
        "a: {b: c}", "a: b: c", "a: b:", "? a\n: b", "a: 'x'#c", "a:\n  b: 1\n c: 2", "a:\n- x\n  - y", "a: !t x",
        "--- {}\na: 1", "a: 1\n...\n", "a: 1\n---\nb: 2", "a: <<\n<<: {}", "\ta: 1", "a: 1\r\n", "a: \x07", "ä: 1",
        "a:\n- - b", "a:\n-\n  b: 1", "a: - b",
    ],
)  # fmt: skip
def test_other_kinds_are_left_to_libyaml(text: str) -> None:
    assert compose_plain(text) is None


def test_what_is_too_deep_is_left_to_libyaml() -> None:
    deep = "".join(" " * level + "a:\n" for level in range(YAML_DEPTH)) + " " * YAML_DEPTH + "a: 1\n"
    assert compose_plain(deep) is None
