"""`porchflow demo`."""

import asyncio
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.extra import need_stack
from porchflow.cli.stack_settings import load_stack_settings, stack_options

if TYPE_CHECKING:
    from porchflow.cli.stack_state import StackRecord, StateFolder


@click.command()
@stack_options()
@click.option("--stop", is_flag=True, help="Stop the stack at the end if the demo has started it.")
def demo(*, stop: bool, **flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Take a sample package from nothing to Published, on this machine.

    Uses the stack that runs, or starts one, which goes on running so that you can look around.
    """
    need_stack()
    settings = load_stack_settings(flags)
    from porchflow.cli.stack_state import StateFolder  # noqa: PLC0415
    from porchflow.devstack.demo.demo_repository import GitFailed  # noqa: PLC0415 - help and bad settings must not wait for heavy imports
    from porchflow.devstack.demo.walk import DemoError  # noqa: PLC0415
    from porchflow.devstack.logs import console  # noqa: PLC0415
    from porchflow.devstack.run import STACK_ERRORS, start_detached, stop_stack  # noqa: PLC0415

    folder = StateFolder(settings.state_dir)
    say = console()

    def walk() -> None:
        running = folder.running()
        stack = running if running is not None and running.ready else start_detached(settings, say)
        try:
            asyncio.run(_run(folder, stack))
        finally:
            if stop and running is None:
                stop_stack(folder, say)

    try:
        walk()
    except (DemoError, GitFailed, *STACK_ERRORS) as error:
        raise click.ClickException(str(error) or type(error).__name__) from None
    if not stop:
        click.echo("\nThe stack goes on running; `porchflow down` stops it, `porchflow status` shows it.")


async def _run(folder: "StateFolder", stack: "StackRecord") -> None:
    from porchflow.devstack.demo.walk import Demo  # noqa: PLC0415 - see above
    from porchflow.kube.client import KubeClient  # noqa: PLC0415

    async with await KubeClient.connect(folder.kubeconfig) as client:
        await Demo(folder, stack, client).run()
