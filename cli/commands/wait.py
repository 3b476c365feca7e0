"""`porchflow wait`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.cli.revisions.overview import Item
    from porchflow.cli.settings import Settings


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--namespace", "-n", help="Namespace of the PackageRevision [default: that of the kubeconfig].")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=300.0, show_default=True, help="Seconds to wait."
)
@click.option("--look", is_flag=True, help="Have porchflow look at Git first, as after a push with git.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing on the way.")
@settings_options("kubeconfig")
def wait(
    *,
    names: tuple[str, ...],
    namespace: str | None,
    timeout: float,
    look: bool,
    quiet: bool,
    **flags: Any,  # noqa: ANN401 - the values of any setting
) -> None:
    """Wait until each PackageRevision is as it was asked for, or cannot come there without a person.

    NAME is the name of a PackageRevision as kubectl shows it; there may be several. What each waits for is printed on
    the way.

    After a push with git, porchflow does not know yet of the newer content, and the object is Ready with what was there
    before. With --look porchflow is asked to look at Git, and the wait ends when it has. This needs the right to patch
    the object.

    The exit code is 0 where all are Ready, 1 where one is Stalled or suspended, 2 where that is not known: there is no
    such object, the API server is away, or the time is up.
    """
    settings = load_settings(flags)
    items = asyncio.run(_all_settled(settings, namespace, names, seconds=timeout, look=look, quiet=quiet))
    for item in items:
        click.echo(f"{item.name} is {'ready' if item.is_ready else item.told} ({item.lifecycle})")
    sys.exit(0 if all(item.is_ready for item in items) else 1)


async def _all_settled(
    settings: "Settings", namespace: str | None, names: tuple[str, ...], *, seconds: float, look: bool, quiet: bool
) -> "list[Item]":
    from porchflow.cli.revisions.named_revision import NoSuchRevisionError, read_named  # noqa: PLC0415 - help must be quick
    from porchflow.cli.revisions.settling import ask_to_look, settled  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415 - see above

    # How each object stands that is still waited for.
    last = dict.fromkeys(names, "not known")

    async def one(kube: KubeClient, place: str, name: str) -> "Item":
        def tell(item: "Item") -> None:
            last[name] = item.told
            if not quiet:
                click.echo(f"{item.name}: {item.told}", err=True)

        # A watch would wait for an API server that forbids it or does not answer.
        await read_named(kube, place, name)
        if look:
            await ask_to_look(kube, place, name)
        item = await settled(kube, place, name, tell)
        last.pop(name)
        return item

    try:
        async with (
            asyncio.timeout(seconds),
            await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-wait") as kube,
        ):
            place = namespace or default_namespace(settings.kubeconfig)
            # In the order of the names, each once.
            return list(await asyncio.gather(*(one(kube, place, name) for name in dict.fromkeys(names))))
    except TimeoutError:
        raise Trouble(
            f"not within {seconds:g} s: {', '.join(f'{name} is {told}' for name, told in last.items())}"
        ) from None
    except (KubeError, NoSuchRevisionError) as error:
        raise Trouble(str(error)) from None
