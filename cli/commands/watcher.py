"""`porchflow watcher`."""

from typing import Any

import click

from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.processes.process import run_process
from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.workflows.installation_settings import InstallationSettings


@click.command()
@settings_options(
    TemporalSettings,
    InstallationSettings,
    "kubeconfig",
    "namespaces",
    WatcherSettings,
    "health_address",
    "temporal_metrics_address",
    "log_level",
)
def watcher(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Watch PackageRevisions and start a workflow for each that needs work; keep the sync schedules of Repositories."""
    settings = load_settings(flags)
    check_addresses(settings, "health_address", "webhook_address", "temporal_metrics_address")
    import uvloop  # noqa: PLC0415 - help and bad settings must not wait for heavy imports

    from porchflow.cli.processes.watcher import run  # noqa: PLC0415 - help and bad settings must not wait for heavy imports

    run_process(run(settings), log_level=settings.log_level, new_loop=uvloop.new_event_loop)
