"""One sample of each metric of a function runner: their names and labels, for references of them."""

from typing import Final

from prometheus_client import CollectorRegistry

from porchflow.functions.pods.group import Group
from porchflow.functions.pods.member import FunctionPod
from porchflow.functions.pods.pod_limits import Limits
from porchflow.functions.pods.pod_metrics import PodMetrics
from porchflow.functions.runner.call_metrics import RunnerMetrics

_IMAGE: Final = "example.com/a:v1"


def add_samples(registry: CollectorRegistry) -> None:
    """Register the metrics of a function runner that has called one function in one pod.

    Args:
        registry: Where they are registered.
    """
    metrics = RunnerMetrics(registry)
    with metrics.call(_IMAGE):
        pods = PodMetrics(registry, metrics.name)
    pods.started(_IMAGE, 0.0)
    pods.failed_start(_IMAGE)
    group = Group(_IMAGE, Limits(time_to_live=0.0, max_pods=1, max_queue=1))
    group.pods["a"] = FunctionPod({"metadata": {"name": "a", "uid": "a"}, "status": {}}, 0.0)
    pods.watch(lambda: [group])
