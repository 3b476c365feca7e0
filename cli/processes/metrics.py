"""Prometheus metrics of worker, watcher and content API, which `health` serves at /metrics."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from porchflow.activities.definitions import ListingActivities, ReconcileActivities, SyncActivities
from porchflow.api.error_kinds import ErrorKind
from porchflow.gitrepo.remote.stats import GitStats
from porchflow.kube.watching import WatchState
from porchflow.watcher.app import WatcherHealth
from porchflow.watcher.dispatcher_numbers import DispatcherNumbers
from porchflow.workflows.policies import PHASES

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_KINDS = frozenset(ErrorKind)
ACTIVITIES: Final = (
    ReconcileActivities.observe.__name__,
    *(policy.activity.__name__ for policy in PHASES.values()),
    ListingActivities.list_refs.__name__,
    SyncActivities.sync_repository.__name__,
)
"""Names of the activities of workers."""
_ALARMING = ("stalled", "error", "lost")
"""Outcomes whose series are there from the start: Prometheus sees no increase in a series that begins at 1."""


class ActivityMetrics(Interceptor):
    """Attempts of Temporal activities, by outcome."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the metrics."""
        self.seconds = Histogram(
            "porchflow_activity_seconds",
            "Seconds that attempts of activities took, by outcome: succeeded, transient, waiting, stalled, superseded,"
            " handedover, lost, cancelled, or error for what porchflow does not know",
            ["activity", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.running = Gauge(
            "porchflow_activities_under_way", "Attempts of activities under way", ["activity"], registry=registry
        )
        for name in ACTIVITIES:
            for outcome in _ALARMING:
                self.seconds.labels(name, outcome)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - Temporal's
        """Return an interceptor that measures every activity."""
        return _Timed(next, self)


class _Timed(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, metrics: ActivityMetrics) -> None:
        super().__init__(following)
        self._metrics = metrics

    async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002 - Temporal's
        name, began, outcome = activity.info().activity_type, time.monotonic(), "error"
        try:
            with self._metrics.running.labels(name).track_inprogress():
                result: object = await super().execute_activity(input)
            outcome = "succeeded"
        except (asyncio.CancelledError, CancelledError):
            outcome = "cancelled"
            raise
        except ApplicationError as error:
            outcome = error.type.lower() if error.type in _KINDS else outcome
            raise
        finally:
            self._metrics.seconds.labels(name, outcome).observe(time.monotonic() - began)
        return result


class GitCollector(Collector):
    """Counters of a store of Git repositories."""

    def __init__(self, stats: Callable[[], GitStats]) -> None:
        """Create the collector.

        Args:
            stats: Returns the totals of the store.
        """
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        """Return the counts since the start."""
        stats = self._stats()
        requests = CounterMetricFamily(
            "porchflow_git_requests", "Requests to Git servers, by operation: list, fetch or push", labels=["operation"]
        )
        seconds = CounterMetricFamily(
            "porchflow_git_request_seconds", "Seconds that requests to Git servers took", labels=["operation"]
        )
        for operation, count, took in (
            ("list", stats.listings, stats.listing_seconds),
            ("fetch", stats.fetches, stats.fetch_seconds),
            ("push", stats.pushes, stats.push_seconds),
        ):
            requests.add_metric([operation], count)
            seconds.add_metric([operation], took)
        yield requests
        yield seconds
        for name, text, count in (
            ("push_groups", "Groups of changes that were pushed together", stats.groups),
            ("refs_pushed", "Branches and tags in these pushes", stats.refs),
            ("changes_retried", "Changes that were built again, because the remote had moved", stats.retries),
            (
                "restores",
                "Pushes that took back what a server did of a change that it otherwise refused",
                stats.restores,
            ),
            ("content_read_bytes", "Bytes of package content that were read into memory", stats.bytes_read),
        ):
            yield CounterMetricFamily(f"porchflow_git_{name}", text, value=count)


class Tallied(Protocol):
    """Requests that are counted together."""

    @property
    def count(self) -> int:
        """Their number."""

    @property
    def seconds(self) -> float:
        """Seconds until their answers began, summed."""


class KubernetesCollector(Collector):
    """Counters of a client's requests to the API server."""

    def __init__(self, requests: Callable[[], Mapping[tuple[str, str, int], Tallied]]) -> None:
        """Create the collector.

        Args:
            requests: Returns the tallies by method, resource and status code.
        """
        self._requests = requests

    def collect(self) -> Iterable[Metric]:
        """Return the counts since the start."""
        labels = ["method", "resource", "code"]
        requests = CounterMetricFamily(
            "porchflow_kubernetes_requests", "Requests to the API server; code 0 had no answer", labels=labels
        )
        seconds = CounterMetricFamily(
            "porchflow_kubernetes_request_seconds", "Seconds until answers of the API server began", labels=labels
        )
        for (method, resource, code), tally in list(self._requests().items()):
            requests.add_metric([method, resource, str(code)], tally.count)
            seconds.add_metric([method, resource, str(code)], tally.seconds)
        yield requests
        yield seconds


class WatcherCollector(Collector):
    """State of the watches and of the queue of signals."""

    def __init__(self, health: WatcherHealth) -> None:
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Return the state now; nothing before Kubernetes and Temporal are connected."""
        numbers = self._health.numbers()
        if numbers is not None:
            yield from watcher_metrics(numbers, self._health.watches, self._health.stuck_runs_ended())


def watcher_metrics(numbers: DispatcherNumbers, watches: Sequence[WatchState], stuck_runs: int) -> Iterator[Metric]:
    """Return the metrics of a watcher.

    Args:
        numbers: Figures of the queue of signals.
        watches: State of each watch.
        stuck_runs: Runs that were terminated since the start.
    """
    up = GaugeMetricFamily("porchflow_watch_up", "1 while a watch works, 0 while it does not", labels=["watch"])
    silence = GaugeMetricFamily(
        "porchflow_watch_silence_seconds", "Seconds since a watch last heard anything", labels=["watch"]
    )
    for watch in watches:
        up.add_metric([watch.name], float(watch.listed and not watch.error))
        if watch.listed:
            silence.add_metric([watch.name], time.monotonic() - watch.active_at)
    yield up
    yield silence
    for name, text, value in (
        ("objects_unconverged", "Objects that need work", numbers.unconverged),
        ("signals_pending", "Signals that wait to be sent to Temporal", numbers.pending),
        ("signals_in_flight", "Signals that are being sent", numbers.in_flight),
        (
            "signal_oldest_seconds",
            "Seconds that the oldest signal has waited for Temporal to accept it; 0 when none waits",
            numbers.oldest_pending_seconds,
        ),
        (
            "temporal_up",
            "1 while Temporal takes signals, 0 while it does not; one object that is answered badly is no outage",
            not numbers.error,
        ),
    ):
        yield GaugeMetricFamily(f"porchflow_{name}", text, value=float(value))
    yield CounterMetricFamily("porchflow_signals", "Signals that Temporal took", value=numbers.signalled)
    yield CounterMetricFamily(
        "porchflow_stuck_runs_ended",
        "Runs that were terminated because their workflow task failed again and again",
        value=stuck_runs,
    )
