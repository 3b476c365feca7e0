import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from porchflow.api.models.functionconfig import FunctionConfig
from porchflow.functions.builtin import BUILTINS
from porchflow.functions.builtin.catalog import configured
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.executable import ExecutableRuntime
from porchflow.functions.function_errors import FunctionNotFound
from porchflow.kpt.format.images import parse_image
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.package_errors import FunctionFailed
from tests.servers.waiting import eventually

LIST = compose_list(["kind: X\nmetadata:\n  name: x\n"])
IMAGE = "example.com/fn/tool:v1"


def function_config(image: str, *prefixes: str, **executors: Any) -> FunctionConfig:
    metadata = {"name": image, "namespace": "n"}
    return FunctionConfig.model_validate(
        {"metadata": metadata, "spec": {"image": image, "prefixes": list(prefixes), **executors}}
    )


def executable(path: str = "tool", *, tags: tuple[str, ...] = ("v1",)) -> dict[str, Any]:
    return {"binaryExecutor": {"tags": list(tags), "path": path}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "functions").mkdir()
    return tmp_path / "functions"


@pytest.fixture
async def runtime(folder: Path) -> ExecutableRuntime:
    configs = FunctionConfigs("example.com/default")
    configs.put(("n", "tool"), function_config("tool", "example.com/fn", **executable()))
    return ExecutableRuntime(folder, configs, slots=2, max_output=100_000, memory_limit=512 * 1024 * 1024)


def script(folder: Path, text: str, name: str = "tool") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


async def test_an_executable_gets_the_list_and_answers(runtime: ExecutableRuntime, folder: Path) -> None:
    script(folder, "sed s/x/y/; echo note >&2")
    evaluation = await runtime.evaluate(IMAGE, LIST, 20)
    assert evaluation.resource_list == LIST.replace(b"x", b"y")
    assert evaluation.log == b"note\n"


async def test_it_sees_nothing_of_the_runner(
    runtime: ExecutableRuntime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/secret")
    script(folder, "cat; env >&2; pwd >&2; ls -A >&2")
    log = (await runtime.evaluate(IMAGE, LIST, 20)).log.decode()
    names = {line.partition("=")[0] for line in log.splitlines() if "=" in line}
    assert names <= {"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}
    [home] = [line.partition("=")[2] for line in log.splitlines() if line.startswith("HOME=")]
    assert not os.path.exists(home)  # noqa: ASYNC240, PTH110 - it is quick


@pytest.mark.parametrize(
    ("text", "exit_code", "message"),
    [
        (
            "echo bad input >&2; exit 3",
            3,
            "function 'example.com/fn/tool:v1': exit status 3 (bad input)",
        ),
        ("kill -9 $$", -9, "Failed to execute function 'example.com/fn/tool:v1': signal 9"),
        (
            "echo a: [",
            1,
            "failed to parse the output of function 'example.com/fn/tool:v1': line 2: did not find expected",
        ),
        ("true", 1, "failed to parse the output"),
        ("head -c 200000 /dev/zero", 1, "was killed: its answer is larger than 100000 bytes"),
    ],
)
async def test_what_fails_is_told(
    runtime: ExecutableRuntime, folder: Path, text: str, exit_code: int, message: str
) -> None:
    script(folder, text)
    with pytest.raises(FunctionFailed) as failed:
        await runtime.evaluate(IMAGE, LIST, 20)
    assert message in failed.value.message
    assert failed.value.exit_code == exit_code


async def test_results_of_a_function_that_fails_are_kept(runtime: ExecutableRuntime, folder: Path) -> None:
    script(folder, "cat; exit 1")
    with pytest.raises(FunctionFailed) as failed:
        await runtime.evaluate(IMAGE, LIST, 20)
    assert failed.value.resource_list == LIST


async def test_one_that_never_ends_is_killed_with_its_children(runtime: ExecutableRuntime, folder: Path) -> None:
    script(folder, f"sleep 1000 & echo $! > {folder}/child; wait")
    with pytest.raises(FunctionFailed, match=r"was killed after 0\.5 s"):
        await runtime.evaluate(IMAGE, LIST, 0.5)
    await _gone(int((folder / "child").read_text()))


async def test_a_cancelled_call_kills_it(runtime: ExecutableRuntime, folder: Path) -> None:
    script(folder, f"echo $$ > {folder}/new; mv {folder}/new {folder}/pid; exec sleep 1000")
    call = asyncio.create_task(runtime.evaluate(IMAGE, LIST, 100))
    await eventually((folder / "pid").exists)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await _gone(int((folder / "pid").read_text()))


async def _gone(pid: int) -> None:
    await eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


async def test_memory_is_bounded(runtime: ExecutableRuntime, folder: Path) -> None:
    script(folder, "exec python3 -c 'import sys; sys.stdin.read(); x = bytearray(10**10)'")
    with pytest.raises(FunctionFailed, match="MemoryError"):
        await runtime.evaluate(IMAGE, LIST, 20)


async def test_only_so_many_run_at_a_time(runtime: ExecutableRuntime, folder: Path) -> None:
    counted = folder / "running"
    counted.mkdir()
    script(folder, f"touch {counted}/$$; ls {counted} | wc -l >> {folder}/seen; cat; rm {counted}/$$")
    await asyncio.gather(*(runtime.evaluate(IMAGE, LIST, 60) for _ in range(10)))
    seen = [int(line) for line in (folder / "seen").read_text().split()]
    assert len(seen) == 10
    assert max(seen) <= 2


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("example.com/fn/tool:v1", True),
        ("example.com/fn/deeper/tool:v1", True),
        ("example.com/fnord/tool:v1", False),
        ("example.com/other/tool:v1", False),
        ("example.com/fn/tool:v2", False),
        ("example.com/fn/tool:v1@sha256:12", False),
        ("example.com/fn/tools:v1", False),
        ("tool:v1", False),
    ],
)
async def test_images_are_matched_by_name_prefix_and_tag(
    runtime: ExecutableRuntime, folder: Path, image: str, *, found: bool
) -> None:
    script(folder, "cat")
    if found:
        assert (await runtime.evaluate(image, LIST, 20)).resource_list == LIST
    else:
        with pytest.raises(FunctionNotFound):
            await runtime.evaluate(image, LIST, 20)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../outside", "is outside of the runner's folder of functions"),
        ("/bin/sh", "is outside of the runner's folder of functions"),
        ("link", "is outside of the runner's folder of functions"),
        ("absent", "there is no executable 'absent'"),
        ("plain", "the file 'plain' is not executable: set its mode"),
        ("sub/tool", ""),
    ],
)
async def test_only_executables_inside_the_folder_run(folder: Path, path: str, problem: str) -> None:
    (folder.parent / "outside").write_text("#!/bin/sh\n")
    (folder.parent / "outside").chmod(0o755)
    (folder / "link").symlink_to("/bin/sh")
    (folder / "plain").write_text("")
    (folder / "sub").mkdir()
    script(folder / "sub", "cat")
    configs = FunctionConfigs()
    configs.put(("n", "tool"), function_config("tool", **executable(path)))
    runtime = ExecutableRuntime(folder, configs, slots=1, max_output=100_000)
    assert problem in runtime.problem(path)
    assert bool(problem) == bool(runtime.problem(path))
    if problem:
        with pytest.raises(FunctionNotFound, match=problem.split("'", maxsplit=1)[0].strip()):
            await runtime.evaluate(IMAGE, LIST, 20)
    else:
        assert (await runtime.evaluate(IMAGE, LIST, 20)).resource_list == LIST


async def test_what_cannot_be_started_is_told(runtime: ExecutableRuntime, folder: Path) -> None:
    (folder / "tool").write_bytes(b"\x7fELFnot")
    (folder / "tool").chmod(0o755)
    with pytest.raises(FunctionFailed, match=r"Failed to execute function .*: tool: Exec format error"):
        await runtime.evaluate(IMAGE, LIST, 20)


async def test_a_large_input_that_is_not_read_is_no_problem(runtime: ExecutableRuntime, folder: Path) -> None:
    script(folder, "printf 'apiVersion: config.kubernetes.io/v1\\nkind: ResourceList\\nitems: []\\n'")
    answer = await runtime.evaluate(IMAGE, LIST + b"#" * 5_000_000, 20)
    assert b"items: []" in answer.resource_list


def test_function_configs_say_what_more_images_are_builtin() -> None:
    configs = FunctionConfigs("example.com/default/")
    configs.put(("n", "a"), function_config("labels", "", goExecutor={"tags": ["v9"], "id": "set-labels"}))
    configs.put(("n", "b"), function_config("set-image", "mirror.io/x", goExecutor={"tags": ["main"]}))
    assert configured("example.com/default/labels:v9", configs) is BUILTINS["set-labels"]
    assert configured("example.com/other/labels:v9", configs) is None
    assert configured("example.com/default/labels:v8", configs) is None
    assert configured("mirror.io/x/set-image:main", configs) is BUILTINS["set-image"]
    assert configured("mirror.io/x/set-image:main@sha256:1", configs) is None
    configs.remove(("n", "b"))
    assert configured("mirror.io/x/set-image:main", configs) is None
    assert configs.keys() == {("n", "a")}


@pytest.mark.parametrize(
    ("tags", "runs", "else_not"),
    [
        (("v1",), ("v1",), ("v1.0", "v1.0.0", "1", "latest", "")),
        (
            (">= v0.4.0 < v0.5.0",),
            ("v0.4.0", "v0.4.9", "0.4.1", "v0.4"),
            ("v0.5.0", "v0.3", "latest", "v0.4.1-rc.1", ""),
        ),
        (("~0.4",), ("v0.4.3",), ("v0.5.0",)),
        (("v0.4.x", "latest"), ("v0.4.3", "latest"), ("v0.5.0", "main")),
        (("*",), ("v1", "latest", "main", ""), ()),
        (("no tag", ">", "v1"), ("v1",), ("v2",)),
    ],
)
async def test_tags_may_be_constraints(
    folder: Path, tags: tuple[str, ...], runs: tuple[str, ...], else_not: tuple[str, ...]
) -> None:
    script(folder, "cat")
    configs = FunctionConfigs()
    configs.put(("n", "tool"), function_config("tool", **executable(tags=tags)))
    configs.put(("n", "built"), function_config("built", goExecutor={"tags": list(tags), "id": "set-labels"}))
    runtime = ExecutableRuntime(folder, configs, slots=2, max_output=100_000)
    for tag in runs:
        assert (await runtime.evaluate(f"r.io/tool:{tag}".rstrip(":"), LIST, 20)).resource_list == LIST
        assert configured(f"r.io/built:{tag}".rstrip(":"), configs) is BUILTINS["set-labels"]
    for tag in else_not:
        with pytest.raises(FunctionNotFound):
            await runtime.evaluate(f"r.io/tool:{tag}".rstrip(":"), LIST, 20)
        assert configured(f"r.io/built:{tag}".rstrip(":"), configs) is None
    with pytest.raises(FunctionNotFound):
        await runtime.evaluate(f"r.io/tool:{runs[0]}@sha256:1", LIST, 20)


async def test_a_listed_tag_goes_before_a_constraint(folder: Path) -> None:
    script(folder, "echo constraint >&2; cat", "a")
    script(folder, "echo listed >&2; cat", "b")
    configs = FunctionConfigs()
    configs.put(("n", "a"), function_config("tool", **executable("a", tags=("*", "^1"))))
    configs.put(("n", "b"), function_config("tool", **executable("b", tags=("v1.1",))))
    runtime = ExecutableRuntime(folder, configs, slots=2, max_output=100_000)
    assert [(await runtime.evaluate(f"r.io/tool:{tag}", LIST, 20)).log for tag in ("v1.1", "v1.2")] == [
        b"listed\n",
        b"constraint\n",
    ]


def test_a_config_that_names_the_registry_comes_before_one_that_does_not() -> None:
    configs = FunctionConfigs()
    configs.put(("n", "a"), function_config("f", goExecutor={"tags": ["v1"]}))
    configs.put(("n", "b"), function_config("f", "r.io", goExecutor={"tags": ["v2"]}))
    found = [spec.prefixes for spec in configs.matching(parse_image("r.io/f:v1"))]
    assert found == [["r.io"], []]
