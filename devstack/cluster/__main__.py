"""The commands of the cluster: `python -m porchflow.devstack.cluster up`, `down` and `exec`."""

import os
import sys
from pathlib import Path

import click

from porchflow.cli.stack_state import StateError
from porchflow.devstack.cluster import starting
from porchflow.devstack.cluster.cgroups import CgroupError
from porchflow.devstack.cluster.deploying import deploy
from porchflow.devstack.cluster.layout import API_PORT, GIT_PORT, GIT_URL, UI_PORT, ClusterFolder
from porchflow.devstack.logs import STACK, console
from porchflow.devstack.processes import HOST
from porchflow.devstack.toolchain.finding import ToolchainError

_DEFAULT_FOLDER = Path(".porchflow-cluster")
_ERRORS = (CgroupError, OSError, StateError, ToolchainError)


@click.group()
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=_DEFAULT_FOLDER,
    show_default=True,
    envvar="PORCHFLOW_CLUSTER_DIR",
    help="Folder that holds everything the cluster keeps.",
)
@click.pass_context
def main(context: click.Context, state_dir: Path) -> None:
    """Run a real cluster of one node on this machine, with porchflow as it is deployed. Needs root."""
    context.obj = ClusterFolder(state_dir.expanduser().absolute())
    if os.geteuid() != 0:
        raise click.ClickException("a cluster of one machine needs root: for namespaces, mounts and cgroups")


@main.command()
@click.option("--deploy/--no-deploy", "deploys", default=True, help="Whether porchflow is installed in it.")
@click.pass_obj
def up(folder: ClusterFolder, deploys: bool) -> None:  # noqa: FBT001 - click passes flags
    """Start the cluster, install porchflow, and leave it running."""
    say = console(only_stack=True)
    try:
        ports = starting.start(folder, say)
        if deploys:
            deploy(folder, say)
    except _ERRORS as error:
        raise click.ClickException(str(error)) from None
    say(STACK, f"export KUBECONFIG={folder.kubeconfig}")
    say(STACK, f"API server: https://{HOST}:{ports[API_PORT]}; Temporal's Web UI: http://{HOST}:{ports[UI_PORT]}")
    say(
        STACK,
        f"Git server: {GIT_URL} for the cluster, http://{HOST}:{ports[GIT_PORT]} for you; repositories in {folder.git}",
    )


@main.command()
@click.pass_obj
def down(folder: ClusterFolder) -> None:
    """End the cluster, however it was started or killed, and remove all of it."""
    try:
        there = starting.remove(folder, console(only_stack=True))
    except _ERRORS as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"removed the cluster of {folder.root}" if there else f"there is no cluster in {folder.root}")


@main.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def execute(folder: ClusterFolder, command: tuple[str, ...]) -> None:
    """Run a command on the node, such as `crictl` or `iptables`: in the namespaces of the cluster."""
    try:
        process = starting.first_process(folder)
    except _ERRORS as error:
        raise click.ClickException(str(error)) from None
    os.execvp("nsenter", ["nsenter", f"--target={process}", "--mount", "--net", "--pid", "--ipc", "--uts", *command])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
