"""Metrics of the function runner for Prometheus."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from porchflow.functions.function_errors import FunctionNotFound, FunctionUnavailable
from porchflow.kpt.format.images import parse_image
from porchflow.kpt.package_errors import FunctionFailed

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_MOST_FUNCTIONS = 500
"""Names of functions with a label of their own; names come from packages, so their number has no other bound."""


class RunnerMetrics:
    """Counts calls by function and outcome, their durations, and the calls under way."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the metrics.

        Args:
            registry: Where they are registered; a registry of their own by default.
        """
        self.registry = registry or CollectorRegistry()
        self._calls = Counter(
            "porchflow_function_calls",
            "Calls of functions, by outcome: succeeded, failed, not_found, unavailable or cancelled",
            ["function", "outcome"],
            registry=self.registry,
        )
        self._durations = Histogram(
            "porchflow_function_seconds",
            "Seconds that calls of functions took, waiting included",
            ["function"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._running = Gauge(
            "porchflow_function_calls_under_way", "Calls of functions under way", registry=self.registry
        )
        self._names: set[str] = set()

    @contextmanager
    def call(self, image: str) -> Iterator[None]:
        """Count one call: `succeeded`, `failed`, `not_found`, `unavailable`, or `cancelled` by its caller."""
        name, began, outcome = self.name(image), time.monotonic(), "cancelled"
        try:
            with self._running.track_inprogress():
                yield
            outcome = "succeeded"
        except FunctionNotFound:
            # A name without a function may be any text, so it gets no label.
            name, outcome = "other", "not_found"
            raise
        except FunctionFailed:
            outcome = "failed"
            raise
        except FunctionUnavailable:
            outcome = "unavailable"
            raise
        finally:
            self._calls.labels(name, outcome).inc()
            self._durations.labels(name).observe(time.monotonic() - began)

    def name(self, image: str) -> str:
        """Return the label of an image: its base name, or `other` once there are too many names."""
        name = parse_image(image).name
        if name in self._names or len(self._names) < _MOST_FUNCTIONS:
            self._names.add(name)
            return name
        return "other"
