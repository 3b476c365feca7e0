"""What a Prometheus finds at the processes, after they have worked."""

import asyncio
import urllib.request
from collections.abc import Mapping

import pytest
from prometheus_client.parser import text_string_to_metric_families

from porchflow.devstack.processes import HOST, free_port
from tests.e2e.system import System, condition
from tests.servers.waiting import eventually


class Page:
    """A page of metrics."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def value(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        """The sum of a metric's samples with these labels."""
        wanted = (labels or {}).items()
        return sum(s.value for s in self._samples if s.name == name and wanted <= s.labels.items())


async def scraped(address: str) -> Page:
    def scrape() -> str:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    return Page(await asyncio.to_thread(scrape))


@pytest.fixture
def addresses(idle_system: System) -> dict[str, str]:
    """A worker and a watcher that tell their metrics; where each does."""
    found = {name: f"{HOST}:{free_port()}" for name in ("worker", "temporal", "watcher")}
    idle_system.start_worker(
        PORCHFLOW_HEALTH_ADDRESS=found["worker"], PORCHFLOW_TEMPORAL_METRICS_ADDRESS=found["temporal"]
    )
    idle_system.environment["PORCHFLOW_HEALTH_ADDRESS"] = found["watcher"]
    idle_system.start_watcher()
    return found


async def test_the_processes_tell_what_they_did(
    idle_system: System, repository: str, addresses: dict[str, str]
) -> None:
    system = idle_system
    name = await system.create_draft(repository, "shop")
    await system.ready(name)
    await system.lifecycle(name, "Proposed")
    await system.ready(name)
    early = await system.create_draft("unregistered", "shop")
    await system.until(early, "waits", lambda obj: condition(obj, "Reconciling").get("reason") == "Waiting")

    worker = await scraped(addresses["worker"])
    done = {"activity": "execute_source", "outcome": "succeeded"}
    assert worker.value("porchflow_activity_seconds_count", done) == 1
    assert 0 < worker.value("porchflow_activity_seconds_sum", done) < 60
    assert worker.value("porchflow_activity_seconds_count", {**done, "outcome": "waiting"}) >= 1
    assert worker.value("porchflow_git_requests_total", {"operation": "push"}) == 2
    assert worker.value("porchflow_git_request_seconds_total", {"operation": "push"}) > 0
    applied = {"method": "PATCH", "resource": "packagerevisions", "code": "200"}
    assert worker.value("porchflow_kubernetes_requests_total", applied) >= 4
    assert worker.value("porchflow_build_info") == 1
    assert worker.value("process_resident_memory_bytes") > 1_000_000

    async def nothing_is_under_way() -> bool:
        return (await scraped(addresses["worker"])).value("porchflow_activities_under_way") == 0

    await eventually(nothing_is_under_way, what="the gap between two attempts of what waits, or of a sync")

    watcher = await scraped(addresses["watcher"])
    assert watcher.value("porchflow_watch_up") == 3, "PackageRevisions, Repositories and Secrets"
    assert watcher.value("porchflow_signals_total") >= 3
    assert watcher.value("porchflow_temporal_up") == 1

    async def only_one_is_left() -> bool:
        return (await scraped(addresses["watcher"])).value("porchflow_objects_unconverged") == 1

    await eventually(only_one_is_left, what="the watcher has seen that only one object waits")
    temporal = await scraped(addresses["temporal"])
    assert temporal.value("temporal_workflow_completed_total") >= 1
