"""Printing of plans: a table for each Repository."""

from rich.console import Console
from rich.table import Table

from porchflow.cli.migrate.models import Comparison, RepositoryPlan
from porchflow.cli.migrate.way_back import cost_of_way_back

_STYLES = {
    Comparison.SAME: "green",
    Comparison.DIFFERS: "yellow",
    Comparison.PORCH_ONLY: "bold red",
    Comparison.GIT_ONLY: "cyan",
}
_ROWS = 50


def show_plan(console: Console, plan: RepositoryPlan, *, everything: bool) -> None:
    """Print a plan.

    Args:
        console: The console.
        plan: The plan.
        everything: Print package revisions that are the same, too, and all rows.
    """
    counts = ", ".join(f"{plan.count(each)} {each}" for each in Comparison)
    state = "migrated already" if plan.migrated else "Porch's"
    console.print(f"[bold]Repository {plan.namespace}/{plan.name}[/bold] ({state}): {counts}")
    rows = [row for row in plan.rows if everything or row.comparison is not Comparison.SAME]
    if rows and not (plan.migrated and not everything):
        table = Table("package revision", "Porch", "porchflow, from Git", "", box=None, pad_edge=False)
        for row in rows[: None if everything else _ROWS]:
            comparison = row.comparison
            table.add_row(row.name, str(row.porch or "-"), str(row.git or "-"), comparison, style=_STYLES[comparison])
        console.print(table)
        if not everything and len(rows) > _ROWS:
            console.print(f"... and {len(rows) - _ROWS} more (--all-rows)")
    if plan.kept_by_porch:
        console.print(f"the way back: {cost_of_way_back(plan)}", markup=False)
    for problem in plan.problems:
        console.print(f"left out: {problem}", style="yellow", markup=False)
