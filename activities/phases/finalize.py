"""Finalize phase: what a deleted object owns in Git goes first, then the object."""

from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.objects import change_object, is_owned_by
from porchflow.activities.phases.latest_label import LatestLabel
from porchflow.activities.phases.phase import Target, check_spec
from porchflow.api.conditions import Reason
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.git_address import without_secrets
from porchflow.api.names import FINALIZER, ORPHAN_ANNOTATION
from porchflow.api.packagerevision import Lifecycle, PackageRevision
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import NAMESPACES, PACKAGEREVISIONS
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import PhaseError, Stalled, Superseded, Transient


class Finalizer:
    """Lets a deleted object go once Git holds nothing of it that must not stay."""

    def __init__(
        self, kube: KubeClient, git: GitStore, repositories: Repositories, latest: LatestLabel, events: EventRecorder
    ) -> None:
        """Take what the phase works with."""
        self._kube = kube
        self._git = git
        self._repositories = repositories
        self._latest = latest
        self._events = events

    async def run(self, target: Target, request: PhaseInput) -> PhaseResult:  # noqa: ARG002 - the shape of every phase
        """Delete the package revision in Git and remove the finalizer.

        Raises:
            Stalled: The revision is Published: its deletion has to be proposed first.
        """
        if target.revision.spec.lifecycle is Lifecycle.PUBLISHED and await self._is_published(target):
            raise Stalled(
                Reason.DELETION_REFUSED,
                "a Published package revision is not deleted: set spec.lifecycle to DeletionProposed to agree to its"
                " deletion, which then goes on by itself",
            )
        repository, agreed = target.repository, target.revision.spec.lifecycle is Lifecycle.DELETION_PROPOSED
        if agreed and (why := await self._deleted_by_nobody(target)):
            return await self._orphan(target.obj, why)
        await self._git.delete(
            repository.remote,
            repository.branch,
            target.location,
            author=repository.author,
            revision=target.revision.status.revision if agreed else None,
            published=agreed,
        )
        await self._latest.refresh(target.obj)
        return await self._release(target.obj, "nothing of it is left in Git; the object may go")

    async def _deleted_by_nobody(self, target: Target) -> str:
        """Say why Kubernetes itself, and no approver, may have deleted a published revision; empty where it did not."""
        metadata, repository = target.obj["metadata"], target.repository
        if not is_owned_by(metadata, repository):
            return f"its metadata.ownerReferences name no Repository {repository.name!r}"
        try:
            namespace = await self._kube.get(NAMESPACES, None, metadata["namespace"])
        except (NotFound, Forbidden):
            # Who binds the worker's role in single namespaces need not let it see them.
            return ""
        return "its Namespace is being deleted" if "deletionTimestamp" in namespace["metadata"] else ""

    async def _is_published(self, target: Target) -> bool:
        """Tell whether a revision that asks to be Published is: one that was refused may go as a draft may."""
        if target.revision.status.revision:
            return True
        state = await self._git.state(target.repository.remote, target.repository.branch, target.location)
        return state.lifecycle is not None and state.lifecycle.is_published

    async def leave_git(self, obj: dict[str, Any]) -> PhaseResult | None:
        """Let the object go without a look at Git, where nothing there is to be deleted with it.

        Returns:
            None where Git has to be asked.

        Raises:
            Superseded: Nobody deletes it.
        """
        if "deletionTimestamp" not in obj["metadata"]:
            raise Superseded
        if await self._names_nothing(obj):
            return await self._release(obj, "nothing in Git goes with it; the object may go")
        if (obj["metadata"].get("annotations") or {}).get(ORPHAN_ANNOTATION) != "true":
            return None
        revision = PackageRevision.model_validate(obj)
        if revision.spec.lifecycle is Lifecycle.PUBLISHED and revision.status.revision:
            return None
        return await self._orphan(obj, f"{ORPHAN_ANNOTATION} asks for it")

    async def _orphan(self, obj: dict[str, Any], why: str) -> PhaseResult:
        await self._latest.refresh(obj)
        result = await self._release(obj, "orphaned what Git holds of it; the object may go")
        self._events.record(obj, "Warning", Reason.GIT_CONTENT_ORPHANED, _what_stays(obj, why))
        return result

    async def _names_nothing(self, obj: dict[str, Any]) -> bool:
        """Whether nothing in Git goes with the object: its Repository goes or is gone, or its name was never right."""
        metadata, spec = obj["metadata"], PackageRevision.model_validate(obj).spec
        try:
            check_spec(metadata["name"], spec.repository, spec.package_name, spec.workspace_name)
        except Stalled:
            return True
        repository = await self._repositories.raw(metadata["namespace"], spec.repository)
        # A Repository that is being deleted takes its objects along, and nothing of what Git holds.
        if repository is None or "deletionTimestamp" in repository["metadata"]:
            return True
        return self._repositories.is_left_to_porch(repository)

    async def _release(self, obj: dict[str, Any], summary: str) -> PhaseResult:
        """Remove our finalizer and nothing else."""

        async def let_go(current: dict[str, Any]) -> dict[str, Any]:
            metadata = current["metadata"]
            finalizers = [name for name in metadata.get("finalizers") or [] if name != FINALIZER]
            patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
            return await self._kube.merge_patch(PACKAGEREVISIONS, metadata["namespace"], metadata["name"], patch)

        try:
            await change_object(self._kube, obj, let_go)
        except NotFound:
            return PhaseResult(summary="the object is gone")
        return PhaseResult(summary=summary)


def blocked(failure: PhaseError) -> PhaseError:
    """Put what hinders a deletion: it is tried again whatever it is, because nobody edits what is being deleted."""
    if failure.kind in {ErrorKind.SUPERSEDED, ErrorKind.HANDED_OVER} or failure.reason == Reason.DELETION_REFUSED:
        return failure
    return Transient(
        failure.reason,
        f"not deleted yet: {failure.message}; to let the object go and leave Git alone, set the annotation"
        f" {ORPHAN_ANNOTATION}=true",
    )


def _what_stays(obj: dict[str, Any], why: str) -> str:
    lock = PackageRevision.model_validate(obj).status.self_lock
    where = (
        f"{lock.git.ref} of {without_secrets(lock.git.repo)}" if lock and lock.git else "what was made in Git for it"
    )
    return f"deleted without its content in Git, because {why}: {where} stays"
