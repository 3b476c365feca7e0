"""`porchflow status`."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import BaseModel

from porchflow.cli.stack_settings import load_stack_settings, stack_options
from porchflow.cli.stack_state import StackRecord, StateError, StateFolder

if TYPE_CHECKING:
    from rich.console import RenderableType

    from porchflow.cli.overview import Overview

_SECONDS = 10.0
_ROWS = 12
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
@stack_options("state_dir")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="Look at the objects of another cluster [default: that of the stack]",
)
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def status(*, kubeconfig: Path | None, output: Literal["text", "json"], **flags: Any) -> None:  # noqa: ANN401 - any setting
    """Show what runs, how Repositories are synced, and which objects need work or a person's attention.

    The exit code is 1 when something that should run is down.
    """
    folder = StateFolder(load_stack_settings(flags).state_dir)
    try:
        record = folder.read()
    except StateError as error:
        raise click.ClickException(str(error)) from None
    parts = read_parts(record) if record else []
    objects, problem = _read_objects(kubeconfig, folder, expected=record is not None)
    down = bool(problem) or (record is None and kubeconfig is None) or not all(part.up for part in parts)
    if output == "json":
        click.echo(_json(folder, record, parts, objects, problem))
    else:
        _print(folder, record, parts, objects, problem)
    sys.exit(1 if down else 0)


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


def _read_objects(kubeconfig: Path | None, folder: StateFolder, *, expected: bool) -> "tuple[Overview | None, str]":
    """Return the overview of the objects, or the reason why they cannot be read."""
    if kubeconfig is None and not expected:
        return None, ""
    from porchflow.cli.overview import read_overview  # noqa: PLC0415 - help must not wait for heavy imports
    from porchflow.kube.client import KubeClient  # noqa: PLC0415
    from porchflow.kube.errors import KubeError  # noqa: PLC0415

    async def read() -> "Overview":
        async with asyncio.timeout(_SECONDS), await KubeClient.connect(kubeconfig or folder.kubeconfig) as client:
            return await read_overview(client)

    try:
        return asyncio.run(read()), ""
    except KubeError as error:
        return None, f"cannot read PackageRevisions: {error}"
    except TimeoutError:
        return None, f"cannot read PackageRevisions: no answer within {_SECONDS:g} s"


def _json(
    folder: StateFolder, record: StackRecord | None, parts: list[PartStatus], objects: "Overview | None", problem: str
) -> str:
    class Document(BaseModel):
        stateDir: str  # noqa: N815 - as in Kubernetes objects
        ready: bool
        parts: list[PartStatus]
        objects: Any
        problem: str

    return Document(
        stateDir=str(folder.root),
        ready=bool(record and record.ready),
        parts=parts,
        objects=objects.model_dump(mode="json") if objects else None,
        problem=problem,
    ).model_dump_json(indent=2)


def _print(
    folder: StateFolder, record: StackRecord | None, parts: list[PartStatus], objects: "Overview | None", problem: str
) -> None:
    from rich.console import Console  # noqa: PLC0415 - see above

    # A pipe has no width, and lines in it should not be cut.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    if record is None:
        console.print(f"no stack runs in {folder.root}; start one with `porchflow up`")
    else:
        console.print(_parts_table(parts))
        console.print(f"KUBECONFIG={record.kubeconfig}   Temporal UI: {record.ui}", soft_wrap=True)
    if problem:
        console.print(problem, style="red", markup=False)
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
