"""Prometheus metrics that every process has.

Imports little: the function runner has no use for the clients of the other processes.
"""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info, ProcessCollector


def new_registry(process: str) -> CollectorRegistry:
    """Return a registry with the version, the processor time and the memory of this process.

    Args:
        process: The command that it runs, such as `worker`.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    build = Info("porchflow_build", "Version of porchflow, and which of its processes this is", registry=registry)
    build.info({"version": version("porchflow"), "process": process})
    return registry
