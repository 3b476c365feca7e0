"""`porchflow install`."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from porchflow.cli.commands.doctor import findings_text
from porchflow.cli.settings import load_settings, settings_options
from porchflow.cli.trouble import Trouble

if TYPE_CHECKING:
    from porchflow.cli.doctor.findings import Finding
    from porchflow.cli.install.choice import Choice
    from porchflow.cli.install.record import Record
    from porchflow.kube.client import KubeClient, Object

_Command = TypeVar("_Command", bound=Callable[..., Any])

NAMESPACE = "porchflow-system"
"""Where `porchflow install` puts the processes, unless another namespace is named."""

_REQUEST_TIMEOUT = 30.0


def cluster_options(command: _Command) -> _Command:
    """Give a command the options that name a cluster and the namespace of the processes."""
    for option in (
        settings_options("kubeconfig"),
        click.option("--context", default="", help="Context of the kubeconfig [default: its current one]."),
        click.option("--namespace", "-n", default=NAMESPACE, show_default=True, help="Namespace of the processes."),
    ):
        command = option(command)
    return command


@click.command()
@cluster_options
@click.option("--beside-porch", is_flag=True, help="Porch runs in this cluster and keeps its Repositories.")
@click.option(
    "--component",
    "components",
    multiple=True,
    metavar="NAME",
    help="Part of deploy/components to add; may be given several times.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    help="Component to take away, or record-approvers, which is chosen where Kubernetes serves it.",
)
@click.option(
    "--set",
    "entries",
    multiple=True,
    metavar="VARIABLE=VALUE",
    help="Setting of the processes, as docs/configuration.md names it; an empty value takes one away.",
)
@click.option("--image", default="", help="Image of the processes, with its registry and a tag or digest.")
@click.option("--dry-run", is_flag=True, help="Check, print the manifests, and change nothing.")
@click.option("--force-conflicts", is_flag=True, help="Take fields over that have another owner.")
def install(
    *,
    namespace: str,
    context: str,
    beside_porch: bool,
    components: tuple[str, ...],
    without: tuple[str, ...],
    entries: tuple[str, ...],
    image: str,
    dry_run: bool,
    force_conflicts: bool,
    **flags: Any,  # noqa: ANN401 - any setting
) -> None:
    """Install porchflow in a cluster, or bring an installation to this version.

    First checks what is there (`porchflow doctor --before-install` does that alone), and changes nothing where it
    would do harm. Namespaces and CRDs come first, then permissions, admission policies and the processes. What an
    installation has been given by --component, --set and --image is kept by the next run.

    The exit code is 0 where all is applied, 1 where a check fails, 2 after bad usage and where the API server is away.
    """
    from porchflow.cli.doctor.findings import Level, worst  # noqa: PLC0415 - help must not wait for heavy imports

    wanted = wanted_changes(components, without, entries, image, beside_porch=beside_porch)
    kubeconfig = load_settings(flags).kubeconfig

    async def run(kube: "KubeClient") -> int:
        from porchflow.cli.install.applying import install as apply  # noqa: PLC0415 - see above
        from porchflow.cli.install.before_install import check_before_install  # noqa: PLC0415

        choice, record = await chosen(kube, namespace, wanted)
        findings = await check_before_install(kube, choice, record, force_conflicts=force_conflicts)
        click.echo(findings_text(_worth_telling(findings)), err=True)
        refused = worst(findings) == Level.FAILURE
        if dry_run:
            click.echo(_yaml([*choice.foundations(), *choice.manifests()]), nl=False)
        elif refused:
            click.echo("nothing was changed: mend what fails, and run the same command again", err=True)
        else:
            await apply(kube, choice, record, click.echo, force=force_conflicts)
            click.echo(_next_steps(choice))
        return 1 if refused else 0

    sys.exit(with_cluster(kubeconfig, context, run))


def wanted_changes(
    components: Sequence[str], without: Sequence[str], entries: Sequence[str], image: str, *, beside_porch: bool
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


async def chosen(kube: "KubeClient", namespace: str, wanted: dict[str, Any]) -> "tuple[Choice, Record | None]":
    """Return what is to be installed, and what is.

    Raises:
        Trouble: The choice cannot be installed, or the record cannot be read.
        KubeError: The API server does not answer.
    """
    from porchflow.cli.install.before_install import with_what_is_served  # noqa: PLC0415 - see above
    from porchflow.cli.install.choice import Choice, ChoiceError  # noqa: PLC0415
    from porchflow.cli.install.record import RecordError, read_record  # noqa: PLC0415

    try:
        record = await read_record(kube, namespace)
        before = record.choice if record else Choice(namespace=namespace)
        return await with_what_is_served(kube, before.changed(**wanted)), record
    except (ChoiceError, RecordError) as error:
        raise Trouble(str(error)) from None


def with_cluster(kubeconfig: Path | None, context: str, run: "Callable[[KubeClient], Any]") -> int:
    """Run something with a client of a cluster, and return its exit code.

    Raises:
        Trouble: The API server refuses something, or does not answer.
    """
    from porchflow.kube.client import KubeClient  # noqa: PLC0415 - see above
    from porchflow.kube.errors import KubeError  # noqa: PLC0415

    async def connected() -> int:
        async with await KubeClient.connect(
            kubeconfig, context=context, user_agent="porchflow-install", request_timeout=_REQUEST_TIMEOUT
        ) as kube:
            return int(await run(kube))

    try:
        return asyncio.run(connected())
    except (KubeError, TimeoutError) as error:
        raise Trouble(str(error)) from None


def _worth_telling(findings: "list[Finding]") -> "list[Finding]":
    from porchflow.cli.doctor.findings import Level  # noqa: PLC0415 - see above

    return [finding for finding in findings if finding.level != Level.OK] or findings


def _yaml(manifests: "list[Object]") -> str:
    import yaml  # noqa: PLC0415 - see above

    return str(yaml.safe_dump_all(manifests, sort_keys=False, allow_unicode=True, explicit_start=True))


def _next_steps(choice: "Choice") -> str:
    namespace = choice.namespace
    return (
        f"installed in namespace {namespace}. See whether the processes are ready, and whether all is well:\n"
        f"  kubectl get pods --namespace {namespace}\n"
        f"  porchflow doctor --deployed-in {namespace}"
    )
