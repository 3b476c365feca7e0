"""`porchflow diff`."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble
from porchflow.gitrepo.git_settings import GitSettings

if TYPE_CHECKING:
    from porchflow.cli.diff.show import Format
    from porchflow.cli.settings import Settings
    from porchflow.gitrepo.store.diffs import FileDiff


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="[B]", required=False)
@click.option("--upstream", is_flag=True, help="Compare A with the upstream it was cloned from or upgraded to.")
@click.option("--namespace", "-n", help="Namespace of the PackageRevisions [default: that of the kubeconfig].")
@click.option("--stat", "form", flag_value="stat", help="Show how many lines changed in which files.")
@click.option("--name-only", "form", flag_value="names", help="Show the names of the files that differ.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    help="Use colour [default: auto, on a terminal unless NO_COLOR is set].",
)
@settings_options("kubeconfig", GitSettings)
def diff(
    *,
    first: str,
    second: str | None,
    upstream: bool,
    namespace: str | None,
    form: "Format | None",
    color: Literal["auto", "always", "never"],
    **flags: Any,  # noqa: ANN401 - the values of any setting
) -> None:
    """Show how the files of two package revisions differ.

    A and B are names of PackageRevisions as kubectl shows them. With one name, what it would change is shown: the
    difference from the newest published revision of the package (for a published one: from the one before it); for the
    first revision of a clone the difference from its upstream; else every file is new.

    The files are read from Git, with the Secret that the Repository names: this needs the right to get both, and a
    way to the Git server.

    The exit code is 0 where nothing differs, 1 where something does, 2 where that is not known.
    """
    if upstream and second:
        raise click.UsageError("--upstream compares one package revision: give A only")
    settings = load_settings(flags)
    from porchflow.cli.diff.show import is_coloured, lines_of, print_coloured, print_plain  # noqa: PLC0415 - help must be quick

    found = asyncio.run(_compare(settings, namespace, (first, second), upstream=upstream))
    lines = lines_of(found, form or "unified")
    if is_coloured(color, dict(os.environ)):
        print_coloured(lines, sys.stdout)
    else:
        print_plain(lines, sys.stdout.buffer)
    sys.exit(1 if found else 0)


async def _compare(
    settings: "Settings", namespace: str | None, names: tuple[str, str | None], *, upstream: bool
) -> "list[FileDiff]":
    from porchflow.cli.diff.sides import DiffError, Sides  # noqa: PLC0415
    from porchflow.cli.revisions.named_revision import NoSuchRevisionError  # noqa: PLC0415
    from porchflow.gitrepo.errors import GitError  # noqa: PLC0415
    from porchflow.gitrepo.git_store import GitStore  # noqa: PLC0415
    from porchflow.gitrepo.refs import InvalidName  # noqa: PLC0415
    from porchflow.gitrepo.store.diffs import compare_files  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415
    from porchflow.repositories.failures import PhaseError  # noqa: PLC0415 - see above

    first, second = names
    try:
        async with (
            await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-diff") as kube,
            GitStore.of(settings.git) as store,
        ):
            sides = Sides(kube, store, namespace or default_namespace(settings.kubeconfig))
            old, new = await sides.pair(first, second, upstream=upstream)
            if second is None:
                click.echo(f"{new.title} compared with {old.title}", err=True)
            return await asyncio.to_thread(compare_files, old.files, new.files)
    except (DiffError, GitError, InvalidName, KubeError, NoSuchRevisionError, PhaseError) as error:
        raise Trouble(str(error)) from None
