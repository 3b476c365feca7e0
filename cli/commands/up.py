"""`porchflow up`."""

import asyncio
import contextlib
import shlex
import signal
from typing import Any

import click
import psutil

from porchflow.cli.extra import need_stack
from porchflow.cli.settings import StackSettings
from porchflow.cli.stack_settings import load_stack_settings, stack_options


@click.command()
@stack_options()
@click.option("--detach", "-d", is_flag=True, help="Return when everything is ready; `porchflow down` stops it.")
@click.option("--quiet", "-q", is_flag=True, help="Show what happens to the parts, not what they log.")
def up(*, detach: bool, quiet: bool, **flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Run everything on this machine.

    That is etcd, the Kubernetes API, Temporal, a Git server, the function runner, the content API, watcher and workers.
    Missing servers are built first. All state is in one folder and survives `porchflow down`. With --temporal-store
    postgresql, Temporal is its real server on a PostgreSQL of its own, whose programs must be installed.
    """
    need_stack()
    settings = load_stack_settings(flags)
    from porchflow.devstack.logs import console  # noqa: PLC0415 - help and bad settings must not wait for heavy imports
    from porchflow.devstack.run import STACK_ERRORS, start_detached  # noqa: PLC0415

    try:
        if detach:
            start_detached(settings, console())
            click.echo(_welcome(settings))
        else:
            asyncio.run(_foreground(settings, quiet=quiet))
    except STACK_ERRORS as error:
        raise click.ClickException(str(error) or type(error).__name__) from None
    except KeyboardInterrupt:
        raise click.Abort from None


async def _foreground(settings: StackSettings, *, quiet: bool) -> None:
    from porchflow.devstack.logs import STACK, console  # noqa: PLC0415 - see above
    from porchflow.devstack.run import running_stack  # noqa: PLC0415

    say = console(only_stack=quiet)
    stopping = _cancel_on_signals(asyncio.current_task())
    try:
        async with running_stack(settings, say):
            if not quiet:
                click.echo(_welcome(settings))
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
        say(STACK, "stopped; `porchflow up` goes on where this ended")


def _cancel_on_signals(task: "asyncio.Task[None] | None") -> asyncio.Event:
    """Have the first signal cancel the task, which then stops the parts in order; a second one kills them.

    Returns:
        An event that the first signal sets.
    """
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            for part in psutil.Process().children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    part.kill()
        elif task is not None:
            stopping.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    return stopping


def _welcome(settings: StackSettings) -> str:
    from porchflow.cli.stack_state import StateFolder  # noqa: PLC0415 - see above

    folder = StateFolder(settings.state_dir)
    record = folder.read()
    if record is None:
        return "the stack has ended already"
    return f"""
everything is ready

  export KUBECONFIG={shlex.quote(record.kubeconfig)}
  kubectl get packagerevisions -A      what there is
  porchflow status                     what runs, and what needs you
  {record.ui}               every reconcile, in the Temporal UI
  {record.git}/NAME.git      Git repositories below {folder.git}
"""
