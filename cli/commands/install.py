"""`porchflow install`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from porchflow.cli.commands.doctor import findings_text
from porchflow.cli.commands.installation_options import cluster_options, wanted_changes, with_cluster
from porchflow.cli.settings import load_settings

if TYPE_CHECKING:
    from porchflow.cli.doctor.findings import Finding
    from porchflow.cli.install.choice import Choice
    from porchflow.kube.client import KubeClient, Object


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
    help="Setting of the processes, as docs/reference/configuration.md names it; an empty value takes one away.",
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
        from porchflow.cli.install.before_install import check_before_install, chosen  # noqa: PLC0415

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
