"""`porchflow webhook-secret`."""

from typing import Any

import click

from porchflow.api.webhook_secrets import repository_secret
from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble


@click.command("webhook-secret")
@click.argument("name")
@click.option("--namespace", "-n", required=True, help="Namespace of the Repository.")
@settings_options()
def webhook_secret(*, name: str, namespace: str, **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Print the webhook secret of one Repository, for a forge that may speak for no other one.

    NAME is the name of a Repository. Its webhooks go to the path /webhooks/NAMESPACE/NAME. The secret is derived from
    the newest one, the last, in PORCHFLOW_WEBHOOK_SECRET, which the watcher has; nothing is asked of the cluster.
    """
    secrets = load_settings(flags).watcher.webhook_secrets
    if not secrets:
        raise Trouble(
            "PORCHFLOW_WEBHOOK_SECRET is not set: give it the value that the watcher has, or run this command in the"
            " watcher's container"
        )
    click.echo(repository_secret(secrets[-1], namespace, name))
