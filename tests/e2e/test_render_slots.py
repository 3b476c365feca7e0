"""A worker renders no more at once than it has slots; the rest waits in Temporal, and nothing of it is lost."""

import asyncio
from pathlib import Path

import grpc
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client

from porchflow.devstack.processes import free_port
from porchflow.kube.kinds import FUNCTIONCONFIGS
from tests.cli.runner.test_function_runner import function_config, settled
from tests.e2e.packages import push_content
from tests.e2e.system import System, is_ready
from tests.kptfiles import kptfile_text
from tests.servers.git import GitRepository
from tests.servers.waiting import eventually

SLOTS, DRAFTS = 2, 5
WAITING = "#!/bin/sh\ntouch {0}/began-$$; while [ ! -e {0}/go ]; do sleep 0.05; done; cat\n"
KPTFILE = kptfile_text("web", mutators="[{image: r.io/tool:v1}]")


async def renderings(temporal: Client, system: System, names: list[str]) -> list[int]:
    """The states of the renderings that Temporal has given to workers or keeps for them."""
    described = [await temporal.get_workflow_handle(system.workflow_id(name)).describe() for name in names]
    return [
        pending.state
        for each in described
        for pending in each.raw_description.pending_activities
        if pending.activity_type.name == "render"
    ]


async def test_a_worker_renders_no_more_at_once_than_it_has_slots(
    idle_system: System, repository: str, git_repository: GitRepository, temporal: Client, tmp_path: Path
) -> None:
    system, address = idle_system, f"127.0.0.1:{free_port()}"
    (tmp_path / "tool").write_text(WAITING.format(tmp_path))
    (tmp_path / "tool").chmod(0o755)
    system.start(
        "function-runner", "function-runner", "--function-runner-listen", address, "--function-processes", "4",
        "--functions-dir", str(tmp_path), "--function-config-namespace", system.namespace,
    )  # fmt: skip
    executor = {"tags": ["v1"], "path": "tool"}
    await system.kube.create(FUNCTIONCONFIGS, function_config(system.namespace, "tool", binaryExecutor=executor))
    async with grpc.aio.insecure_channel(address) as channel:
        await asyncio.wait_for(channel.channel_ready(), 60)
    await settled(system.kube, system.namespace, "tool")
    system.start_watcher()
    system.start_worker(FUNCTION_RUNNER_ADDRESS=address, PORCHFLOW_RENDER_SLOTS=str(SLOTS))

    names = [await system.create_draft(repository, "web", f"w{number}") for number in range(DRAFTS)]
    requests = {}
    for number, name in enumerate(names):
        await system.ready(name)
        branch = f"drafts/web/w{number}"
        requests[name] = await push_content(git_repository.url, branch, "web", {"Kptfile": KPTFILE}, tmp_path)
        await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": requests[name]}}})

    async def all_asked_for() -> bool:
        return len(await renderings(temporal, system, names)) == DRAFTS

    await eventually(all_asked_for, what="every rendering is in Temporal")

    def begun() -> int:
        return sum(1 for _ in tmp_path.glob("began-*"))

    await eventually(lambda: begun() == SLOTS, what="the slots are taken")
    states = await renderings(temporal, system, names)
    assert states.count(PendingActivityState.PENDING_ACTIVITY_STATE_STARTED) == SLOTS
    assert states.count(PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED) == DRAFTS - SLOTS
    assert begun() == SLOTS

    (tmp_path / "go").touch()
    for name, request in requests.items():
        await system.until(
            name,
            "is rendered",
            lambda obj, request=request: is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == request,
        )
    assert begun() == DRAFTS
