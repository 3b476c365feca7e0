"""`porchflow status`: the stack of the folder, or the cluster of the kubeconfig, as the other commands choose it."""

import asyncio
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from temporalio.client import Client

from porchflow.cli.main import main
from porchflow.cli.stack_state import ProcessRecord, StackRecord, StateFolder
from porchflow.devstack.processes import free_port
from porchflow.workflows.ids import RECONCILE_QUEUE, Installation
from tests.servers.control_plane import ControlPlane
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually
from tests.watcher.tasks import take_and_fail

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, where neither the user nor a pod names a cluster."""
    for name in ("KUBECONFIG", "PORCHFLOW_KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = str(tmp_path / "state")

    def invoke(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, ["status", "--state-dir", folder, *arguments], env=environment)

    return invoke


def stack(tmp_path: Path, kubeconfig: Path) -> StateFolder:
    """Leave the record of a stack behind that this process supervises."""
    folder = StateFolder(tmp_path / "state")
    folder.make()
    folder.write(StackRecord(supervisor=ProcessRecord.of(os.getpid()), ready=True, kubeconfig=str(kubeconfig)))
    return folder


@pytest.mark.parametrize("variable", ["KUBECONFIG", "PORCHFLOW_KUBECONFIG", "--kubeconfig"])
def test_it_shows_the_cluster_that_is_named(
    run: Run, control_plane: ControlPlane, namespace: str, variable: str, tmp_path: Path
) -> None:
    path = str(control_plane.kubeconfig)
    result = run(variable, path) if variable.startswith("--") else run(**{variable: path})
    assert result.exit_code == 0, result.output
    first, *rest = result.output.splitlines()
    assert first == f"cluster {control_plane.url}; no stack runs in {tmp_path / 'state'}"
    assert any("PackageRevisions" in line for line in rest)


def test_a_stack_with_another_kubeconfig_is_named_beside_it(
    run: Run, control_plane: ControlPlane, tmp_path: Path
) -> None:
    folder = stack(tmp_path, tmp_path / "another")
    result = run(KUBECONFIG=str(control_plane.kubeconfig))
    assert result.exit_code == 0, result.output
    told = f"cluster {control_plane.url}; the stack in {folder.root} has another kubeconfig"
    assert result.output.splitlines()[0] == told
    assert "supervisor" not in result.output


@pytest.mark.parametrize("named", [True, False])
def test_the_stack_is_shown_where_its_cluster_is_named_or_none(
    run: Run, control_plane: ControlPlane, tmp_path: Path, *, named: bool
) -> None:
    stack(tmp_path, control_plane.kubeconfig)
    result = run("--output", "json", **({"KUBECONFIG": str(control_plane.kubeconfig)} if named else {}))
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    assert [part["name"] for part in found["parts"]] == ["supervisor"]
    assert (found["ready"], found["cluster"], found["problem"]) == (True, control_plane.url, "")
    assert found["objects"]["counts"] is not None


async def test_workflow_tasks_that_fail_are_shown_of_a_temporal_that_is_named(
    run: Run, control_plane: ControlPlane, temporal_server: TemporalServer
) -> None:
    client, ours = await Client.connect(temporal_server.address), Installation(f"status-{uuid.uuid4().hex[:8]}")
    queue = ours.queue(RECONCILE_QUEUE)
    failing = await client.start_workflow("Any", id=f"{ours.id}/one", task_queue=queue)
    options = {"KUBECONFIG": str(control_plane.kubeconfig), "PORCHFLOW_TEMPORAL_ADDRESS": temporal_server.address}

    async def shown(*arguments: str) -> str:
        named = ("--temporal-installation", ours.id, *arguments)
        result = await asyncio.to_thread(lambda: run(*named, **options))
        assert result.exit_code == 0, result.output
        return result.output

    async def lists(number: int) -> bool:
        return f"Workflow tasks: none fails, of {number} open runs" in await shown()

    await eventually(lambda: lists(1), what="Temporal lists the run")
    await take_and_fail(client, queue)
    told = f"1 has failed and will be tried again: {failing.id}"
    assert f"Workflow tasks: {told}" in await shown()
    found = json.loads(await shown("--output", "json"))
    assert found["workflowTasks"] == {"level": "warning", "message": told}
    await failing.terminate()


def test_a_temporal_that_does_not_answer_is_said(run: Run, control_plane: ControlPlane) -> None:
    address = f"127.0.0.1:{free_port()}"
    result = run(
        "--temporal-address", address, "--temporal-installation", "x", KUBECONFIG=str(control_plane.kubeconfig)
    )
    assert "Workflow tasks: Temporal cannot be used" in result.output


def test_settings_of_temporal_that_contradict_each_other_are_named(run: Run, control_plane: ControlPlane) -> None:
    named = ("--temporal-address", "127.0.0.1:1", "--temporal-tls", "false", "--temporal-tls-server-name", "here")
    result = run(*named, KUBECONFIG=str(control_plane.kubeconfig))
    assert result.exit_code == 0
    assert "Workflow tasks: PORCHFLOW_TEMPORAL_TLS (--temporal-tls) is false, and" in result.output


def test_where_there_is_neither_it_says_what_to_do(run: Run, tmp_path: Path) -> None:
    result = run()
    assert result.exit_code == 1
    assert (
        f"no stack runs in {tmp_path / 'state'}: start one with `porchflow up`, or name a cluster with --kubeconfig"
        " or KUBECONFIG" in result.output
    )


@pytest.mark.parametrize("variable", ["KUBECONFIG", "PORCHFLOW_KUBECONFIG"])
def test_a_kubeconfig_that_is_not_there_is_named(run: Run, tmp_path: Path, variable: str) -> None:
    result = run(**{variable: str(tmp_path / "nowhere")})
    assert result.exit_code == 1
    assert f"there is no kubeconfig at {tmp_path / 'nowhere'}" in result.output
    assert "Traceback" not in result.output
