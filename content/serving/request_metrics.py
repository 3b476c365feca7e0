"""Metrics of the content API, for Prometheus."""

from prometheus_client import CollectorRegistry, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class ContentMetrics:
    """Requests by verb and status code, with their durations."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Create the metrics.

        Args:
            registry: Where to register them; without one they are counted and not exported.
        """
        self._seconds = Histogram(
            "porchflow_content_request_seconds",
            "Seconds that requests for package content took; code 499 had no answer, because the client went away",
            ["verb", "code"],
            buckets=_SECONDS,
            registry=registry,
        )

    def answered(self, verb: str, code: int, seconds: float) -> None:
        """Count a request; `verb` is empty where it was refused before its verb was known."""
        self._seconds.labels(verb or "unknown", str(code)).observe(seconds)
