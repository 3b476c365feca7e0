"""`porchflow down`."""

from typing import Any

import click

from porchflow.cli.extra import need_stack
from porchflow.cli.stack_settings import load_stack_settings, stack_options


@click.command()
@stack_options("state_dir")
def down(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Stop what `porchflow up` runs. State is kept, and the next `up` goes on with it."""
    need_stack()
    settings = load_stack_settings(flags)
    from porchflow.cli.stack_state import StateError, StateFolder  # noqa: PLC0415
    from porchflow.devstack.logs import console  # noqa: PLC0415 - help and bad settings must not wait for heavy imports
    from porchflow.devstack.run import stop_stack  # noqa: PLC0415

    folder = StateFolder(settings.state_dir)
    try:
        stopped = stop_stack(folder, console())
    except StateError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"stopped; state is kept in {folder.root}" if stopped else f"nothing runs in {folder.root}")
