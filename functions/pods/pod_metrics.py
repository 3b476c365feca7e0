"""Metrics of the pod evaluator for Prometheus."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from porchflow.functions.pods.group import Group
from porchflow.kpt.format.images import parse_image

_SECONDS = (0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300)


class PodMetrics:
    """Counts pods by function and state, cold starts and their duration, and calls that wait for a pod."""

    def __init__(self, registry: CollectorRegistry | None = None, name: Callable[[str], str] | None = None) -> None:
        """Create the metrics.

        Args:
            registry: The registry of the metrics.
            name: Returns the label of an image; its base name by default.
        """
        self._registry = registry or CollectorRegistry()
        self._name = name or (lambda image: parse_image(image).name)
        self._starts = Histogram(
            "porchflow_function_pod_start_seconds",
            "Seconds from the creation of a pod until it can be called",
            ["function"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._failures = Counter(
            "porchflow_function_pod_failures",
            "Pods that could not be started",
            ["function"],
            registry=self._registry,
        )

    def watch(self, groups: Callable[[], list[Group]]) -> None:
        """Count the pods and waiting calls of these groups at each scrape."""
        self._registry.register(_Now(groups, self._name))

    def started(self, image: str, seconds: float) -> None:
        """Count a pod that can be called.

        Args:
            image: Image of the pod.
            seconds: Seconds since the pod was created.
        """
        self._starts.labels(self._name(image)).observe(max(0.0, seconds))

    def failed_start(self, image: str) -> None:
        """Count a pod that could not be started."""
        self._failures.labels(self._name(image)).inc()


class _Now(Collector):
    """Collects the gauges at each scrape."""

    def __init__(self, groups: Callable[[], list[Group]], name: Callable[[str], str]) -> None:
        self._groups = groups
        self._name = name

    def collect(self) -> Iterable[Metric]:
        pods = GaugeMetricFamily(
            "porchflow_function_pods",
            "Pods of functions, by state: starting, ready or leaving",
            labels=["function", "state"],
        )
        waiting = GaugeMetricFamily(
            "porchflow_function_calls_waiting", "Calls that wait for a pod", labels=["function"]
        )
        states = Tally(state for group in self._groups() for state in self._states(group))
        for (function, state), count in sorted(states.items()):
            pods.add_metric([function, state], count)
        calls: Tally[str] = Tally()
        for group in self._groups():
            calls[self._name(group.image)] += group.waiting
        for function, count in sorted(calls.items()):
            waiting.add_metric([function], count)
        return [pods, waiting]

    def _states(self, group: Group) -> Iterator[tuple[str, str]]:
        for pod in group.pods.values():
            state = "ready" if pod.is_usable else "leaving" if not pod.is_live else "starting"
            yield self._name(group.image), state
