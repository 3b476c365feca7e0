"""`porchflow content-api`."""

from typing import Any

import click

from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.processes.process import run_process
from porchflow.cli.settings import load_settings, settings_options
from porchflow.content.content_settings import ContentSettings
from porchflow.gitrepo.git_settings import GitSettings


@click.command("content-api")
@settings_options(ContentSettings, "kubeconfig", GitSettings, "health_address", "log_level")
def content_api(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Serve package content to the Kubernetes API server (aggregated API v1alpha1.porch.kpt.dev).

    Read and push packages with `kubectl get/edit/replace/patch packagerevisionresources` and `porchctl rpkg pull/push`.
    """
    settings = load_settings(flags)
    check_addresses(settings, "content_address", "health_address")
    from porchflow.cli.processes.content_api import run  # noqa: PLC0415 - help and bad settings must not wait for heavy imports

    run_process(run(settings), log_level=settings.log_level)
