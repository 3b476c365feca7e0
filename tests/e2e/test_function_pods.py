"""A package whose function runs in a pod: from kubectl to Git, through all of porchflow's processes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from porchflow.devstack.processes import free_port
from porchflow.kube.client import KubeClient
from tests.conftest import create_namespace
from tests.e2e.packages import git, push_content
from tests.e2e.system import System, condition, is_ready
from tests.kptfiles import kptfile_text
from tests.servers.git import GitRepository
from tests.servers.kubelet import Kubelet
from tests.servers.registry import Registry, running_registry

CONFIG = "kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: web # its name\ndata:\n  colour: blue\n"


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
async def kubelet(kube: KubeClient, wrapper_binary: Path) -> AsyncIterator[Kubelet]:
    """Runs the pods of a namespace for functions."""
    pods = await create_namespace(kube, {})
    async with Kubelet(kube, pods, wrapper_binary).running() as kubelet:
        yield kubelet


@pytest.fixture
async def runner(idle_system: System, kubelet: Kubelet, registry: Registry) -> System:
    """The system with a function runner that has pods."""
    address = f"127.0.0.1:{free_port()}"
    pods = ("--wrapper-server-image", "example.com/wrapper:v1", "--pod-namespace", kubelet.namespace)
    idle_system.start(
        "function-runner", "function-runner", "--function-runner-listen", address, "--function-processes", "1", *pods,
        "--insecure-registries", registry.address,
    )  # fmt: skip
    async with grpc.aio.insecure_channel(address) as channel:
        # A worker that asks too early would ask again, but only after a while.
        await asyncio.wait_for(channel.channel_ready(), 60)
    idle_system.environment["FUNCTION_RUNNER_ADDRESS"] = address
    idle_system.start_watcher()
    idle_system.start_worker()
    return idle_system


async def test_a_package_is_rendered_in_a_pod(
    runner: System, repository: str, git_repository: GitRepository, registry: Registry, kubelet: Kubelet, tmp_path: Path
) -> None:
    script = tmp_path / "function"
    script.write_text("#!/bin/sh\nexec sed 's/colour: blue/colour: green/'\n")
    script.chmod(0o755)
    await registry.push("fn/paint:v1", [str(script)])
    name = await runner.create_draft(repository, "web")
    await runner.ready(name)

    async def push(image: str) -> str:
        files = {"Kptfile": kptfile_text("web", mutators=f"[{{image: {image}}}]"), "config.yaml": CONFIG}
        pushed = await push_content(git_repository.url, "drafts/web/v1", "web", files, tmp_path)
        await runner.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
        return pushed

    # An image that is not there says so at once.
    await push(registry.image("fn/absent:v1"))
    await runner.stalled(name, "RenderFailed")
    await runner.until(name, "says why", lambda obj: "no such image" in condition(obj, "Rendered").get("message", ""))
    assert not kubelet.started

    pushed = await push(registry.image("fn/paint:v1"))
    await runner.until(
        name, "is rendered", lambda obj: is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == pushed
    )
    content = git("show", "drafts/web/v1:web/config.yaml", cwd=git_repository.path)
    assert content + "\n" == CONFIG.replace("blue", "green")
    assert kubelet.started == [registry.image("fn/paint:v1")]
