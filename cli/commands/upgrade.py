"""`porchflow upgrade`."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.cli.revisions.overview import Item
    from porchflow.cli.settings import Settings


@click.command()
@click.argument("name")
@click.option("--namespace", "-n", help="Namespace of the PackageRevision [default: that of the kubeconfig].")
@click.option("--to", default="", help="The new upstream [default: the newest published revision of its package].")
@click.option("--workspace", default="", help="Workspace of the new revision [default: the next free vN].")
@click.option(
    "--strategy",
    type=click.Choice(["resource-merge", "fast-forward", "force-delete-replace", "copy-merge"]),
    help="How to merge [default: resource-merge].",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=300.0, show_default=True, help="Seconds to wait; 0: do not."
)
@click.option("--dry-run", is_flag=True, help="Let the API server check it, and print what would be created, as JSON.")
@settings_options("kubeconfig")
def upgrade(
    *,
    name: str,
    namespace: str | None,
    to: str,
    workspace: str,
    strategy: str | None,
    timeout: float,
    dry_run: bool,
    **flags: Any,  # noqa: ANN401 - any setting
) -> None:
    """Make the next revision of a package: a Draft with what changed in its upstream.

    NAME is the name of a published PackageRevision that was made from another one, as kubectl shows it. Its upstream is
    found by status.upstreamLock, and the three names of spec.source.upgrade are filled in. Look at the Draft with
    `porchflow diff`, then propose it with `porchflow propose`.

    The exit code is 0 where the Draft is ready or there is nothing newer, 1 where it is Stalled, 2 where it could not
    be made, or is not done in time.
    """
    settings = load_settings(flags)
    options = {"to": to, "workspace": workspace, "strategy": strategy}
    item = asyncio.run(_upgrade(settings, namespace, name, options, seconds=timeout, dry_run=dry_run))
    if item is None:
        return
    click.echo(f"{item.name} is {'ready' if item.is_ready else item.told}")
    sys.exit(0 if item.is_ready else 1)


async def _upgrade(
    settings: "Settings",
    namespace: str | None,
    name: str,
    options: dict[str, Any],
    *,
    seconds: float,
    dry_run: bool,
) -> "Item | None":
    """Create the object and wait for it; None where nothing is waited for."""
    from porchflow.cli.revisions.named_revision import NoSuchRevisionError  # noqa: PLC0415 - help must be quick
    from porchflow.cli.revisions.next_upgrade import UpgradeError, plan_upgrade  # noqa: PLC0415
    from porchflow.cli.revisions.settling import settled  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415 - see above

    async with await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-upgrade") as kube:
        place = namespace or default_namespace(settings.kubeconfig)
        try:
            plan = await plan_upgrade(kube, place, name, **options)
            if plan is None:
                click.echo(f"{name} is made from the newest revision of its upstream: there is nothing to upgrade to")
                return None
            await plan.create(kube, dry_run=dry_run)
            if dry_run:
                click.echo(json.dumps(plan.body, indent=2))
                return None
            click.echo(f"{plan.name} created: {name} with what changed from {plan.old} to {plan.new}")
            if not seconds:
                return None
            async with asyncio.timeout(seconds):
                return await settled(
                    kube, place, plan.name, lambda item: click.echo(f"{item.name}: {item.told}", err=True)
                )
        except TimeoutError:
            raise Trouble(f"not within {seconds:g} s; go on with `porchflow wait`") from None
        except (KubeError, NoSuchRevisionError, UpgradeError) as error:
            raise Trouble(str(error)) from None
