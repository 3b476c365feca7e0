"""`porchflow wait`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.cli.overview import Item
    from porchflow.cli.settings import Settings


@click.command()
@click.argument("name")
@click.option("--namespace", "-n", help="Namespace of the PackageRevision [default: that of the kubeconfig].")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=300.0, show_default=True, help="Seconds to wait."
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing on the way.")
@settings_options("kubeconfig")
def wait(*, name: str, namespace: str | None, timeout: float, quiet: bool, **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Wait until a PackageRevision is as it was asked for, or cannot come there without a person.

    NAME is the name of a PackageRevision as kubectl shows it. What it waits for is printed on the way.

    The exit code is 0 where it is Ready, 1 where it is Stalled or suspended, 2 where that is not known: there is no
    such object, the API server is away, or the time is up.
    """
    settings = load_settings(flags)
    item = asyncio.run(_settled(settings, namespace, name, seconds=timeout, quiet=quiet))
    click.echo(f"{item.name} is {'ready' if item.is_ready else item.told} ({item.lifecycle})")
    sys.exit(0 if item.is_ready else 1)


async def _settled(settings: "Settings", namespace: str | None, name: str, *, seconds: float, quiet: bool) -> "Item":
    from porchflow.cli.named_revision import NoSuchRevisionError, read_named  # noqa: PLC0415 - help must be quick
    from porchflow.cli.settling import settled  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415 - see above

    last = ""

    def tell(item: "Item") -> None:
        nonlocal last
        last = item.told
        if not quiet:
            click.echo(f"{item.name}: {last}", err=True)

    try:
        async with (
            asyncio.timeout(seconds),
            await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-wait") as kube,
        ):
            place = namespace or default_namespace(settings.kubeconfig)
            # A watch would wait for an API server that forbids it or does not answer.
            await read_named(kube, place, name)
            return await settled(kube, place, name, tell)
    except TimeoutError:
        raise Trouble(f"not within {seconds:g} s: {name} is {last or 'not known'}") from None
    except (KubeError, NoSuchRevisionError) as error:
        raise Trouble(str(error)) from None
