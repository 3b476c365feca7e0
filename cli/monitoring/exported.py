"""The metrics that the processes export, asked of the same collectors that the processes register."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from porchflow.cli.processes.metrics import ActivityMetrics, GitCollector, KubernetesCollector, watcher_metrics
from porchflow.cli.processes.process_metrics import new_registry
from porchflow.content.serving.request_metrics import ContentMetrics
from porchflow.functions.runner.metric_samples import add_samples
from porchflow.gitrepo.remote.stats import GitStats, PushStats
from porchflow.kube.watching import WatchState
from porchflow.watcher.dispatcher_numbers import DispatcherNumbers

TEMPORAL: Final = {
    "temporal_workflow_task_schedule_to_start_latency": ("task_queue",),
    "temporal_activity_schedule_to_start_latency": ("task_queue",),
    "temporal_worker_task_slots_available": ("task_queue", "worker_type"),
    "temporal_worker_task_slots_used": ("task_queue", "worker_type"),
    "temporal_workflow_completed": ("workflow_type",),
    "temporal_workflow_failed": ("workflow_type",),
    "temporal_workflow_task_execution_failed": ("workflow_type", "failure_reason"),
    "temporal_request_failure": ("operation", "status_code"),
}
"""Metrics of Temporal's SDK that alarms and the dashboard read, with the labels that they read."""


@dataclass
class Family:
    """A metric.

    Attributes:
        name: As samples have it, without `_bucket`, `_sum` and `_count`.
        kind: `counter`, `gauge`, `histogram`, `info` or `unknown`, as Prometheus calls them.
        meaning: One sentence.
        labels: Names of its labels.
        samples: Names of its samples.
        processes: Commands of the processes that export it.
    """

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]
    samples: frozenset[str]
    processes: list[str] = field(default_factory=list)


def families() -> dict[str, Family]:
    """Return the metrics of all processes by name, in the order in which the processes export them."""
    found: dict[str, Family] = {}
    for process, metrics in (
        ("worker", _worker()),
        ("watcher", _watcher()),
        ("content-api", _content_api()),
        ("function-runner", _function_runner()),
    ):
        for metric in metrics:
            family = _family(metric)
            found.setdefault(family.name, family).processes.append(process)
    return found


def _family(metric: Metric) -> Family:
    labels: dict[str, None] = {}
    for sample in metric.samples:
        labels.update(dict.fromkeys(name for name in sample.labels if name != "le"))
    # Prometheus' text format ends the names of counters and infos so.
    ending = {"counter": "_total", "info": "_info"}.get(metric.type, "")
    samples = frozenset(sample.name for sample in metric.samples)
    return Family(metric.name + ending, metric.type, metric.documentation, tuple(labels), samples)


def _worker() -> Iterator[Metric]:
    registry = new_registry("worker")
    activities = ActivityMetrics(registry)
    activities.running.labels("render")
    registry.register(GitCollector(_no_git))
    registry.register(KubernetesCollector(_one_request))
    return _collected(registry)


def _watcher() -> Iterator[Metric]:
    registry, watch = new_registry("watcher"), WatchState("PackageRevisions")
    watch.listed, watch.active_at = True, time.monotonic()
    registry.register(KubernetesCollector(_one_request))
    yield from _collected(registry)
    yield from watcher_metrics(DispatcherNumbers(0, 0, 0, 0, 0.0, ""), [watch], 0)


def _content_api() -> Iterator[Metric]:
    registry = new_registry("content-api")
    ContentMetrics(registry).answered("get", 200, 0.0)
    registry.register(GitCollector(_no_git))
    registry.register(KubernetesCollector(_one_request))
    return _collected(registry)


def _function_runner() -> Iterator[Metric]:
    registry = new_registry("function-runner")
    add_samples(registry)
    return _collected(registry)


def _collected(registry: CollectorRegistry) -> Iterator[Metric]:
    metrics: Iterable[Metric] = registry.collect()
    return iter(metrics)


def _no_git() -> GitStats:
    return GitStats.of(PushStats(), [], [], bytes_read=0)


@dataclass(frozen=True)
class _Requests:
    count: int = 1
    seconds: float = 0.0


def _one_request() -> dict[tuple[str, str, int], _Requests]:
    return {("GET", "packagerevisions", 200): _Requests()}
