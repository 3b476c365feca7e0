"""`porchflow doctor`."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import click

from porchflow.cli.commands.installation_options import NAMESPACE, wanted_changes
from porchflow.cli.settings import SettingsError, load_settings, settings_options
from porchflow.cli.stack_settings import load_stack_settings, stack_options
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.functions.runner_settings import RegistrySettings, RunnerClientSettings
from porchflow.workflows.installation_settings import InstallationSettings

if TYPE_CHECKING:
    from porchflow.cli.doctor.findings import Finding
    from porchflow.cli.settings import Settings

_STYLES = {"ok": "green", "warning": "yellow", "failure": "red"}
_TEMPORAL_ADDRESS = "PORCHFLOW_TEMPORAL_ADDRESS"
_PROCESSES = ("watcher", "worker", "content-api", "function-runner")


@click.command()
@settings_options(
    TemporalSettings,
    InstallationSettings,
    "kubeconfig",
    "namespaces",
    RunnerClientSettings,
    RegistrySettings,
    "default_image_prefix",
    "function_config_namespace",
    "git_cache_dir",
    "watch_secrets",
    "sync_seconds",
    "content_service",
)
@stack_options("state_dir")
@click.option(
    "--process",
    "processes",
    multiple=True,
    type=click.Choice(_PROCESSES),
    default=("watcher", "worker"),
    show_default=True,
    help="Whose permissions to check; may be given several times.",
)
@click.option(
    "--deployed-in",
    metavar="NAMESPACE",
    default="",
    help="Check the permissions of the ServiceAccounts of this namespace, such as porchflow-system, instead of those of"
    " the credentials at hand.",
)
@click.option(
    "--before-install",
    is_flag=True,
    help="Run only the checks of `porchflow install`: whether this version can be installed, and would do no harm.",
)
@click.option("--beside-porch", is_flag=True, help="With --before-install: Porch runs in this cluster and stays.")
@click.option(
    "--component",
    "components",
    multiple=True,
    metavar="NAME",
    help="With --before-install: part of deploy/components to add; may be given several times.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    help="Seconds one check may wait for a server.",
)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def doctor(
    *,
    processes: tuple[str, ...],
    deployed_in: str,
    before_install: bool,
    beside_porch: bool,
    components: tuple[str, ...],
    timeout: float,
    output: Literal["text", "json"],
    **flags: Any,  # noqa: ANN401 - the values of any setting
) -> None:
    """Find out why something does not work: looks at every server, permission and Repository. Changes nothing.

    Where `porchflow up` runs and no other servers are named, its own are meant.
    With --before-install it looks at the cluster that porchflow is to come to, and --deployed-in names its namespace
    there [default: porchflow-system]. Temporal is looked at where --temporal-address names one.

    The exit code is 0 when nothing fails (warnings may be there), 1 when something does, 2 after bad usage.
    """
    from porchflow.cli.doctor.all_checks import examine  # noqa: PLC0415 - help must not wait for heavy imports
    from porchflow.cli.doctor.findings import Check, Level, worst  # noqa: PLC0415
    from porchflow.cli.doctor.stack import stack_settings  # noqa: PLC0415
    from porchflow.cli.stack_state import StateError  # noqa: PLC0415

    if (beside_porch or components) and not before_install:
        raise click.UsageError("--beside-porch and --component are for --before-install")
    folder = load_stack_settings({"state_dir": flags.pop("state_dir")}).state_dir
    try:
        of_stack = stack_settings(folder, flags)
        settings = load_settings({**flags, **of_stack})
    except (SettingsError, StateError) as error:
        findings = [
            Check("settings", "environment and flags").failure(str(error), "see docs/reference/configuration.md")
        ]
    else:
        findings = [
            Check("settings", "environment and flags").ok(
                f"are those of the stack in {folder}" if of_stack else "are valid"
            )
        ]
        if before_install:
            wanted = wanted_changes(components, beside_porch=beside_porch)
            findings += asyncio.run(_before_install(settings, deployed_in or NAMESPACE, wanted, timeout))
            if flags.get("temporal_address") or _TEMPORAL_ADDRESS in os.environ:
                findings += asyncio.run(_temporal_before_install(settings, timeout))
        else:
            findings += asyncio.run(examine(settings, processes, timeout, deployed_in=deployed_in))
    click.echo(_json(findings) if output == "json" else findings_text(findings))
    sys.exit(1 if worst(findings) == Level.FAILURE else 0)


async def _temporal_before_install(settings: "Settings", seconds: float) -> "list[Finding]":
    from porchflow.cli.doctor.findings import Check, within  # noqa: PLC0415 - see above
    from porchflow.cli.doctor.servers import check_temporal_before_install  # noqa: PLC0415
    from porchflow.workflows.ids import Attributes  # noqa: PLC0415

    attributes = Attributes(settings.installation.search_attribute_prefix)
    work = check_temporal_before_install(settings.temporal, seconds, attributes)
    return await within(2 * seconds, Check("temporal", settings.temporal.address), work)


async def _before_install(
    settings: "Settings", namespace: str, wanted: dict[str, Any], seconds: float
) -> "list[Finding]":
    from porchflow.cli.doctor.findings import Check  # noqa: PLC0415 - see above
    from porchflow.cli.install.before_install import check_before_install, chosen  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415

    try:
        async with await KubeClient.connect(settings.kubeconfig, request_timeout=seconds) as kube:
            choice, record = await chosen(kube, namespace, wanted)
            return await check_before_install(kube, choice, record)
    except KubeError as error:
        check = Check("kubernetes", str(settings.kubeconfig or "the default kubeconfig"))
        return [check.failure(str(error), "start the API server, or correct PORCHFLOW_KUBECONFIG (--kubeconfig)")]


def _json(findings: "list[Finding]") -> str:
    from pydantic import TypeAdapter  # noqa: PLC0415 - see above

    from porchflow.cli.doctor.findings import Finding  # noqa: PLC0415

    return TypeAdapter(list[Finding]).dump_json(findings, indent=2).decode()


def findings_text(findings: "list[Finding]") -> str:
    """Return findings as lines for people."""
    lines = []
    for finding in findings:
        level = click.style(f"{finding.level:<8}", fg=_STYLES[finding.level])
        lines.append(f"{level}{finding.check}: {finding.where}: {finding.message}")
        if finding.mend:
            lines.append(f"{'':8}-> {finding.mend}")
    return "\n".join(lines)
