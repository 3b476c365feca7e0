"""`porchflow worker`."""

from typing import Any

import click

from porchflow.activities.sync.sync_settings import SyncSettings
from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.processes.process import run_process
from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.cli.worker_settings import WorkerSettings
from porchflow.functions.runner_settings import CallSettings, RegistrySettings, RunnerClientSettings
from porchflow.gitrepo.git_settings import GitSettings
from porchflow.repositories.scope import ScopeSettings
from porchflow.workflows.installation_settings import InstallationSettings


@click.command()
@settings_options(
    TemporalSettings,
    InstallationSettings,
    "kubeconfig",
    ScopeSettings,
    RunnerClientSettings,
    RegistrySettings,
    GitSettings,
    CallSettings,
    WorkerSettings,
    SyncSettings,
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
