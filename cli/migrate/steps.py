"""Steps of a migration: export drafts, hand a Repository over, verify its objects, and hand it back."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from porchflow.api.models.conditions import raw_condition, raw_holding
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import RECONCILE_NOW_ANNOTATION, V1ALPHA2_MIGRATION_ANNOTATION
from porchflow.cli.migrate.migration_error import MigrationError
from porchflow.cli.migrate.models import Comparison, RepositoryPlan, Revision, Row
from porchflow.cli.migrate.planning import Clients
from porchflow.cli.migrate.porch import content_of
from porchflow.cli.migrate.removals import Removals
from porchflow.gitrepo.git_store import PackageState, Step
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.transition import TaskOf
from porchflow.gitrepo.store.trees import File
from porchflow.kube.client import Object
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.repositories.access import Repositories

Say = Callable[[str], None]
"""Receives a line for each thing that is done."""

_LOOK_SECONDS = 0.5
_QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class Difference:
    """A package revision that differs from the plan."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


async def export_drafts(clients: Clients, raw: Object, plan: RepositoryPlan, say: Say) -> None:
    """Push drafts and proposals that only Porch has to Git. A repeated call finds them there.

    Args:
        clients: The clients.
        raw: The raw Repository.
        plan: Its plan; exported rows are marked.
        say: Receives a line for each.

    Raises:
        GitError: Git cannot be reached or refuses.
        KubeError: Porch cannot be reached or refuses.
    """
    access = await Repositories(clients.kube).opened(raw)
    for row in [row for row in plan.rows if row.is_open]:
        revision = row.porch or Revision(package="", workspace="", lifecycle="")
        content = await content_of(clients.porch, plan.namespace, row.name)
        place = PackageLocation(access.directory, revision.package, revision.workspace)
        files = {path: File(text.encode()) for path, text in content.items()}
        draft = await clients.git.create_draft(
            access.remote, access.branch, place, files, task=TaskType.PUSH, author=access.author
        )
        ref = draft.ref
        if revision.lifecycle == "Proposed":
            proposed = await clients.git.transition(access.remote, access.branch, place, _propose, moves_branch=False)
            ref = proposed.after.ref
        row.git, row.exported = revision.model_copy(update={"ref": ref}), True
        say(f"{row.name}: brought to Git as {ref}")


def _propose(state: PackageState, _: TaskOf) -> Step | None:
    return Step.PROPOSE if state.lifecycle is Lifecycle.DRAFT else None


async def hand_over(clients: Clients, plan: RepositoryPlan, *, within: float) -> None:
    """Annotate a Repository and wait until porchflow has synced it.

    Args:
        clients: The clients.
        plan: Names the Repository.
        within: Seconds to wait.

    Raises:
        MigrationError: It was not synced in time; the Repository's conditions say why.
    """
    token = f"migrate-{uuid.uuid4().hex[:12]}"
    annotations = {V1ALPHA2_MIGRATION_ANNOTATION: "true", RECONCILE_NOW_ANNOTATION: token}
    await clients.kube.merge_patch(REPOSITORIES, plan.namespace, plan.name, {"metadata": {"annotations": annotations}})
    deadline = time.monotonic() + within
    while True:
        raw = await clients.kube.get(REPOSITORIES, plan.namespace, plan.name)
        status = raw.get("status") or {}
        if status.get("observedReconcileNow") == token and raw_holding(raw, "Ready"):
            return
        if time.monotonic() > deadline:
            said = raw_condition(raw, "Ready").get("message") or "nobody has synced it: do watcher and workers run?"
            raise MigrationError(f"Repository {plan.name!r} was not synced within {within:g} s: {said}")
        await asyncio.sleep(_LOOK_SECONDS)


async def copy_metadata(clients: Clients, plan: RepositoryPlan) -> int:
    """Copy users' labels and annotations from Porch's package revisions to the objects.

    Returns:
        The number of objects that got some.
    """
    copied = 0
    for row in plan.rows:
        if row.porch is None or not (row.porch.labels or row.porch.annotations):
            continue
        metadata = {"labels": row.porch.labels, "annotations": row.porch.annotations}
        try:
            await clients.kube.merge_patch(PACKAGEREVISIONS, plan.namespace, row.name, {"metadata": metadata})
            copied += 1
        except NotFound:
            continue
    return copied


async def differences(clients: Clients, plan: RepositoryPlan) -> list[Difference]:
    """Return the differences between the objects and the plan."""
    objects = {obj["metadata"]["name"]: obj async for obj in _objects(clients, plan)}
    return [found for row in plan.rows for found in _compared(row, objects.get(row.name))]


async def hand_back(clients: Clients, plan: RepositoryPlan, *, within: float) -> int:
    """Remove the annotation and the objects of a Repository; Git stays as it is. A repeated call goes on.

    Returns:
        The number of objects that were removed.

    Raises:
        MigrationError: Finalizers of other controllers keep objects, a worker makes them again, or an admission webhook
            refuses, as Porch's does.
    """
    annotations = {V1ALPHA2_MIGRATION_ANNOTATION: None, RECONCILE_NOW_ANNOTATION: None}
    await clients.kube.merge_patch(REPOSITORIES, plan.namespace, plan.name, {"metadata": {"annotations": annotations}})
    removals = Removals(clients)
    deadline, quiet_since = time.monotonic() + within, time.monotonic()
    while time.monotonic() - quiet_since < _QUIET_SECONDS:
        # A sync that is under way may make more objects.
        found = [obj async for obj in _objects(clients, plan)]
        quiet_since = time.monotonic() if found else quiet_since
        await removals.remove(found)
        if removals.are_stuck:
            raise await removals.refusal(plan.name)
        if time.monotonic() > deadline:
            raise MigrationError(
                f"package revisions of Repository {plan.name!r} are still there after {within:g} s: where they are"
                " made again, the workers need PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY=true; where they stay, kubectl get"
                " packagerevisions -o yaml shows whose finalizers keep them"
            )
        await asyncio.sleep(_LOOK_SECONDS)
    return removals.count


async def _objects(clients: Clients, plan: RepositoryPlan) -> AsyncIterator[Object]:
    selector = f"spec.repository={plan.name}"
    async for obj in clients.kube.list_all(PACKAGEREVISIONS, plan.namespace, field_selector=selector):
        yield obj


def _compared(row: Row, obj: Object | None) -> list[Difference]:
    if row.git is None:
        return [Difference(row.name, f"only Porch had it ({row.porch}); Git does not")]
    if obj is None:
        return [Difference(row.name, f"no object was made for {row.git.ref}")]
    status, lifecycle = obj.get("status") or {}, obj["spec"].get("lifecycle")
    found = Revision(
        package=row.git.package,
        workspace=row.git.workspace,
        lifecycle=lifecycle or "",
        revision=status.get("revision") or 0,
    )
    if (found.lifecycle, found.revision) != (row.git.lifecycle, row.git.revision):
        return [Difference(row.name, f"is {found}; planned was {row.git}")]
    if stalled := raw_holding(obj, "Stalled"):
        return [Difference(row.name, f"stalled: {stalled.get('message', '')}")]
    if row.comparison is Comparison.DIFFERS:
        return [Difference(row.name, f"is {found} as in Git; Porch had it as {row.porch}")]
    return []
