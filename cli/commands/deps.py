"""`porchflow deps`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.cli.revisions.dependencies import Dependencies
    from porchflow.cli.settings import Settings


@click.command()
@click.argument("name")
@click.option("--namespace", "-n", help="Namespace of the PackageRevision [default: that of the kubeconfig].")
@click.option("--dependents", is_flag=True, help="Show what was made from NAME, instead of what NAME was made from.")
@click.option(
    "--can-delete", is_flag=True, help="Say whether anything depends on NAME; exit with 1 where something does."
)
@settings_options("kubeconfig")
def deps(
    *,
    name: str,
    namespace: str | None,
    dependents: bool,
    can_delete: bool,
    **flags: Any,  # noqa: ANN401 - any setting
) -> None:
    """Show what a package revision and its subpackages were made from, or what depends on it.

    A package revision depends on another one where it, or a subpackage of it, was cloned from that or upgraded to that,
    or where it asks for it. Copies of the same package do not count, and published revisions that have a later one
    neither. The status of the PackageRevisions in the namespace tells. Objects that an older release made tell their
    own upstream, and not those of their subpackages.

    The exit code is 0, with --can-delete 1 where something depends on NAME, and 2 where that is not known.
    """
    if dependents and can_delete:
        raise click.UsageError("--dependents and --can-delete are two questions: ask one")
    settings = load_settings(flags)
    found = asyncio.run(_read(settings, namespace, name))
    from porchflow.cli.revisions.dependencies import dependent_lines, upstream_lines  # noqa: PLC0415 - help must be quick

    if not (dependents or can_delete):
        click.echo("\n".join(upstream_lines(found)))
        return
    if can_delete and not (found.dependents or found.unknown):
        click.echo(f"{found.name} can be deleted: nothing depends on it")
        return
    click.echo("\n".join(dependent_lines(found)))
    if can_delete:
        sys.exit(1 if found.dependents else 2)


async def _read(settings: "Settings", namespace: str | None, name: str) -> "Dependencies":
    from porchflow.cli.revisions.dependencies import read_dependencies  # noqa: PLC0415 - help must be quick
    from porchflow.cli.revisions.named_revision import NoSuchRevisionError  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415 - see above

    async with await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-deps") as kube:
        try:
            return await read_dependencies(kube, namespace or default_namespace(settings.kubeconfig), name)
        except (KubeError, NoSuchRevisionError) as error:
            raise Trouble(str(error)) from None
