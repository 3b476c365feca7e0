"""Whatever is in a package, whatever a function answers: a clear outcome, no exception, no file elsewhere."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from porchflow.functions.builtin.catalog import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.kpt.format.files import path_problem
from porchflow.kpt.format.resource_list import split_list
from porchflow.yamltext.document import load
from porchflow.yamltext.yaml_error import YamlError
from tests.kpt.rendering import Functions, config_map, run
from tests.kptfiles import kptfile
from tests.yamltext.yaml_documents import contents

relaxed = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@relaxed
@given(contents, contents)
@example(b"a: &a {b: *a}", b"")
@example(b"\xef\xbb\xbf", b"---\n---\n")
async def test_any_content_gives_an_outcome(one: bytes, two: bytes) -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "a.yaml": one, "b/c.json": two, "d.txt": one}
    outcome = await run(files, Functions())
    if outcome.ok:
        changed = {path for path in files if outcome.files.get(path) != files[path]}
        assert changed <= {"Kptfile"}
    else:
        assert outcome.message
        assert {**outcome.files, "Kptfile": b""} == {**files, "Kptfile": b""}


@relaxed
@given(contents)
async def test_any_kptfile_gives_an_outcome(content: bytes) -> None:
    outcome = await run({"Kptfile": content, "c.yaml": config_map("c")}, Functions())
    assert outcome.ok or outcome.message


@relaxed
@given(contents, st.booleans())
async def test_any_answer_gives_an_outcome(answer: bytes, framed: bool) -> None:
    text = b"kind: ResourceList\nitems:\n- " + answer.replace(b"\n", b"\n  ") if framed else answer
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "c.yaml": config_map("c")}
    outcome = await run(files, Functions(f=lambda _: text))
    assert outcome.ok or outcome.message
    assert not any(path_problem(path) for path in outcome.files)


@relaxed
@given(contents, st.sampled_from(sorted(BUILTINS)))
def test_any_request_gives_a_reply(request: bytes, name: str) -> None:
    config = b"functionConfig:\n  apiVersion: v1\n  kind: ConfigMap\n  data: {a: b, namespace: n}\n"
    framed = b"kind: ResourceList\nitems:\n- " + request.replace(b"\n", b"\n  ") + b"\n" + config
    for content in (request, framed):
        reply = execute(BUILTINS[name].run, content)
        assert reply.exit_code in (0, 1)
        assert reply.exit_code == 0 or reply.log


@pytest.mark.parametrize(
    "text",
    [
        "a: '" + "x" * 10_000_000 + "'\n",
        "a: |\n" + "  line\n" * 500_000,
        "[" * 1_000_000,
        "- " * 100_000,
        "a: {" * 100_000,
        "".join(f"{' ' * i}a:\n" for i in range(3000)),
        "a: &a x\nb: [" + "*a," * 90_000 + "]\n",
        "&a " * 10_000,
        "? " * 50_000,
        "'" * 1_000_001,
        "a: " + "1" * 1_000_000 + "\n",
    ],
    ids=["big", "long", "flow", "dashes", "braces", "stairs", "aliases", "anchors", "questions", "quotes", "digits"],
)
def test_large_and_deep_texts_end_soon(text: str) -> None:
    """The time limit of the test run is the assertion."""
    with suppress(YamlError):
        assert load(text)


@relaxed
@given(contents)
def test_a_list_is_read_or_refused(content: bytes) -> None:
    with suppress(YamlError):
        assert isinstance(split_list(content).items, list)
