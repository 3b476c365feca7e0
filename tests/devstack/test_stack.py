"""`porchflow up`, `down` and `status`, as a person runs them, with all the real parts."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from porchflow.cli.revisions.overview import describe
from porchflow.cli.stack_state import StackRecord, StateFolder
from porchflow.devstack.demo.demo_repository import cloned, ensure_repository, git
from porchflow.devstack.processes import HOST
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.kinds import (
    CONFIGMAPS,
    FUNCTIONCONFIGS,
    PACKAGEREVISIONRESOURCES,
    PACKAGEREVISIONS,
    REPOSITORIES,
    Resource,
)
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
_PARTS_WITH_PORTS = ("API", "ETCD", "TEMPORAL", "POSTGRESQL", "UI", "GIT", "RUNNER", "CONTENT")
ANY_FREE_PORTS = {f"PORCHFLOW_{part}_PORT": "0" for part in _PARTS_WITH_PORTS}
PARTS = ["etcd", "temporal", "git-server", "function-runner", "kube-apiserver", "content-api", "watcher", "worker-1"]


@dataclass
class Cli:
    """The command, with a state folder of the test's own."""

    folder: StateFolder
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "porchflow.cli.main", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                **ANY_FREE_PORTS,
                "PORCHFLOW_WORKERS": "1",
                "PORCHFLOW_STATE_DIR": str(self.folder.root),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, code: int = 0, timeout: float = 100, **environment: str) -> str:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=timeout)
        assert process.returncode == code, output
        return output

    def up(self) -> StackRecord:
        self.run("up", "--detach")
        return self.record()

    def record(self) -> StackRecord:
        record = self.folder.read()
        assert record
        return record

    def status(self, code: int = 0) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.run("status", "--output", "json", code=code))
        return answer

    def log(self) -> str:
        return (self.folder.logs / "up.log").read_text()


@pytest.fixture
async def cli(tmp_path: Path, server_binaries: dict[str, Path]) -> AsyncIterator[Cli]:
    cli = Cli(StateFolder(tmp_path / "state"))
    yield cli
    cli.run("down")
    for process in cli.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def alive(record: StackRecord) -> list[str]:
    return [name for name, part in record.parts.items() if part.process()]


async def test_state_survives_down_and_up(cli: Cli) -> None:
    first = cli.up()
    assert first.ready
    assert sorted(first.parts) == sorted(PARTS)
    async with await KubeClient.connect(cli.folder.kubeconfig) as client:
        body = {"metadata": {"namespace": "default", "name": "kept"}, "data": {"by": "the test"}}
        await client.create(CONFIGMAPS, body)

    assert f"stopped; state is kept in {cli.folder.root}" in cli.run("down")
    assert alive(first) == []
    assert not cli.folder.record.exists()

    second = cli.up()
    assert {name: part.address for name, part in second.parts.items() if name in PARTS[:6]} == {
        name: part.address for name, part in first.parts.items() if name in PARTS[:6]
    }
    async with await KubeClient.connect(cli.folder.kubeconfig) as client:
        assert (await client.get(CONFIGMAPS, "default", "kept"))["data"] == {"by": "the test"}
        with pytest.raises(NotFound, match=r'packagerevisionresources\.porch\.kpt\.dev "none" not found'):
            await client.get(PACKAGEREVISIONRESOURCES, "default", "none")


async def test_doctor_finds_the_stack_that_runs_and_nothing_wrong_with_it(cli: Cli) -> None:
    record = cli.up()
    found = json.loads(cli.run("doctor", "--output", "json"))
    assert found[0]["message"] == f"are those of the stack in {cli.folder.root}"
    where = {(each["check"], each["where"]): each["level"] for each in found}
    assert where["temporal", record.temporal] == "ok"
    assert where["function-runner", record.function_runner] == "ok"
    assert where["git-cache", str(cli.folder.git_cache)] == "ok"
    assert {check for check, _ in where} >= {
        "kubernetes",
        "crds",
        "admission",
        "permissions",
        "content-api",
        "task-queue",
    }
    assert {check: level for (check, _), level in where.items() if level != "ok"} == {"repositories": "warning"}

    named = json.loads(
        cli.run("doctor", "--output", "json", "--timeout", "5", code=1, PORCHFLOW_TEMPORAL_ADDRESS="127.0.0.1:9")
    )
    assert named[0]["message"] == "are valid", "who names a server means no other"


async def test_its_function_runner_follows_its_own_function_configs(cli: Cli, tmp_path: Path) -> None:
    """Not those of the cluster that the person who starts it works with otherwise."""
    elsewhere = {"KUBECONFIG": str(tmp_path / "elsewhere"), "PORCHFLOW_FUNCTION_CONFIG_NAMESPACE": "default"}
    cli.run("up", "--detach", **elsewhere)
    spec = {"image": "mine", "goExecutor": {"tags": ["v1"], "id": "set-labels"}}
    kinds = {"apiVersion": FUNCTIONCONFIGS.api_version, "kind": FUNCTIONCONFIGS.kind}
    async with await KubeClient.connect(cli.folder.kubeconfig) as client:
        body = {**kinds, "metadata": {"namespace": "default", "name": "mine"}, "spec": spec}
        await client.create(FUNCTIONCONFIGS, body)

        async def taken_up() -> bool:
            status = (await client.get(FUNCTIONCONFIGS, "default", "mine")).get("status") or {}
            return bool(status.get("functionRunnerObservedGeneration"))

        await eventually(taken_up, what="the function runner has taken it up")


async def test_a_push_by_git_is_noticed_without_waiting_for_the_next_sync(cli: Cli, tmp_path: Path) -> None:
    record = cli.up()
    bare = await asyncio.to_thread(ensure_repository, cli.folder.git, record.git, "packages")
    async with await KubeClient.connect(cli.folder.kubeconfig) as client:
        url = f"{record.git}/packages.git"
        await client.create(REPOSITORIES, _object(REPOSITORIES, "packages", {"type": "git", "git": {"repo": url}}))
        spec = {"repository": "packages", "packageName": "web", "workspaceName": "v1", "lifecycle": "Draft"}
        made = _object(PACKAGEREVISIONS, "packages.web.v1", {**spec, "source": {"init": {}}})
        await client.create(PACKAGEREVISIONS, made)

        async def is_at(commit: str) -> bool:
            """Whether the status has the commit, or a rendering on top of it."""
            found = await client.get(PACKAGEREVISIONS, "default", "packages.web.v1")
            lock = ((found.get("status") or {}).get("selfLock") or {}).get("git") or {}
            shown = git("rev-list", lock["commit"], cwd=bare).split() if lock.get("commit") else []
            return commit in shown and describe(found).is_ready

        first = git("rev-parse", "main", cwd=bare)
        await eventually(lambda: is_at(first), timeout=60, what="the draft is made")
        pushed = await asyncio.to_thread(_push_to_draft, url)
        await eventually(
            lambda: is_at(pushed), timeout=60, what="what was pushed is rendered; a sync is 5 minutes away"
        )
        made = await client.get(PACKAGEREVISIONS, "default", "packages.web.v1")
        workflows = f"{record.ui}/namespaces/default/workflows"
        assert made["status"]["lastRun"]["url"] == (
            f"{workflows}/local%2Fpackagerevision%2Fdefault%2Fpackages.web.v1/{made['status']['lastRun']['runID']}/history"
        )
        roles = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
        for who in ("viewer", "author", "approver"):
            assert (await client.get(roles, None, f"porchflow-{who}"))["rules"]


def _object(resource: Resource, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    kinds = {"apiVersion": resource.api_version, "kind": resource.kind}
    return {**kinds, "metadata": {"namespace": "default", "name": name}, "spec": spec}


def _push_to_draft(url: str) -> str:
    with cloned(url) as clone:
        git("checkout", "--quiet", "drafts/web/v1", cwd=clone)
        (clone / "web" / "added.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: added\n")
        git("add", ".", cwd=clone)
        git("commit", "--quiet", "--message", "Add a ConfigMap", cwd=clone)
        git("push", "--quiet", "origin", "HEAD", cwd=clone)
        return git("rev-parse", "HEAD", cwd=clone)


async def test_every_part_that_is_killed_comes_back(cli: Cli) -> None:
    before = cli.up()
    for part in before.parts.values():
        os.kill(part.pid, signal.SIGKILL)

    def restarted() -> bool:
        now = cli.record().parts
        return all(now[name].restarts == 1 and now[name].process() for name in before.parts)

    await eventually(restarted, timeout=60, what="every part is started again")
    for name in before.parts:
        assert f"{name} ended with SIGKILL; starting it again in" in cli.log()

    async def serves() -> bool:
        async with await KubeClient.connect(cli.folder.kubeconfig) as client:
            with contextlib.suppress(KubeError):
                return (await client.list_page(PACKAGEREVISIONS)).items == []
        return False

    await eventually(serves, timeout=60, what="the API server answers again")
    status = cli.status()
    assert all(part["up"] for part in status["parts"])
    assert {part["name"] for part in status["parts"] if part["restarts"]} == set(before.parts)


async def test_a_second_stack_in_the_same_folder_is_refused(cli: Cli) -> None:
    record = cli.up()
    for flags in (["up"], ["up", "--detach"]):
        said = cli.run(*flags, code=1)
        assert f"a stack runs in {cli.folder.root} already (process {record.supervisor.pid})" in said
        assert "porchflow down" in said
    assert sorted(alive(record)) == sorted(PARTS)


async def test_a_killed_supervisor_takes_its_parts_along_and_the_next_one_goes_on(cli: Cli) -> None:
    record = cli.up()
    os.kill(record.supervisor.pid, signal.SIGKILL)
    await eventually(lambda: not cli.folder.is_locked(), what="the supervisor has ended")
    status = cli.status(code=1)
    assert {"supervisor"} <= {part["name"] for part in status["parts"] if not part["up"]}
    again = cli.up()
    assert again.supervisor.pid != record.supervisor.pid
    assert alive(record) == []
    assert sorted(alive(again)) == sorted(PARTS)


async def test_a_port_in_use_stops_the_start_with_a_clear_message(cli: Cli) -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        said = cli.run("up", "--temporal-port", str(port), code=1)
    assert said.startswith(f"Error: port {port}, wanted for Temporal, is in use by process {os.getpid()} ")
    assert "--temporal-port or PORCHFLOW_TEMPORAL_PORT" in said
    assert not cli.folder.record.exists()


async def test_a_server_that_cannot_be_used_stops_the_start(cli: Cli, tmp_path: Path) -> None:
    said = cli.run("up", code=1, PORCHFLOW_ETCD=str(tmp_path / "nothing-here"))
    assert f"Error: PORCHFLOW_ETCD names {tmp_path / 'nothing-here'}, which cannot be used" in said


async def test_a_part_that_does_not_start_ends_the_start_with_its_log(cli: Cli) -> None:
    cli.folder.make()
    cli.folder.etcd.write_text("not a folder of data")
    said = cli.run("up", "--detach", code=1)
    assert "etcd ended at its start" in said
    assert str(cli.folder.logs / "etcd.log") in said
    assert not cli.folder.is_locked()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_foreground_in_order(cli: Cli, number: signal.Signals) -> None:
    process = cli.start("up")
    await eventually(lambda: (record := cli.folder.read()) and record.ready, timeout=90, what="it is ready")
    record = cli.record()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert alive(record) == []
    assert f"export KUBECONFIG={cli.folder.kubeconfig}" in said
    assert "       worker-1 | " in said
    stopping = [line.split()[-1] for line in said.splitlines() if "| stopping " in line]
    assert stopping.index("worker-1") < stopping.index("kube-apiserver") < stopping.index("etcd")
    assert not cli.folder.record.exists()


async def test_a_signal_while_it_starts_leaves_nothing_behind(cli: Cli) -> None:
    process = cli.start("up")
    await eventually(lambda: (record := cli.folder.read()) and record.parts, timeout=90, what="a part has started")
    parts = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert not any(part.is_running() for part in parts)


async def test_where_nothing_runs_it_says_so(cli: Cli) -> None:
    assert f"nothing runs in {cli.folder.root}" in cli.run("down")
    assert f"no stack runs in {cli.folder.root}" in cli.run("status", code=1)
