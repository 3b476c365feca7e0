"""Options that `porchflow install`, `uninstall` and `doctor --before-install` share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from porchflow.cli.settings import settings_options
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.kube.client import KubeClient

NAMESPACE = "porchflow-system"
"""Namespace of the processes, unless another one is named."""

_REQUEST_TIMEOUT = 30.0

_Command = TypeVar("_Command", bound=Callable[..., Any])


def cluster_options(command: _Command) -> _Command:
    """Give a command the options that name a cluster and the namespace of the processes."""
    for option in (
        settings_options("kubeconfig"),
        click.option("--context", default="", help="Context of the kubeconfig [default: its current one]."),
        click.option("--namespace", "-n", default=NAMESPACE, show_default=True, help="Namespace of the processes."),
    ):
        command = option(command)
    return command


def wanted_changes(
    components: Sequence[str],
    without: Sequence[str] = (),
    entries: Sequence[str] = (),
    image: str = "",
    *,
    beside_porch: bool,
) -> dict[str, Any]:
    """Return the arguments of `Choice.changed` that options mean.

    Raises:
        BadParameter: An entry has no `=`.
    """
    pairs = [entry.partition("=") for entry in entries]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise click.BadParameter(f"{name!r}: write VARIABLE=VALUE", param_hint="--set")
    return {
        "components": [*components, *(["beside-porch"] if beside_porch else [])],
        "without": list(without),
        "settings": {name: value for name, _, value in pairs},
        "image": image,
    }


def with_cluster(kubeconfig: Path | None, context: str, run: "Callable[[KubeClient], Awaitable[int]]") -> int:
    """Run something with a client of a cluster, and return its exit code.

    Raises:
        Trouble: The API server refuses something, or does not answer.
    """
    from porchflow.kube.client import KubeClient  # noqa: PLC0415 - help must not wait for heavy imports
    from porchflow.kube.errors import KubeError  # noqa: PLC0415

    async def connected() -> int:
        async with await KubeClient.connect(
            kubeconfig, context=context, user_agent="porchflow-install", request_timeout=_REQUEST_TIMEOUT
        ) as kube:
            return await run(kube)

    try:
        return asyncio.run(connected())
    except (KubeError, TimeoutError) as error:
        raise Trouble(str(error)) from None
