"""The function runner as a process that is told to stop over a call: it finishes that, and takes no other."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from porchflow.devstack.processes import free_port
from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.function_errors import RunnerUnavailable
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import FUNCTIONCONFIGS, PODS
from tests.cli.runner.test_function_runner import LIST, function_config, metrics_at, runner, settled
from tests.servers.control_plane import ControlPlane
from tests.servers.kubelet import Kubelet
from tests.servers.registry import Registry
from tests.servers.waiting import eventually

LABELS = "ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2"
HELD = "#!/bin/sh\ntouch {0}/began; while [ ! -e {0}/go ]; do sleep 0.05; done; sed s/name:.x/name:\\ y/\n"
"""A function that says that it began, and ends when it is told to."""


class Held:
    """An executable that runs until it is let go."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.path = folder / "tool"
        self.path.write_text(HELD.format(folder))
        self.path.chmod(0o755)

    def began(self) -> bool:
        return (self._folder / "began").exists()

    async def go(self) -> None:
        await eventually(self.began)
        (self._folder / "go").touch()


class Running:
    """A runner that can be asked and stopped."""

    def __init__(
        self, evaluate: GrpcEvaluator, process: asyncio.subprocess.Process, address: str, metrics: str
    ) -> None:
        self.evaluate, self.process, self.address, self._metrics = evaluate, process, address, metrics

    async def begin(self, image: str) -> "asyncio.Task[bytes]":
        """Begin a call, and wait until the runner has it."""

        async def call() -> bytes:
            return (await self.evaluate(image, LIST)).resource_list

        async def counted() -> bool:
            return (await metrics_at(self._metrics))["porchflow_function_calls_under_way"] == 1

        task = asyncio.create_task(call())
        await eventually(counted)
        return task

    async def drains(self, call: "asyncio.Task[bytes]", let_go: Callable[[], Awaitable[None]]) -> bytes:
        """Stop it over a call; returns what the call answers."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())  # type: ignore[no-untyped-call]
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            self.process.send_signal(signal.SIGTERM)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            await self._refuses()
            assert not call.done()
            assert self.process.returncode is None
            await let_go()
            answer = await call
            # A call would have half a minute: the client that watches its health must not count as one.
            assert await asyncio.wait_for(self.process.wait(), 15) == 0
        return answer

    async def _refuses(self) -> None:
        # It may also have come too late for gRPC, which then says less: refused, reset, cancelled.
        refused = "UNAVAILABLE: |CANCELLED: it takes no more calls"
        async with GrpcEvaluator(self.address, max_message_size=100_000, deadline=10) as other:
            for evaluate in (self.evaluate, other):
                with pytest.raises(RunnerUnavailable, match=refused):
                    await evaluate(LABELS, LIST)


@asynccontextmanager
async def started(*flags: object) -> AsyncIterator[Running]:
    address, metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
    async with runner("--metrics-address", metrics, *flags, address=address) as (evaluate, process):
        yield Running(evaluate, process, address, metrics)


async def test_a_builtin_function_ends() -> None:
    async with started() as running:
        [worker] = psutil.Process(running.process.pid).children()
        worker.suspend()

        async def let_go() -> None:
            worker.resume()

        assert b"labels:" in await running.drains(await running.begin(LABELS), let_go)
        await eventually(lambda: not worker.is_running())


async def test_an_executable_ends(
    kube: KubeClient, namespace: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    held = Held(tmp_path)
    executor = {"tags": ["v1"], "path": held.path.name}
    await kube.create(FUNCTIONCONFIGS, function_config(namespace, "tool", binaryExecutor=executor))
    flags = ("--function-config-namespace", namespace, "--kubeconfig", control_plane.kubeconfig)
    async with started(*flags, "--functions-dir", tmp_path) as running:
        await settled(kube, namespace, "tool")
        call = await running.begin("r.io/tool:v1")
        await eventually(held.began)
        assert b"name: y" in await running.drains(call, held.go)


async def test_a_call_that_waits_for_its_pod_gets_it_and_ends(
    kube: KubeClient,
    namespace: str,
    control_plane: ControlPlane,
    registry: Registry,
    wrapper_binary: Path,
    tmp_path: Path,
) -> None:
    held = Held(tmp_path)
    await registry.push("fn/tool:v1", [str(held.path)])

    async def pods() -> list[str]:
        return [pod["metadata"]["uid"] async for pod in kube.list_all(PODS, namespace) if _stays(pod)]

    flags = ("--wrapper-server-image", "example.com/wrapper:v1", "--pod-namespace", namespace)
    async with started(
        *flags, "--kubeconfig", control_plane.kubeconfig, "--insecure-registries", registry.address
    ) as running:
        call = await running.begin(registry.image("fn/tool:v1"))
        before = await eventually(pods)
        async with Kubelet(kube, namespace, wrapper_binary).running() as kubelet:
            assert b"name: y" in await running.drains(call, held.go)
            # The next runner uses it.
            assert await pods() == before
            assert not [child for pod in kubelet.pods.values() for child in pod.children()]


def _stays(pod: dict[str, dict[str, str]]) -> bool:
    return "deletionTimestamp" not in pod["metadata"]
