"""Processes that start while what they need is away: they say what they wait for, and go on when it is there."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from porchflow.devstack.processes import free_port
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from tests.e2e.system import ROOT
from tests.servers.control_plane import ControlPlane
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually


class Started:
    """A process of porchflow with its log and its health address."""

    def __init__(self, folder: Path, command: str, *arguments: str) -> None:
        self.health = f"127.0.0.1:{free_port()}"
        self.log = folder / f"{command}.log"
        line = [sys.executable, "-m", "porchflow.cli.main", command, *arguments, "--health-address", self.health]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(line, cwd=ROOT, stderr=log)

    def says(self, text: str) -> Callable[[], bool]:
        return lambda: text in self.log.read_text()

    def readiness(self) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"http://{self.health}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        except OSError:
            return 0, {}

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 40)


Starter = Callable[..., Started]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Starter]:
    started: list[Started] = []

    def run(command: str, *arguments: str) -> Started:
        cache = () if command == "watcher" else ("--git-cache-dir", str(tmp_path / "git-cache"))
        started.append(Started(tmp_path, command, *cache, *arguments))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


@pytest.mark.parametrize("command", ["worker", "watcher"])
async def test_kubernetes_that_is_away_is_waited_for(
    start: Starter, restartable_control_plane: ControlPlane, temporal_server: TemporalServer, command: str
) -> None:
    plane = restartable_control_plane
    await plane.stop_apiserver()
    process = start(command, "--kubeconfig", str(plane.kubeconfig), "--temporal-address", temporal_server.address)
    await eventually(process.says("waiting for the Kubernetes API"), what="says what it waits for")
    status, detail = process.readiness()
    assert status == 503
    assert "the Kubernetes API" in detail["waitingFor"]
    assert process.process.poll() is None
    await plane.start_apiserver()
    await eventually(lambda: process.readiness()[0] == 200, what="goes on")
    assert await process.stop() == 0


@pytest.mark.parametrize("command", ["worker", "watcher"])
async def test_temporal_that_is_away_is_waited_for(
    start: Starter, control_plane: ControlPlane, restartable_temporal: TemporalServer, command: str
) -> None:
    await restartable_temporal.stop()
    address = restartable_temporal.address
    process = start(command, "--kubeconfig", str(control_plane.kubeconfig), "--temporal-address", address)
    await eventually(process.says(f"waiting for Temporal at {address}"), what="says what it waits for")
    assert process.readiness()[1]["waitingFor"].startswith("Temporal at")
    await restartable_temporal.start()
    await eventually(lambda: process.readiness()[0] == 200, what="goes on")
    assert await process.stop() == 0


async def test_a_temporal_namespace_that_does_not_exist_is_waited_for_by_name(
    start: Starter, control_plane: ControlPlane, temporal_server: TemporalServer
) -> None:
    where = ("--temporal-address", temporal_server.address, "--temporal-namespace", "not-yet")
    process = start("worker", "--kubeconfig", str(control_plane.kubeconfig), *where)
    await eventually(process.says("with namespace 'not-yet'"), what="says which namespace it waits for")
    assert "Traceback" not in process.log.read_text()
    assert await process.stop() == 0, "a process that waits can be stopped"


@pytest.mark.parametrize("command", ["worker", "watcher"])
async def test_a_kubeconfig_that_cannot_be_used_ends_the_start(start: Starter, tmp_path: Path, command: str) -> None:
    process = start(command, "--kubeconfig", str(tmp_path / "nowhere"))
    await eventually(lambda: process.process.poll() is not None, what="ends")
    assert process.process.returncode == 2
    log = process.log.read_text()
    assert "PORCHFLOW_KUBECONFIG (--kubeconfig)" in log
    assert "Traceback" not in log


@pytest.fixture
async def namespaced(control_plane: ControlPlane, namespace: str, temporal_server: TemporalServer) -> list[str]:
    """Arguments of a watcher that has rights in one namespace alone."""
    kubeconfig = control_plane.kubeconfig_for("namespaced-watcher")
    resources = f"--resource={PACKAGEREVISIONS},{REPOSITORIES},secrets"
    verbs = "--verb=get,list,watch"
    await control_plane.kubectl("create", "role", "-n", namespace, "watching", resources, verbs)
    bind = ("create", "rolebinding", "-n", namespace, "watching", "--role=watching", "--user=namespaced-watcher")
    await control_plane.kubectl(*bind)
    return [
        *("--kubeconfig", str(kubeconfig), "--temporal-address", temporal_server.address),
        *("--namespaces", namespace),
    ]


async def test_rights_in_its_namespaces_are_all_a_process_with_an_id_needs(
    start: Starter, namespaced: list[str]
) -> None:
    process = start("watcher", *namespaced, "--temporal-installation", "team")
    await eventually(lambda: process.readiness()[0] == 200, what="watches its namespace")
    assert await process.stop() == 0


async def test_an_installation_without_an_id_says_which_right_or_setting_it_needs(
    start: Starter, namespaced: list[str]
) -> None:
    process = start("watcher", *namespaced)
    await eventually(process.says("may not read Namespace kube-system"), what="says what it may not read")
    assert "PORCHFLOW_TEMPORAL_INSTALLATION" in process.log.read_text()
    assert process.readiness()[0] == 503
    assert await process.stop() == 0


async def test_an_address_that_says_nothing_is_waited_for_and_the_process_can_be_stopped(
    start: Starter, control_plane: ControlPlane
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        process = start("watcher", "--kubeconfig", str(control_plane.kubeconfig), "--temporal-address", address)
        await eventually(process.says(f"{address} says nothing within"), what="says that Temporal is silent")
        assert await process.stop() == 0
