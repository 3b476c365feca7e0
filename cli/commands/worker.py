"""`porchflow worker`."""

from typing import Any

import click

from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.processes.process import run_process
from porchflow.cli.settings import (
    REGISTRY_SETTINGS,
    RUNNER_SETTINGS,
    TEMPORAL_SETTINGS,
    load_settings,
    settings_options,
)


@click.command()
@settings_options(
    *TEMPORAL_SETTINGS,
    "kubeconfig",
    "namespaces",
    *RUNNER_SETTINGS,
    *REGISTRY_SETTINGS,
    "git_cache_dir",
    "default_image_prefix",
    "queues",
    "reconcile_slots",
    "render_slots",
    "sync_slots",
    "sync_writes",
    "full_sync_seconds",
    "removed_grace_seconds",
    "annotated_repositories_only",
    "cached_workflows",
    "git_threads",
    "git_timeout",
    "function_timeout",
    "builtin_function_timeout",
    "max_grpc_message_size",
    "health_address",
    "temporal_metrics_address",
    "log_level",
)
def worker(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Run workflows and activities: serves Temporal task queues until stopped.

    Any number of workers may run; each holds nothing that another could not make again.
    """
    settings = load_settings(flags)
    check_addresses(settings, "health_address", "temporal_metrics_address")
    import uvloop  # noqa: PLC0415 - help and bad settings must not wait for heavy imports

    from porchflow.cli.processes.worker import run_worker  # noqa: PLC0415 - help and bad settings must not wait for heavy imports

    run_process(run_worker(settings), log_level=settings.log_level, new_loop=uvloop.new_event_loop)
