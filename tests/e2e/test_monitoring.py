"""Alarms and dashboard of deploy/monitoring: on what processes export, and in a real Prometheus that scrapes them."""

import asyncio
import functools
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from porchflow.cli.monitoring.alarms import FOLDER, alarms
from porchflow.cli.monitoring.exported import TEMPORAL, families
from porchflow.cli.monitoring.panels import queries
from porchflow.devstack.launch import launched
from porchflow.devstack.processes import HOST, free_port
from tests.e2e.packages import KPTFILE
from tests.e2e.system import System, is_ready
from tests.e2e.test_bad_input import push_and_request
from tests.promql import selectors
from tests.servers.git import GitRepository
from tests.servers.waiting import eventually

# A start of three processes and of Prometheus takes a multiple of its time on a busy machine.
pytestmark = pytest.mark.timeout(600)

PROMETHEUS = shutil.which("prometheus")
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? \S+$", re.MULTILINE)
PORTS = ("worker health", "worker metrics", "watcher health", "watcher metrics", "function-runner metrics")
"""Ports of the processes with metrics, as deploy/ names them."""
NOT_HERE = ("porchflow_content_request", "porchflow_function_pod", "porchflow_function_calls_waiting")
"""Metrics of a content API, and of functions in pods."""
AFTER_TROUBLE = ("temporal_request_failure", "temporal_workflow_task_execution_failed")


@pytest.fixture
def addresses(idle_system: System) -> dict[str, str]:
    """Where each process tells its metrics, by name of process and port."""
    found, runner = {name: f"{HOST}:{free_port()}" for name in PORTS}, f"{HOST}:{free_port()}"
    idle_system.start(
        "function-runner",
        "function-runner",
        PORCHFLOW_FUNCTION_RUNNER_LISTEN=runner,
        PORCHFLOW_METRICS_ADDRESS=found["function-runner metrics"],
    )
    idle_system.start_worker(
        FUNCTION_RUNNER_ADDRESS=runner,
        PORCHFLOW_HEALTH_ADDRESS=found["worker health"],
        PORCHFLOW_TEMPORAL_METRICS_ADDRESS=found["worker metrics"],
    )
    idle_system.environment |= {
        "PORCHFLOW_HEALTH_ADDRESS": found["watcher health"],
        "PORCHFLOW_TEMPORAL_METRICS_ADDRESS": found["watcher metrics"],
    }
    idle_system.start_watcher()
    return found


async def render_and_stall(system: System, repository: str, url: str, folder: Path) -> None:
    """Render a package with functions, then break it."""
    name = await system.create_draft(repository, "web")
    await system.ready(name, timeout=180)
    pushed = await push_and_request(system, name, url, {"Kptfile": KPTFILE}, folder)

    def rendered(obj: dict[str, Any]) -> bool:
        return is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == pushed

    await system.until(name, "is rendered", rendered)
    await push_and_request(system, name, url, {"Kptfile": "apiVersion: [\n"}, folder)
    await system.stalled(name, "RenderFailed")


async def test_processes_export_what_the_references_say(
    idle_system: System, repository: str, git_repository: GitRepository, addresses: dict[str, str], tmp_path: Path
) -> None:
    await render_and_stall(idle_system, repository, git_repository.url, tmp_path)
    known = {name for one in families().values() for name in one.samples}
    assert {name for name in await exported(addresses) if name.startswith("porchflow_")} <= known

    async def complete() -> bool:
        return not missing(await exported(addresses))

    # A run fails a moment after its object says so.
    with suppress(AssertionError):
        await eventually(complete, what="processes export all metrics", timeout=60)
    assert missing(await exported(addresses)) == {}


async def exported(addresses: dict[str, str]) -> dict[str, set[str]]:
    """The labels of each sample that processes export, as Prometheus reads them."""
    found: dict[str, set[str]] = {}
    for address in addresses.values():
        for name, labels in SAMPLE.findall(await asked(f"http://{address}/metrics")):
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def missing(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The samples that the references name and processes do not export, or not with all their labels."""
    wanted = {name: set(one.labels) for one in families().values() for name in one.samples}
    for name, labels in TEMPORAL.items():
        wanted[f"{name}_bucket" if name.endswith("latency") else name] = set(labels)
    return {
        name: labels - found.get(name, set())
        for name, labels in wanted.items()
        if not name.startswith((*NOT_HERE, *AFTER_TROUBLE)) and (name not in found or not labels <= found[name])
    }


@pytest.fixture
def prometheus(addresses: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus with the rules of deploy/, and its configuration but for how it finds pods."""
    if PROMETHEUS is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    told = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    [job] = told["scrape_configs"]
    del job["kubernetes_sd_configs"]
    job["static_configs"] = [{"targets": [address], "labels": pod(name)} for name, address in addresses.items()]
    # What a pod of another system or another port looks like; nothing answers there.
    job["static_configs"].append({"targets": [f"{HOST}:9"], "labels": pod("worker grpc")})
    told["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    told["rule_files"] = [str(FOLDER / each) for each in told["rule_files"]]
    config, address = tmp_path / "prometheus.yaml", f"{HOST}:{free_port()}"
    config.write_text(yaml.safe_dump(told))
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *launched(os.getpid()),
                PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stderr=log,
        )
    try:
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def pod(name: str) -> dict[str, str]:
    """What Prometheus knows of a pod's port."""
    process, port = name.split()
    return {
        "__meta_kubernetes_namespace": "porchflow-system",
        "__meta_kubernetes_pod_name": f"porchflow-{process}-0",
        "__meta_kubernetes_pod_label_app_kubernetes_io_part_of": "porchflow",
        "__meta_kubernetes_pod_container_port_name": port,
    }


async def asked(url: str) -> str:
    """The answer of a server, also where it refuses."""

    def ask() -> str:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()

    return await asyncio.to_thread(ask)


class Prometheus:
    """The API of a Prometheus."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def api(self, path: str, **query: str) -> dict[str, Any]:
        told = await asked(f"{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        answer: dict[str, Any] = json.loads(told)
        assert answer["status"] == "success", (query, answer)
        data: dict[str, Any] = answer["data"]
        return data

    async def alert(self, name: str) -> dict[str, Any] | None:
        found = (await self.api("alerts"))["alerts"]
        return next((each for each in found if each["labels"]["alertname"] == name), None)

    async def shows(self, query: str) -> bool:
        """Whether a query has an answer: a rate needs two scrapes."""
        return bool((await self.api("query", query=query))["result"])

    async def is_up(self) -> bool:
        """Whether it has scraped all ports."""
        try:
            targets = (await self.api("targets"))["activeTargets"]
        except (OSError, json.JSONDecodeError):
            return False
        return len(targets) == len(PORTS) and all(each["health"] == "up" for each in targets)


async def test_alarms_and_dashboard_work_in_prometheus(
    idle_system: System, repository: str, git_repository: GitRepository, prometheus: str, tmp_path: Path
) -> None:
    server = Prometheus(prometheus)
    await eventually(server.is_up, timeout=180, what="Prometheus scrapes every port with metrics, and no other")
    await render_and_stall(idle_system, repository, git_repository.url, tmp_path)

    stalled = await eventually(lambda: server.alert("PorchflowObjectsStalled"), what="the alarm for stalled objects")
    assert (stalled["state"], stalled["labels"]["activity"]) == ("firing", "render")
    assert stalled["annotations"]["summary"] == "render left objects that a person must mend"

    for query in queries():
        shown = query.expression.replace("$job", ".*").replace("$__rate_interval", "1m")
        assert (await server.api("query", query=shown))["resultType"] == "vector"
        if not any(each.metric.startswith((*NOT_HERE, *AFTER_TROUBLE)) for each in selectors(shown)):
            await eventually(functools.partial(server.shows, shown), what=f"Prometheus answers {shown}")

    rules = [rule for group in (await server.api("rules"))["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {alarm.name for alarm in alarms()}
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
    assert await server.alert("PorchflowWatcherAway") is None
    idle_system.kill("watcher")
    away = await eventually(lambda: server.alert("PorchflowWatcherAway"), what="the alarm for the watcher")
    assert away["state"] == "pending", "it fires after ten minutes"
