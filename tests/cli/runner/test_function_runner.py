"""The function runner as a process that follows FunctionConfigs of a real API server."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from porchflow.cli.main import main
from porchflow.devstack.processes import free_port
from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.function_errors import FunctionNotFound, RunnerUnavailable
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import FUNCTIONCONFIGS
from tests.functions.lists import config
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[3]
LIST = compose_list(["kind: X\nmetadata:\n  name: x\n"], function_config=config({"a": "b"}))


@asynccontextmanager
async def runner(*flags: object, address: str = "") -> AsyncIterator[tuple[GrpcEvaluator, asyncio.subprocess.Process]]:
    """Start the command with these flags, at a free address if none is given."""
    address = address or f"127.0.0.1:{free_port()}"
    command = (sys.executable, "-m", "porchflow.cli.main", "function-runner", "--function-runner-listen", address)
    process = await asyncio.create_subprocess_exec(
        *command, "--function-processes", "1", *map(str, flags), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)
            health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            answer = await health.Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        async with GrpcEvaluator(address, max_message_size=1_000_000, deadline=30) as client:
            yield client, process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


def function_config(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": FUNCTIONCONFIGS.api_version,
        "kind": FUNCTIONCONFIGS.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"image": name, **spec},
    }


async def status(kube: KubeClient, namespace: str, name: str) -> dict[str, Any]:
    return dict((await kube.get(FUNCTIONCONFIGS, namespace, name)).get("status") or {})


async def test_function_configs_are_followed_live(
    kube: KubeClient, namespace: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\nsed s/name:.x/name:\\ from-tool/\n")
    (tmp_path / "tool").chmod(0o755)
    metrics = f"127.0.0.1:{free_port()}"
    labels = function_config(namespace, "labels", goExecutor={"tags": ["v1"], "id": "set-labels"})
    await kube.create(FUNCTIONCONFIGS, labels)
    flags = ("--function-config-namespace", namespace, "--kubeconfig", control_plane.kubeconfig)
    async with runner(*flags, "--functions-dir", tmp_path, "--metrics-address", metrics) as (evaluate, _):
        answer = await eventually(lambda: _evaluated(evaluate, "r.io/labels:v1"))
        assert b"labels:" in answer
        assert (await settled(kube, namespace, "labels")) == {"functionRunnerObservedGeneration": 1}

        tool = function_config(namespace, "tool", binaryExecutor={"tags": ["v1"], "path": "tool"})
        created = await kube.create(FUNCTIONCONFIGS, tool)
        assert b"from-tool" in await eventually(lambda: _evaluated(evaluate, "r.io/tool:v1"))

        changed = {"spec": {"binaryExecutor": {"tags": ["v2"], "path": "absent"}}}
        await kube.merge_patch(FUNCTIONCONFIGS, namespace, "tool", changed)
        said = await eventually(lambda: _at_generation(kube, namespace, "tool", 2))
        assert said["error"].startswith("binaryExecutor: there is no executable 'absent'")
        with pytest.raises(FunctionNotFound, match="there is no executable 'absent'"):
            await evaluate("r.io/tool:v2", LIST)
        with pytest.raises(FunctionNotFound):
            await evaluate("r.io/tool:v1", LIST)

        wrong = {"spec": {"binaryExecutor": None, "goExecutor": {"tags": ["v1"], "id": "nope"}}}
        await kube.merge_patch(FUNCTIONCONFIGS, namespace, "tool", wrong)
        said = await eventually(lambda: _at_generation(kube, namespace, "tool", 3))
        assert said["error"].startswith("goExecutor: there is no built-in function 'nope'; those there are: apply-")

        pods = {"spec": {"goExecutor": None, "podExecutor": {}}}
        await kube.merge_patch(FUNCTIONCONFIGS, namespace, "tool", pods)
        said = await eventually(lambda: _at_generation(kube, namespace, "tool", 4))
        assert said["error"] == "podExecutor: the function runner starts no pods: set WRAPPER_SERVER_IMAGE"

        await kube.delete(FUNCTIONCONFIGS, namespace, "labels")
        await eventually(lambda: _not_found(evaluate, "r.io/labels:v1"))
        assert created["metadata"]["name"] == "tool"

        counted = await metrics_at(metrics)
        assert counted['porchflow_function_calls_total{function="labels",outcome="succeeded"}'] >= 1
        assert counted['porchflow_function_calls_total{function="tool",outcome="succeeded"}'] == 1
        assert counted['porchflow_function_calls_total{function="other",outcome="not_found"}'] >= 2
        assert counted["porchflow_function_calls_under_way"] == 0
        assert counted['porchflow_function_seconds_count{function="tool"}'] == 1


async def test_without_the_api_server_builtins_run_and_the_rest_is_tried_again(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    port = free_port()
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
        f"clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n"
    )
    async with runner("--function-config-namespace", "n", "--kubeconfig", kubeconfig) as (evaluate, _):
        answer = await evaluate("ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2", LIST)
        assert b"labels:" in answer.resource_list
        with pytest.raises(Exception, match="the FunctionConfigs are not listed yet") as raised:
            await evaluate("r.io/tool:v1", LIST)
        assert not isinstance(raised.value, FunctionFailed)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--functions-dir", "/nowhere"], "(--functions-dir): /nowhere is no folder"),
        (
            ["--wrapper-server-image", "w", "--registry-ca", "/nowhere"],
            "(--registry-ca): cannot use /nowhere: No such file or directory",
        ),
        (["--wrapper-server-image", "w", "--kubeconfig", "/nowhere"], "PORCHFLOW_KUBECONFIG (--kubeconfig): "),
        (["--pod-ttl", "30m"], "PORCHFLOW_POD_TTL (--pod-ttl): Input should be a valid number"),
        (["--image-platform", "amd64"], "(--image-platform): String should match pattern"),
        (["--function-runner-tls-cert", "/x"], "the function runner's TLS: give both a certificate and its key"),
        (["--function-runner-tls-cert", "/x", "--function-runner-tls-key", "/y"], "cannot read /x: No such file"),
    ],
)
def test_wrong_settings_end_the_start(flags: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["function-runner", "--function-runner-listen", "127.0.0.1:1", *flags])
    assert result.exit_code == 2
    assert message in result.stderr


async def when_listed(evaluate: GrpcEvaluator, image: str) -> bytes:
    """Return the answer of a runner that may not have listed the FunctionConfigs, or the pods, since it began."""

    async def answer() -> bytes | None:
        try:
            return (await evaluate(image, LIST)).resource_list
        except RunnerUnavailable as error:
            if "not listed yet" not in error.reason:
                raise
            return None

    return bytes(await eventually(answer))


async def _evaluated(evaluate: GrpcEvaluator, image: str) -> bytes | None:
    try:
        return await when_listed(evaluate, image)
    except FunctionNotFound:
        return None


async def _not_found(evaluate: GrpcEvaluator, image: str) -> bool:
    return await _evaluated(evaluate, image) is None


async def _at_generation(kube: KubeClient, namespace: str, name: str, generation: int) -> dict[str, Any] | None:
    found = await status(kube, namespace, name)
    return found if found.get("functionRunnerObservedGeneration") == generation else None


async def settled(kube: KubeClient, namespace: str, name: str) -> dict[str, Any]:
    return await eventually(lambda: _at_generation(kube, namespace, name, 1))


async def metrics_at(address: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as response:
        text = await response.text()
    return {match[1]: float(match[2]) for match in re.finditer(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}
