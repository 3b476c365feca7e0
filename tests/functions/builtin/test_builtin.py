import pytest
import yaml

from porchflow.functions.builtin import BUILTINS, find
from porchflow.functions.builtin.pool import BuiltinRuntime, WorkerPool
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.functions.function_errors import IMAGES_RUN, FunctionNotFound
from porchflow.functions.local import LocalEvaluator
from porchflow.functions.proto.generate import stale
from porchflow.functions.runner.evaluators import Chain
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver
from tests.functions.lists import config, run

CATALOG = "ghcr.io/kptdev/krm-functions-catalog"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (f"{CATALOG}/set-labels:v0.2.0", "set-labels"),
        (f"{CATALOG}/set-labels:v0.2", "set-labels"),
        (f"{CATALOG}/set-labels:latest", "set-labels"),
        ("gcr.io/kpt-fn/set-namespace:v0.4.1", "set-namespace"),
        ("mirror.example.com/fn/apply-setters:v0.2.2", "apply-setters"),
        (f"{CATALOG}/set-labels:0.2.0", "set-labels"),
        (f"{CATALOG}/set-labels:v0.1.4", None),
        (f"{CATALOG}/set-labels:v0.2.99", None),
        (f"{CATALOG}/set-namespace:v0.3", None),
        (f"{CATALOG}/set-namespace:v0.4.2", None),
        (f"{CATALOG}/other:v0.2.0", None),
        ("example.com/set-labels:v0.2.0", None),
        (f"{CATALOG}/set-labels@sha256:0", None),
        (f"{CATALOG}/set-labels:v0.20", None),
        ("set-labels", None),
    ],
)
def test_builtins_stand_for_the_catalogs_images(image: str, name: str | None) -> None:
    builtin = find(image, ["mirror.example.com/fn/"])
    assert (builtin.name if builtin else None) == name


@pytest.mark.parametrize("name", sorted(BUILTINS))
@pytest.mark.parametrize(
    "request_bytes", [b"", b"\xff", b"a: [", b"- x\n", b"kind: Pod\n", b"kind: ResourceList\nitems: 3\n"]
)
def test_garbage_fails_a_function_cleanly(name: str, request_bytes: bytes) -> None:
    reply = execute(BUILTINS[name].run, request_bytes)
    assert reply.exit_code == 1
    assert reply.log.startswith("cannot read the resource list: ")


def test_an_item_that_is_no_yaml_fails_the_function() -> None:
    reply = run("set-labels", "a: [", function_config=config({"a": "b"}))
    assert (reply.exit_code, reply.resource_list) == (1, b"")


@pytest.mark.parametrize(
    "request_text",
    [
        '{"apiVersion":"config.kubernetes.io/v1","kind":"ResourceList","items":[{"kind":"X","metadata":{"name":"x"}}]}',
        "apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n  - kind: X\n    metadata:\n      name: x\n",
        "kind: ResourceList\nitems:\n- &a\n  kind: X\n  metadata: {name: x}\n",
    ],
)
def test_lists_in_any_layout_are_understood(request_text: str) -> None:
    text = request_text.rstrip("\n")
    settings = '"functionConfig": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}}'
    text = text[:-1] + ", " + settings + "}" if text.startswith("{") else text + "\n" + settings
    reply = execute(BUILTINS["set-labels"].run, text.encode())
    assert reply.exit_code == 0, reply.log
    [item] = yaml.safe_load(reply.resource_list)["items"]
    assert item == {"kind": "X", "metadata": {"name": "x", "labels": {"a": "b"}}}


async def test_without_a_runner_only_builtins_run() -> None:
    evaluate = LocalEvaluator()
    answer = await evaluate(
        f"{CATALOG}/set-labels:v0.2", compose_list(["kind: X\n"], function_config=config({"a": "b"}))
    )
    assert b"labels:" in answer.resource_list
    with pytest.raises(FunctionNotFound, match="only built-in functions run because FUNCTION_RUNNER_ADDRESS"):
        await evaluate("example.com/x:v1", b"")
    with pytest.raises(FunctionFailed, match="failed with exit code 1: `FunctionConfig` is not given"):
        await evaluate(f"{CATALOG}/set-labels:v0.2", compose_list(["kind: X\n"]))


async def test_a_function_that_does_not_exist_is_said_in_the_kptfile() -> None:
    kptfile = b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: p}\npipeline:\n  mutators: [{image: nope:v1}]\n"
    outcome = await render({"Kptfile": kptfile}, LocalEvaluator(), images=ImageResolver(CATALOG))
    assert not outcome.ok
    step = yaml.safe_load(outcome.files["Kptfile"])["status"]["renderStatus"]["mutationSteps"][0]
    assert step["executionError"].startswith(f'function "{CATALOG}/nope:v1" not found; only built-in functions run')


def test_the_generated_modules_are_fresh() -> None:
    assert stale() == []


async def test_a_tag_that_is_not_built_in_names_those_that_are_and_what_runs_images() -> None:
    said = "set-namespace with the tag v0.3.4 is not built in: its built-in tags are v0.4, v0.4.5, latest, v0.4.1"
    with pytest.raises(FunctionNotFound, match=said) as raised:
        await LocalEvaluator()(f"{CATALOG}/set-namespace:v0.3.4", b"")
    assert raised.value.hint.endswith(IMAGES_RUN)
    pool = WorkerPool(1)
    chain = Chain([BuiltinRuntime(pool)], hint=IMAGES_RUN)
    with pytest.raises(FunctionNotFound, match=said) as raised:
        await chain.evaluate(f"{CATALOG}/set-namespace:v0.3.4", b"", 1.0)
    assert raised.value.hint.endswith(IMAGES_RUN)
    await pool.aclose()
