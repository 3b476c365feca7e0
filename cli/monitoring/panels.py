"""The panels of the Grafana dashboard: what each shows, and the queries for it."""

from dataclasses import dataclass
from typing import Final

_JOB: Final = 'job=~"$job"'
"""Selects an installation: `job` is a variable of the dashboard."""


@dataclass(frozen=True)
class Query:
    """A query of a panel.

    Attributes:
        expression: In PromQL.
        legend: Name of a line, with labels in braces.
    """

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: Its heading.
        meaning: For people: what to look for.
        unit: Grafana's name of the unit.
        queries: What it draws.
    """

    title: str
    meaning: str
    unit: str
    queries: tuple[Query, ...]


def _now(metric: str, *by: str, using: str = "sum") -> Query:
    return Query(f"{using}{_by(by)} ({metric}{{{_JOB}}})", _legend(metric, by))


def _rate(metric: str, *by: str) -> Query:
    return Query(f"sum{_by(by)} (rate({metric}{{{_JOB}}}[$__rate_interval]))", _legend(metric, by))


def _mean(seconds: str, count: str, *by: str) -> Query:
    over, under = (f"sum{_by(by)} (rate({one}{{{_JOB}}}[$__rate_interval]))" for one in (seconds, count))
    return Query(f"{over} / {under}", _legend(seconds, by))


def _p95(metric: str, *by: str) -> Query:
    rates = f"sum{_by((*by, 'le'))} (rate({metric}_bucket{{{_JOB}}}[$__rate_interval]))"
    return Query(f"histogram_quantile(0.95, {rates})", _legend(metric, by))


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _legend(metric: str, labels: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels) or metric.removeprefix("porchflow_")


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Is all well?": (
        Panel(
            "Objects that need work",
            "Falls back to the objects that wait for something.",
            "short",
            (_now("porchflow_objects_unconverged", using="max"),),
        ),
        Panel(
            "Temporal and watches",
            "1 works, 0 does not.",
            "short",
            (_now("porchflow_temporal_up", using="min"), _now("porchflow_watch_up", "watch", using="min")),
        ),
        Panel(
            "Attempts that failed",
            "stalled: a person must act. error: a defect of porchflow.",
            "ops",
            (
                Query(
                    "sum by (activity, outcome) (rate(porchflow_activity_seconds_count"
                    f'{{{_JOB}, outcome=~"stalled|transient|error"}}[$__rate_interval]))',
                    "{{activity}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Processes",
            "By version: a rollout is a change from one line to another.",
            "short",
            (Query(f"count by (process, version) (porchflow_build_info{{{_JOB}}})", "{{process}} {{version}}"),),
        ),
    ),
    "Reconciles": (
        Panel(
            "Attempts",
            "Of phases and syncs, by outcome.",
            "ops",
            (_rate("porchflow_activity_seconds_count", "outcome"),),
        ),
        Panel(
            "Duration of attempts, 95th percentile",
            "By activity.",
            "s",
            (_p95("porchflow_activity_seconds", "activity"),),
        ),
        Panel("Attempts under way", "By activity.", "short", (_now("porchflow_activities_under_way", "activity"),)),
        Panel(
            "Workflow tasks that fail",
            "By reason. Each is tried again. Anything above zero is a defect or a mix of versions.",
            "ops",
            (_rate("temporal_workflow_task_execution_failed", "failure_reason"),),
        ),
        Panel(
            "Runs that were ended as stuck",
            "Anything above zero is a defect or a mix of versions.",
            "ops",
            (_rate("porchflow_stuck_runs_ended_total"),),
        ),
    ),
    "Watcher": (
        Panel("Signals to Temporal", "Per second.", "ops", (_rate("porchflow_signals_total"),)),
        Panel(
            "Signals that wait",
            "In flight: being sent now.",
            "short",
            (_now("porchflow_signals_pending"), _now("porchflow_signals_in_flight")),
        ),
        Panel(
            "Age of the oldest signal",
            "More than a minute: Temporal does not keep up.",
            "s",
            (_now("porchflow_signal_oldest_seconds", using="max"),),
        ),
        Panel(
            "Silence of watches",
            "The API server says something every minute.",
            "s",
            (_now("porchflow_watch_silence_seconds", "watch", using="max"),),
        ),
    ),
    "Temporal": (
        Panel(
            "Wait of workflow tasks, 95th percentile",
            "By queue: workers are missing where it grows.",
            "s",
            (_p95("temporal_workflow_task_schedule_to_start_latency", "task_queue"),),
        ),
        Panel(
            "Wait of activities, 95th percentile",
            "By queue: workers are missing where it grows.",
            "s",
            (_p95("temporal_activity_schedule_to_start_latency", "task_queue"),),
        ),
        Panel(
            "Free slots",
            "By queue and type: tasks wait at zero.",
            "short",
            (_now("temporal_worker_task_slots_available", "task_queue", "worker_type"),),
        ),
        Panel(
            "Used slots",
            "By queue and type.",
            "short",
            (_now("temporal_worker_task_slots_used", "task_queue", "worker_type"),),
        ),
        Panel(
            "Runs that ended",
            "A run that failed is an object that is stalled.",
            "ops",
            (
                _rate("temporal_workflow_completed", "workflow_type"),
                Query(
                    f"sum by (workflow_type) (rate(temporal_workflow_failed{{{_JOB}}}[$__rate_interval]))",
                    "{{workflow_type}} failed",
                ),
            ),
        ),
        Panel(
            "Requests that Temporal refused",
            "By operation and code.",
            "ops",
            (_rate("temporal_request_failure", "operation", "status_code"),),
        ),
    ),
    "Git": (
        Panel(
            "Requests", "To Git servers, by operation.", "ops", (_rate("porchflow_git_requests_total", "operation"),)
        ),
        Panel(
            "Mean duration of requests",
            "By operation.",
            "s",
            (_mean("porchflow_git_request_seconds_total", "porchflow_git_requests_total", "operation"),),
        ),
        Panel(
            "Pushes",
            "Groups are changes that went out together; refs are their branches and tags.",
            "ops",
            (_rate("porchflow_git_push_groups_total"), _rate("porchflow_git_refs_pushed_total")),
        ),
        Panel(
            "Changes built again",
            "retried: lost a race for a branch. restores: a server applied a part only.",
            "ops",
            (_rate("porchflow_git_changes_retried_total"), _rate("porchflow_git_restores_total")),
        ),
        Panel(
            "Content read",
            "Package content that was read into memory.",
            "Bps",
            (_rate("porchflow_git_content_read_bytes_total"),),
        ),
    ),
    "Kubernetes": (
        Panel(
            "Requests",
            "To the API server, by code; 0 had no answer.",
            "ops",
            (_rate("porchflow_kubernetes_requests_total", "code"),),
        ),
        Panel(
            "Mean time until an answer",
            "By method and resource.",
            "s",
            (
                _mean(
                    "porchflow_kubernetes_request_seconds_total",
                    "porchflow_kubernetes_requests_total",
                    "method",
                    "resource",
                ),
            ),
        ),
    ),
    "Functions": (
        Panel(
            "Calls",
            "By function and outcome.",
            "ops",
            (_rate("porchflow_function_calls_total", "function", "outcome"),),
        ),
        Panel(
            "Duration of calls, 95th percentile",
            "Waiting included.",
            "s",
            (_p95("porchflow_function_seconds", "function"),),
        ),
        Panel(
            "Calls under way and waiting",
            "Waiting: for a pod of the function.",
            "short",
            (_now("porchflow_function_calls_under_way"), _now("porchflow_function_calls_waiting", "function")),
        ),
        Panel("Pods", "By function and state.", "short", (_now("porchflow_function_pods", "function", "state"),)),
        Panel(
            "Start of a pod, 95th percentile",
            "From its creation until it can be called.",
            "s",
            (_p95("porchflow_function_pod_start_seconds", "function"),),
        ),
        Panel(
            "Pods that could not be started",
            "By function.",
            "ops",
            (_rate("porchflow_function_pod_failures_total", "function"),),
        ),
    ),
    "Content API": (
        Panel(
            "Requests",
            "By verb and code; 499: the client went away.",
            "ops",
            (_rate("porchflow_content_request_seconds_count", "verb", "code"),),
        ),
        Panel(
            "Duration of requests, 95th percentile",
            "By verb.",
            "s",
            (_p95("porchflow_content_request_seconds", "verb"),),
        ),
    ),
    "Processes": (
        Panel("Processor", "Cores, by pod.", "short", (_rate("process_cpu_seconds_total", "pod", "instance"),)),
        Panel("Memory", "Resident, by pod.", "bytes", (_now("process_resident_memory_bytes", "pod", "instance"),)),
        Panel("Open files", "By pod.", "short", (_now("process_open_fds", "pod", "instance"),)),
    ),
}
"""Panels by the heading of their row."""


def queries() -> list[Query]:
    """Return all queries, in the order of the dashboard."""
    return [query for panels in ROWS.values() for panel in panels for query in panel.queries]
