"""`porchflow status`."""

import asyncio
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import BaseModel

from porchflow.cli.settings import Settings, load_settings, settings_options
from porchflow.cli.stack_settings import load_stack_settings, stack_options
from porchflow.cli.stack_state import StackRecord, StateError, StateFolder
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.workflows.installation_settings import InstallationSettings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from porchflow.cli.doctor.findings import Finding
    from porchflow.cli.revisions.overview import Overview

_SECONDS = 10.0
_ROWS = 12
_LEVELS = {"ok": "default", "warning": "yellow", "failure": "red"}
_STYLES = {
    "stalled": "bold red",
    "retrying": "yellow",
    "waiting": "cyan",
    "in progress": "blue",
    "suspended": "dim",
    "waiting for approval": "magenta",
    "converged": "green",
}


class PartStatus(BaseModel):
    """The state of one part of the stack."""

    name: str
    up: bool
    pid: int
    address: str
    restarts: int


@click.command()
@settings_options(TemporalSettings, InstallationSettings, "kubeconfig")
@stack_options("state_dir")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def status(*, output: Literal["text", "json"], **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Show what runs, how Repositories are synced, and which objects need work or a person's attention.

    Where `porchflow up` runs and no other cluster is named, its parts are shown, and its objects. Else the objects are
    those of the cluster of the kubeconfig. Workflow tasks that fail are shown of the stack's Temporal, or of the one
    that --temporal-address names.

    The exit code is 0 when all that was looked at answers, 1 when a part of the stack is down, the cluster cannot be
    read, or there is neither.
    """
    folder = StateFolder(load_stack_settings({"state_dir": flags.pop("state_dir")}).state_dir)
    settings = load_settings(flags)
    kubeconfig = settings.kubeconfig
    try:
        record = folder.read()
    except StateError as error:
        raise click.ClickException(str(error)) from None
    elsewhere = record is not None and not _means(kubeconfig, record)
    seen = _look(kubeconfig, None if elsewhere else record)
    where = _Where(folder, None if elsewhere else record, elsewhere)
    if (where.record and where.record.temporal) or "address" in settings.temporal.model_fields_set:
        seen = replace(seen, workflow_tasks=_look_at_tasks(where, settings, flags))
    click.echo(_json(where, seen)) if output == "json" else _print(where, seen)
    sys.exit(0 if seen.is_up else 1)


@dataclass(frozen=True)
class _Where:
    """What was looked at.

    Attributes:
        folder: The state folder.
        record: The stack, if it is looked at.
        elsewhere: Whether the folder has a stack, and another cluster is named.
    """

    folder: StateFolder
    record: StackRecord | None
    elsewhere: bool


@dataclass(frozen=True)
class _Seen:
    """What was found.

    Attributes:
        parts: The parts of the stack.
        cluster: Address of the API server; empty where none was reached.
        objects: Its objects.
        problem: The reason why they cannot be read; empty for none.
        workflow_tasks: Whether some fail; None where no Temporal is known.
    """

    parts: list[PartStatus]
    cluster: str = ""
    objects: "Overview | None" = None
    problem: str = ""
    workflow_tasks: "Finding | None" = None

    @property
    def is_up(self) -> bool:
        return not self.problem and all(part.up for part in self.parts)


def _means(kubeconfig: Path | None, record: StackRecord) -> bool:
    """Return whether the cluster that the user names is that of a stack: by name, or by naming none."""
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG", "")
    return not named or Path(named).absolute() == Path(record.kubeconfig).absolute()


def _look(kubeconfig: Path | None, record: StackRecord | None) -> _Seen:
    parts = read_parts(record) if record else []
    from porchflow.cli.revisions.overview import read_overview  # noqa: PLC0415 - help must not wait for heavy imports
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.errors import KubeConfigError, KubeError  # noqa: PLC0415

    async def read() -> _Seen:
        path = Path(record.kubeconfig) if record else kubeconfig
        async with asyncio.timeout(_SECONDS), await KubeClient.connect(path, user_agent="porchflow-status") as client:
            return _Seen(parts, client.host, await read_overview(client))

    try:
        return asyncio.run(read())
    except KubeConfigError as error:
        return _Seen(parts, problem=str(error))
    except KubeError as error:
        return _Seen(parts, problem=f"cannot read PackageRevisions: {error}")
    except TimeoutError:
        return _Seen(parts, problem=f"cannot read PackageRevisions: no answer within {_SECONDS:g} s")


def _look_at_tasks(where: _Where, settings: Settings, flags: dict[str, Any]) -> "Finding":
    from porchflow.cli.doctor.open_runs import look_at_open_runs  # noqa: PLC0415 - help must not wait for heavy imports
    from porchflow.cli.doctor.stack import settings_of_stack  # noqa: PLC0415

    if where.record is not None and where.record.temporal:
        settings = load_settings({**flags, **settings_of_stack(where.folder, where.record)})
    return asyncio.run(look_at_open_runs(settings, _SECONDS / 2))


def read_parts(record: StackRecord) -> list[PartStatus]:
    """Return the state of each part of a stack, its supervisor first."""
    supervisor = PartStatus(
        name="supervisor",
        up=record.supervisor.process() is not None,
        pid=record.supervisor.pid,
        address="" if record.ready else "starting",
        restarts=0,
    )
    return [
        supervisor,
        *(
            PartStatus(
                name=name,
                up=part.process() is not None,
                pid=part.pid,
                address=part.address,
                restarts=part.restarts,
            )
            for name, part in record.parts.items()
        ),
    ]


def _json(where: _Where, seen: _Seen) -> str:
    class Document(BaseModel):
        stateDir: str  # noqa: N815 - as in Kubernetes objects
        ready: bool
        cluster: str
        parts: list[PartStatus]
        objects: Any
        workflowTasks: Any  # noqa: N815
        problem: str

    return Document(
        stateDir=str(where.folder.root),
        ready=bool(where.record and where.record.ready),
        cluster=seen.cluster,
        parts=seen.parts,
        objects=seen.objects.model_dump(mode="json") if seen.objects else None,
        workflowTasks=seen.workflow_tasks.model_dump(include={"level", "message"}) if seen.workflow_tasks else None,
        problem=seen.problem,
    ).model_dump_json(indent=2)


def _print(where: _Where, seen: _Seen) -> None:
    from rich.console import Console  # noqa: PLC0415 - see above

    # A pipe has no width, and lines in it should not be cut.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    if where.record is not None:
        console.print(_parts_table(seen.parts))
        console.print(f"KUBECONFIG={where.record.kubeconfig}   Temporal UI: {where.record.ui}", soft_wrap=True)
    else:
        console.print(_elsewhere(where, seen), markup=False, soft_wrap=True)
    if seen.problem:
        console.print(seen.problem, style="red", markup=False, soft_wrap=True)
    if tasks := seen.workflow_tasks:
        style = _LEVELS[tasks.level]
        console.print(f"Workflow tasks: {tasks.message}", style=style, markup=False, soft_wrap=True)
    objects = seen.objects
    for each in objects.refusing if objects else ():
        console.print(each, style="red", markup=False, soft_wrap=True)
    if objects:
        console.print()
        if objects.repositories:
            console.print(_repositories_table(objects))
            console.print()
        console.print(_counts(objects))
        if objects.items:
            console.print(_items_table(objects))


def _elsewhere(where: _Where, seen: _Seen) -> str:
    """Return the first line where no stack is looked at."""
    if where.elsewhere:
        beside = f"; the stack in {where.folder.root} has another kubeconfig"
    else:
        beside = f"; no stack runs in {where.folder.root}"
    if seen.cluster:
        return f"cluster {seen.cluster}{beside}"
    return (
        f"{beside.removeprefix('; ')}: start one with `porchflow up`, or name a cluster with --kubeconfig or KUBECONFIG"
    )


def _parts_table(parts: list[PartStatus]) -> "RenderableType":
    from rich.table import Table  # noqa: PLC0415 - see above

    table = Table(box=None, pad_edge=False)
    for title in ("PART", "STATE", "PID", "ADDRESS", "RESTARTS"):
        table.add_column(title, no_wrap=True)
    for part in parts:
        state = "[green]up[/]" if part.up else "[bold red]down[/]"
        table.add_row(part.name, state, str(part.pid), part.address, str(part.restarts or ""))
    return table


def _repositories_table(objects: "Overview") -> "RenderableType":
    from rich.markup import escape  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("REPOSITORY", "NAMESPACE", "SYNC", "REVISIONS", "LAST", "NEXT"):
        table.add_column(title, no_wrap=True)
    table.add_column("REASON AND MESSAGE", overflow="fold")
    for item in objects.repositories[:_ROWS]:
        said = ": ".join(part for part in (item.reason, item.message) if part)
        standing = f"[{_STYLES[item.standing]}]{item.standing}[/]"
        row = (item.name, item.namespace, standing, str(item.revisions), item.last_sync, item.next_sync)
        table.add_row(*row, escape(said))
    if len(objects.repositories) > _ROWS:
        table.add_row(
            f"and {len(objects.repositories) - _ROWS} more", "", "", "", "", "", "kubectl get repositories -A"
        )
    return table


def _counts(objects: "Overview") -> str:
    total = sum(objects.counts.values())
    lifecycles = ", ".join(f"{count} {name}" for name, count in sorted(objects.lifecycles.items()))
    standings = ", ".join(f"[{_STYLES[name]}]{count} {name}[/]" for name, count in objects.counts.items())
    return f"{total} PackageRevisions{f': {lifecycles}' if total else ''}\n{standings}".rstrip()


def _items_table(objects: "Overview") -> "RenderableType":
    from rich.markup import escape  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in ("STANDING", "NAMESPACE", "NAME", "LIFECYCLE"):
        table.add_column(title, no_wrap=True)
    table.add_column("REASON AND MESSAGE", overflow="fold")
    for item in objects.items[:_ROWS]:
        said = ": ".join(part for part in (item.reason, item.message) if part)
        standing = f"[{_STYLES[item.standing]}]{item.standing}[/]"
        table.add_row(standing, item.namespace, item.name, item.lifecycle, escape(said))
    if len(objects.items) > _ROWS:
        table.add_row("", "", f"and {len(objects.items) - _ROWS} more", "", "kubectl get packagerevisions -A")
    return table
