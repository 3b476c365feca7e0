"""`porchflow uninstall`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.commands.installation_options import cluster_options, with_cluster
from porchflow.cli.settings import load_settings
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.cli.install.record import Record
    from porchflow.kube.client import KubeClient


@click.command()
@cluster_options
@click.option("--dry-run", is_flag=True, help="Say what would be deleted and what would stay, and change nothing.")
@click.option(
    "--delete-data",
    is_flag=True,
    help="Delete the CRDs with every Repository, PackageRevision and FunctionConfig of the cluster, and porchflow's"
    " namespaces, too. Git keeps its branches and tags.",
)
@click.option("--yes", is_flag=True, help="Do not ask before data is deleted.")
def uninstall(
    *,
    namespace: str,
    context: str,
    dry_run: bool,
    delete_data: bool,
    yes: bool,
    **flags: Any,  # noqa: ANN401 - any setting
) -> None:
    """Take porchflow's processes, permissions and admission policies out of a cluster.

    Namespaces, CRDs, Repositories and PackageRevisions stay, unless --delete-data is given; Git and Temporal are not
    touched. The last lines name what stays. Installing again goes on with all of it.

    The exit code is 0 where all is done, 1 where it would do harm, 2 after bad usage and where the API server is away.
    """
    kubeconfig = load_settings(flags).kubeconfig

    async def run(kube: "KubeClient") -> int:
        from porchflow.cli.install import removal  # noqa: PLC0415 - help must not wait for heavy imports

        record = await _record(kube, namespace)
        if delete_data and (harm := await removal.why_not_delete_data(kube)):
            raise click.ClickException(harm)
        places, counts = await removal.places_of(kube, namespace, record), await removal.count_data(kube)
        if dry_run:
            for place in places:
                click.echo(f"would delete {place}")
        else:
            if delete_data and not yes:
                click.confirm(f"Delete {removal.told_counts(counts)}, and their CRDs?", abort=True)
            await removal.uninstall(kube, namespace, places, click.echo)
        if delete_data and dry_run:
            click.echo(f"would delete {removal.told_counts(counts)}, their CRDs and porchflow's namespaces")
        elif delete_data:
            await removal.delete_data(kube, namespace, click.echo)
        stays = removal.STAYS_ALWAYS if delete_data else removal.what_stays(namespace, record, counts)
        for line in stays:
            click.echo(f"stays: {line}")
        return 0

    sys.exit(with_cluster(kubeconfig, context, run))


async def _record(kube: "KubeClient", namespace: str) -> "Record | None":
    """Return what is installed in a namespace.

    Raises:
        ClickException: Another namespace has the installation of this cluster.
        Trouble: The record cannot be read.
    """
    from porchflow.cli.install.place_checks import installed_in  # noqa: PLC0415 - see above
    from porchflow.cli.install.record import RecordError, read_record  # noqa: PLC0415

    there = await installed_in(kube)
    if there and there != namespace:
        raise click.ClickException(f"porchflow is installed in namespace {there}: name --namespace {there}")
    try:
        return await read_record(kube, namespace)
    except RecordError as error:
        raise Trouble(str(error)) from None
