"""What asks for something newer ends a rendering under way, down to the process of its function."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from porchflow.devstack.processes import free_port
from porchflow.kube.kinds import FUNCTIONCONFIGS, PACKAGEREVISIONS
from tests.cli.runner.test_function_runner import function_config, settled
from tests.e2e.packages import DEPLOYMENT, push_content
from tests.e2e.system import System, condition, is_ready
from tests.kptfiles import kptfile_text
from tests.servers.git import GitRepository
from tests.servers.waiting import eventually

ENDLESS = """\
apiVersion: fn.kpt.dev/v1alpha1
kind: StarlarkRun
metadata: {name: endless, annotations: {config.kubernetes.io/local-config: "true"}}
source: |
  def count():
    for number in range(1000000):
      for number in range(1000000):
        pass
  count()
"""


class Draft:
    """A draft whose content is pushed with git."""

    def __init__(self, system: System, git: GitRepository, folder: Path, name: str) -> None:
        self.system, self.name = system, name
        self._git, self._folder = git, folder

    async def push(self, mutator: str, **files: str) -> str:
        """Push a package with one mutator, and ask for its rendering; returns the request."""
        named = {
            "Kptfile": kptfile_text("web", mutators=f"[{{{mutator}}}]"),
            "deployment.yaml": DEPLOYMENT,
            **{f"{k}.yaml": v for k, v in files.items()},
        }
        pushed = await push_content(self._git.url, "drafts/web/v1", "web", named, self._folder)
        await self.system.patch(self.name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
        return pushed

    async def rendering(self, request: str) -> dict[str, Any]:
        """Wait until the status says that this request is being rendered."""
        return await self.system.until(
            self.name,
            "is being rendered",
            lambda obj: (
                obj["status"].get("renderingPrrResourceVersion") == request
                and condition(obj, "Rendered")["status"] == "Unknown"
            ),
        )

    async def rendered(self, request: str) -> None:
        """Wait until this request was rendered; in less time than a function may take."""
        await self.system.until(
            self.name,
            "is rendered",
            lambda obj: (
                is_ready(obj)
                and obj["status"].get("observedPrrResourceVersion") == request
                and "renderingPrrResourceVersion" not in obj["status"]
            ),
        )


@pytest.fixture
async def draft(idle_system: System, repository: str, git_repository: GitRepository, tmp_path: Path) -> Draft:
    """A draft in a system whose function runner has one process, and a folder of executables."""
    system, address = idle_system, f"127.0.0.1:{free_port()}"
    system.start(
        "function-runner", "function-runner", "--function-runner-listen", address, "--function-processes", "1",
        "--functions-dir", str(tmp_path), "--function-config-namespace", system.namespace,
    )  # fmt: skip
    async with grpc.aio.insecure_channel(address) as channel:
        await asyncio.wait_for(channel.channel_ready(), 60)
    system.environment["FUNCTION_RUNNER_ADDRESS"] = address
    system.start_watcher()
    system.start_worker()
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    return Draft(system, git_repository, tmp_path, name)


async def hanging(draft: Draft, folder: Path) -> psutil.Process:
    """Have a rendering under way whose function is an executable that never ends; returns its process."""
    tool = folder / "tool"
    tool.write_text(f"#!/bin/sh\necho $$ > {folder}/new; mv {folder}/new {folder}/pid; exec sleep 1000\n")
    tool.chmod(0o755)
    namespace, executor = draft.system.namespace, {"tags": ["v1"], "path": "tool"}
    await draft.system.kube.create(FUNCTIONCONFIGS, function_config(namespace, "tool", binaryExecutor=executor))
    await settled(draft.system.kube, namespace, "tool")
    request = await draft.push("image: r.io/tool:v1")
    await eventually((folder / "pid").exists, what="the function runs")
    process = psutil.Process(int((folder / "pid").read_text()))
    await draft.rendering(request)
    assert process.is_running()
    return process


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_newer_content_ends_an_executable(draft: Draft, tmp_path: Path) -> None:
    process = await hanging(draft, tmp_path)
    newer = await draft.push("image: set-namespace:v0.4.5, configMap: {namespace: shop}")
    await eventually(lambda: is_gone(process), what="the function is gone")
    await draft.rendered(newer)


async def test_a_deletion_ends_an_executable(draft: Draft, tmp_path: Path) -> None:
    process = await hanging(draft, tmp_path)
    await draft.system.kube.delete(PACKAGEREVISIONS, draft.system.namespace, draft.name)
    await eventually(lambda: is_gone(process), what="the function is gone")

    async def deleted() -> bool:
        return await draft.system.get(draft.name) is None

    await eventually(deleted, what="the object is gone")


async def test_newer_content_frees_the_process_of_a_builtin_function(draft: Draft) -> None:
    endless = await draft.push("image: starlark:v0.5.5, configPath: endless.yaml", endless=ENDLESS)
    await draft.rendering(endless)
    # The runner's only process would be taken for the five minutes that a function may run.
    await draft.rendered(await draft.push("image: set-namespace:v0.4.5, configMap: {namespace: shop}"))
