"""`porchflow migrate`."""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from porchflow.cli.settings import load_settings, settings_options

if TYPE_CHECKING:
    from porchflow.cli.migrate.models import RepositoryPlan
    from porchflow.cli.migrate.planning import Clients

_DIFFERENCES = 3
"""Exit code where package revisions differ; 1 is an error, 2 bad usage."""

_RECORD = Path("porchflow-migration.json")


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        settings_options("kubeconfig"),
        click.option(
            "--porch-kubeconfig",
            type=click.Path(path_type=Path),
            help="kubeconfig of the cluster with Porch's v1alpha1 API [default: the same].",
        ),
        click.option("--namespace", "-n", default="", help="Namespace of the Repositories [default: the context's]."),
        click.option(
            "--record",
            type=click.Path(path_type=Path, dir_okay=False),
            default=_RECORD,
            show_default=True,
            help="File that keeps what was found and done.",
        ),
    ):
        command = option(command)
    return command


_REPOSITORIES = click.argument("repositories", nargs=-1)
_TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(min=1), default=600.0, show_default=True, help="Seconds for one Repository."
)


@click.group()
def migrate() -> None:
    """Move Repositories from Porch's v1alpha1 to porchflow, one after the other, and back.

    The exit code is 0 when all is well, 3 where package revisions differ, 1 after an error. See
    docs/porch/migration.md.
    """


@migrate.command()
@_options
@_REPOSITORIES
@click.option("--output", "-o", type=click.Choice(["table", "json"]), default="table", help="How to print.")
@click.option("--all-rows", is_flag=True, help="Show what is the same, too.")
def plan(repositories: tuple[str, ...], *, output: Literal["table", "json"], all_rows: bool, **flags: Any) -> None:  # noqa: ANN401
    """Compare what Porch serves with what porchflow would create. Changes nothing.

    Without names, all Repositories of the namespace. The exit code is 3 where package revisions differ.
    """

    async def run(clients: "Clients") -> int:
        plans = [each async for each in _plans(clients, repositories)]
        if output == "json":
            click.echo(json.dumps([_as_json(each) for each in plans], indent=1))
        else:
            _print(plans, everything=all_rows)
        return _DIFFERENCES if any(_differs(each) for each in plans) else 0

    sys.exit(_run(run, flags))


@migrate.command()
@_options
@_REPOSITORIES
@click.option("--all", "everything", is_flag=True, help="All Repositories of the namespace.")
@click.option("--export-drafts", is_flag=True, help="Bring drafts and proposals that only Porch has to Git first.")
@click.option("--leave-behind", is_flag=True, help="Go on without what only Porch has.")
@_TIMEOUT
def apply(
    repositories: tuple[str, ...],
    *,
    everything: bool,
    export_drafts: bool,
    leave_behind: bool,
    timeout: float,
    record: Path,
    **flags: Any,  # noqa: ANN401 - the values of any option
) -> None:
    """Hand Repositories over to porchflow, one after the other, and verify each.

    Stops at the first that cannot be handed over. Run again, it goes on there.
    """
    _need_names(repositories, everything=everything)

    async def run(clients: "Clients") -> int:
        from porchflow.cli.migrate.migration import Apply  # noqa: PLC0415 - help must not wait for heavy imports

        task = Apply(clients, record, click.echo, export_drafts=export_drafts, leave_behind=leave_behind)
        return _DIFFERENCES if await task.run(repositories, within=timeout) else 0

    sys.exit(_run(run, flags))


@migrate.command()
@_options
@_REPOSITORIES
def verify(repositories: tuple[str, ...], *, record: Path, **flags: Any) -> None:  # noqa: ANN401
    """Compare the objects of migrated Repositories with what was recorded when they were handed over."""

    async def run(clients: "Clients") -> int:
        from porchflow.cli.migrate.migration import verify_recorded  # noqa: PLC0415 - as above

        return _DIFFERENCES if await verify_recorded(clients, record, repositories, click.echo) else 0

    sys.exit(_run(run, flags))


@migrate.command()
@_options
@_REPOSITORIES
@click.option("--all", "everything", is_flag=True, help="All that were migrated with this record.")
@_TIMEOUT
def rollback(
    repositories: tuple[str, ...],
    *,
    everything: bool,
    timeout: float,
    record: Path,
    **flags: Any,  # noqa: ANN401 - the values of any option
) -> None:
    """Hand Repositories back to Porch: the annotation and porchflow's objects go, Git stays as it is.

    Drafts that Porch still has in its database otherwise than Git has them are removed there, and kept in a folder
    beside the record; Porch syncs, and what it shows is compared with Git. The exit code is 3 where it differs: run it
    again.
    """
    _need_names(repositories, everything=everything)

    async def run(clients: "Clients") -> int:
        from porchflow.cli.migrate.migration import roll_back  # noqa: PLC0415 - as above

        return _DIFFERENCES if await roll_back(clients, record, repositories, click.echo, within=timeout) else 0

    sys.exit(_run(run, flags))


def _need_names(repositories: tuple[str, ...], *, everything: bool) -> None:
    if bool(repositories) == everything:
        raise click.UsageError("name Repositories, or give --all")


def _run(work: Callable[["Clients"], Coroutine[Any, Any, int]], flags: dict[str, Any]) -> int:
    from porchflow.cli.migrate.migration_error import MigrationError  # noqa: PLC0415
    from porchflow.cli.migrate.models import RecordError  # noqa: PLC0415
    from porchflow.cli.migrate.planning import UnknownRepository  # noqa: PLC0415
    from porchflow.gitrepo.errors import GitError  # noqa: PLC0415
    from porchflow.gitrepo.refs import InvalidName  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415
    from porchflow.repositories.failures import PhaseError  # noqa: PLC0415 - as above

    settings = load_settings({"kubeconfig": flags.pop("kubeconfig")})

    async def run() -> int:
        async with _clients(settings.kubeconfig, **flags) as clients:
            return await work(clients)

    try:
        return asyncio.run(run())
    except (PhaseError, RecordError, UnknownRepository, MigrationError, GitError, InvalidName, KubeError) as error:
        raise click.ClickException(str(error)) from error


@contextlib.asynccontextmanager
async def _clients(
    kubeconfig: Path | None, *, porch_kubeconfig: Path | None, namespace: str, record: Path | None = None
) -> AsyncIterator["Clients"]:
    from porchflow.cli.migrate.planning import Clients  # noqa: PLC0415 - as above
    from porchflow.gitrepo.git_store import GitStore  # noqa: PLC0415
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.connection import default_namespace  # noqa: PLC0415

    del record
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(await KubeClient.connect(kubeconfig))
        porch = kube
        if porch_kubeconfig is not None:
            porch = await stack.enter_async_context(await KubeClient.connect(porch_kubeconfig))
        cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="porchflow-migrate-"))
        git = await stack.enter_async_context(GitStore(Path(cache)))
        yield Clients(kube, porch, git, namespace or default_namespace(kubeconfig))


async def _plans(clients: "Clients", names: tuple[str, ...]) -> AsyncIterator["RepositoryPlan"]:
    from porchflow.cli.migrate.planning import plan_of, repositories  # noqa: PLC0415 - as above

    async for raw in repositories(clients, names):
        yield await plan_of(clients, raw)


def _print(plans: list["RepositoryPlan"], *, everything: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - as above

    from porchflow.cli.migrate.show import show_plan  # noqa: PLC0415

    console = Console(soft_wrap=True)
    for each in plans:
        show_plan(console, each, everything=everything)
    if not plans:
        console.print("there are no Repositories here")


def _as_json(plan: "RepositoryPlan") -> dict[str, Any]:
    rows = [{**row.model_dump(mode="json"), "comparison": row.comparison.value} for row in plan.rows]
    return {**plan.model_dump(mode="json"), "rows": rows}


def _differs(plan: "RepositoryPlan") -> bool:
    from porchflow.cli.migrate.models import Comparison  # noqa: PLC0415 - as above

    return not plan.migrated and (plan.count(Comparison.SAME) < len(plan.rows) or bool(plan.problems))
