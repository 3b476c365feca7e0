"""The commands of a migration over several Repositories, with the record that lets them go on after an interruption."""

from collections.abc import Sequence
from pathlib import Path

from porchflow.cli.migrate.migration_error import MigrationError
from porchflow.cli.migrate.models import Phase, Record, RepositoryPlan
from porchflow.cli.migrate.planning import Clients, is_annotated, plan_of, repositories
from porchflow.cli.migrate.steps import (
    Say,
    copy_metadata,
    differences,
    export_drafts,
    hand_back,
    hand_over,
)
from porchflow.cli.migrate.way_back import WayBack, cost_of_way_back
from porchflow.kube.client import Object

_SHOWN = 10


class Apply:
    """Hands Repositories over."""

    def __init__(self, clients: Clients, path: Path, say: Say, *, export_drafts: bool, leave_behind: bool) -> None:
        """Load the record.

        Args:
            clients: Clients of the API servers and of Git.
            path: File of the record.
            say: Receives a line for each thing that is done.
            export_drafts: Bring drafts and proposals that only Porch has to Git.
            leave_behind: Go on without package revisions that only Porch has.

        Raises:
            RecordError: The record cannot be read.
        """
        self._clients = clients
        self._path = path
        self._say = say
        self._export = export_drafts
        self._leave = leave_behind
        self._record = Record.load(path)

    async def run(self, names: Sequence[str], *, within: float) -> bool:
        """Hand Repositories over, and verify each.

        Args:
            names: The Repositories; none means all of the namespace.
            within: Seconds for each Repository.

        Returns:
            Whether a package revision differs from the plan.

        Raises:
            MigrationError: A Repository cannot be handed over; those before it stay migrated.
        """
        found = False
        async for raw in repositories(self._clients, names):
            found |= await self._one(raw, within)
        return found

    async def _one(self, raw: Object, within: float) -> bool:
        name = raw["metadata"]["name"]
        plan = self._record.of(self._clients.namespace, name)
        annotated = is_annotated(raw)
        if plan is not None and plan.phase is Phase.MIGRATED and annotated:
            self._say(f"{name}: migrated before")
            return False
        if annotated and (plan is None or plan.phase is Phase.ROLLED_BACK):
            self._say(f"{name}: has the annotation already, and this record knows nothing of it; left as it is")
            return False
        if plan is None or not annotated:
            plan = await plan_of(self._clients, raw)
            await self._prepare(raw, plan)
            self._keep(plan, Phase.ANNOTATED)
        if plan.kept_by_porch:
            self._say(f"{name}: {cost_of_way_back(plan)}")
        await hand_over(self._clients, plan, within=within)
        copied = await copy_metadata(self._clients, plan)
        found = await differences(self._clients, plan)
        self._keep(plan, Phase.MIGRATED)
        self._say(f"{name}: migrated, {len(plan.rows)} package revisions; users' metadata copied to {copied}")
        return tell(found, self._say)

    async def _prepare(self, raw: Object, plan: RepositoryPlan) -> None:
        """Export or leave package revisions that only Porch has; the plan is recorded first, to survive a failure.

        Raises:
            MigrationError: Some are left, and `leave_behind` is not set.
        """
        self._keep(plan, Phase.PLANNED)
        if self._export:
            await export_drafts(self._clients, raw, plan, self._say)
        left = plan.only_in_porch
        if left and not self._leave:
            names = ", ".join(f"{row.name} ({row.porch})" for row in left[:_SHOWN])
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            raise MigrationError(
                f"Repository {plan.name!r}: only Porch has {names}{more}. Drafts and proposals are brought to Git with"
                " --export-drafts; of others the tag is missing in Git. --leave-behind goes on without them"
            )

    def _keep(self, plan: RepositoryPlan, phase: Phase) -> None:
        plan.phase = phase
        self._record.put(plan)
        self._record.save(self._path)


async def verify_recorded(clients: Clients, path: Path, names: Sequence[str], say: Say) -> bool:
    """Compare the objects of migrated Repositories with the record.

    Returns:
        Whether a package revision differs.

    Raises:
        RecordError: The record cannot be read.
        MigrationError: The record has no such Repository.
    """
    found = False
    for plan in _recorded(Record.load(path), clients, names, path, {Phase.MIGRATED, Phase.ANNOTATED}):
        different = await differences(clients, plan)
        say(f"{plan.name}: {len(plan.rows)} package revisions, {len(different)} not as recorded")
        found |= tell(different, say)
    return found


async def roll_back(clients: Clients, path: Path, names: Sequence[str], say: Say, *, within: float) -> bool:
    """Hand Repositories back to Porch. A repeated call continues where the last one stopped.

    Returns:
        Whether Porch does not show a package revision as Git has it.

    Raises:
        RecordError: The record cannot be read or written.
        MigrationError: The record has no such Repository, or its objects do not go.
    """
    record, different = Record.load(path), False
    for plan in _recorded(record, clients, names, path, {Phase.MIGRATED, Phase.ANNOTATED}):
        removed = await hand_back(clients, plan, within=within)
        exported = [row.git.ref for row in plan.rows if row.porch is not None and row.git is not None and row.exported]
        say(f"{plan.name}: handed back to Porch; {removed} objects removed, Git left as it is")
        if exported:
            say(f"{plan.name}: brought to Git and still there: {', '.join(exported)}")
        kept = path.with_name(f"{path.name}.drafts")
        found = await WayBack(clients, plan, kept, say).settle(within=within)
        different |= tell(found, say)
        if not found:
            plan.phase = Phase.ROLLED_BACK
            record.put(plan)
            record.save(path)
    return different


def tell(found: Sequence[object], say: Say) -> bool:
    """Print differences, and return whether there are any."""
    for each in found:
        say(f"  {each}")
    return bool(found)


def _recorded(
    record: Record, clients: Clients, names: Sequence[str], path: Path, phases: set[Phase]
) -> list[RepositoryPlan]:
    here = [plan for plan in record.repositories.values() if plan.namespace == clients.namespace]
    known = {plan.name: plan for plan in here if plan.phase in phases}
    missing = [name for name in names if name not in known]
    if missing:
        raise MigrationError(f"{path} has no Repository {missing[0]!r} that was migrated in {clients.namespace!r}")
    return [plan for name, plan in sorted(known.items()) if not names or name in names]
