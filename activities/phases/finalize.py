"""Finalize phase: delete a package revision in Git, then let its deleted object go."""

from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.objects import is_owned_by
from porchflow.activities.phases.dependents import Dependents
from porchflow.activities.running.outcome import Outcome
from porchflow.activities.target import Target, check_spec
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.git_address import without_secrets
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import ORPHAN_ANNOTATION
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, NotFound
from porchflow.kube.kinds import NAMESPACES
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import PhaseError, Stalled, Superseded, Transient


class Finalizer:
    """Deletes what a deleted object owns in Git, then removes the finalizer."""

    def __init__(self, kube: KubeClient, git: GitStore, repositories: Repositories, dependents: Dependents) -> None:
        """Create the phase.

        Args:
            kube: Reads Namespaces.
            git: Deletes in Git.
            repositories: Reads Repositories.
            dependents: Finds what depends on a published revision.
        """
        self._kube = kube
        self._dependents = dependents
        self._git = git
        self._repositories = repositories

    async def run(self, target: Target, request: PhaseInput) -> Outcome:  # noqa: ARG002 - the shape of every phase
        """Delete the package revision in Git.

        Raises:
            Stalled: The revision is Published: its deletion has to be proposed first.
            Waiting: Others depend on it, and its Namespace protects upstreams.
            GitError: Git cannot be read or refuses the push.
            KubeError: The API server cannot be reached or refuses.
        """
        if target.revision.spec.lifecycle is Lifecycle.PUBLISHED and await self._is_published(target):
            raise Stalled(
                Reason.DELETION_REFUSED,
                "a Published package revision is not deleted: set spec.lifecycle to DeletionProposed to agree to its"
                " deletion, which then goes on by itself",
            )
        repository, agreed = target.repository, target.revision.spec.lifecycle is Lifecycle.DELETION_PROPOSED
        if why := await self._deleted_by_nobody(target, agreed=agreed):
            return _orphaned(target.obj, why)
        if agreed:
            await self._dependents.check_deletion(target)
        await self._git.delete(
            repository.remote,
            repository.branch,
            target.location,
            author=repository.author,
            revision=target.revision.status.revision if agreed else None,
            published=agreed,
        )
        gone = PhaseResult(summary="nothing of it is left in Git; the object may go")
        return Outcome(gone, relabels=True, lets_go=True)

    async def _deleted_by_nobody(self, target: Target, *, agreed: bool) -> str:
        """Return why Kubernetes, and no user, may have deleted a revision; empty where it did not.

        A Namespace that is being deleted takes its objects along in any order, so the Repository may still be there.
        """
        metadata, repository = target.obj["metadata"], target.repository
        if agreed and not is_owned_by(metadata, repository):
            return f"its metadata.ownerReferences name no Repository {repository.name!r}"
        try:
            namespace = await self._kube.get(NAMESPACES, None, metadata["namespace"])
        except (NotFound, Forbidden):
            # A role that is bound in single namespaces gives no right to read Namespaces.
            return ""
        return "its Namespace is being deleted" if "deletionTimestamp" in namespace["metadata"] else ""

    async def _is_published(self, target: Target) -> bool:
        """Whether a revision that asks for Published is published: one that was refused is deleted like a draft."""
        if target.revision.status.revision:
            return True
        state = await self._git.state(target.repository.remote, target.repository.branch, target.location)
        return state.lifecycle is not None and state.lifecycle.is_published

    async def leave_git(self, obj: dict[str, Any]) -> Outcome | None:
        """Let the object go without reading Git, where nothing in Git is to be deleted with it.

        Returns:
            None where Git has to be read.

        Raises:
            Superseded: The object is not being deleted.
            KubeError: The API server cannot be reached or refuses.
        """
        if "deletionTimestamp" not in obj["metadata"]:
            raise Superseded
        if await self._names_nothing(obj):
            return Outcome(PhaseResult(summary="nothing in Git goes with it; the object may go"), lets_go=True)
        if (obj["metadata"].get("annotations") or {}).get(ORPHAN_ANNOTATION) != "true":
            return None
        revision = PackageRevision.model_validate(obj)
        if revision.spec.lifecycle is Lifecycle.PUBLISHED and revision.status.revision:
            return None
        return _orphaned(obj, f"{ORPHAN_ANNOTATION} asks for it")

    async def _names_nothing(self, obj: dict[str, Any]) -> bool:
        """Whether the object owns nothing in Git: its Repository is deleted or Porch's, or its name is invalid."""
        metadata, spec = obj["metadata"], PackageRevision.model_validate(obj).spec
        try:
            check_spec(metadata["name"], spec.repository, spec.package_name, spec.workspace_name)
        except Stalled:
            return True
        repository = await self._repositories.raw(metadata["namespace"], spec.repository)
        # The deletion of a Repository deletes its objects, and leaves Git as it is.
        if repository is None or "deletionTimestamp" in repository["metadata"]:
            return True
        return self._repositories.is_left_to_porch(repository)


_NOT_SHOWN = frozenset({ErrorKind.SUPERSEDED, ErrorKind.HANDED_OVER, ErrorKind.LOST})
"""Kinds of failure that only the workflow sorts; the last is reported as it is."""


def blocked(failure: PhaseError) -> PhaseError:
    """Return the failure of a deletion as Transient: users do not edit an object that is being deleted.

    A refused deletion, and failures that are not reported, stay as they are.
    """
    if failure.kind in _NOT_SHOWN or failure.reason == Reason.DELETION_REFUSED:
        return failure
    return Transient(
        failure.reason,
        f"not deleted yet: {failure.message}; to let the object go and leave Git alone, set the annotation"
        f" {ORPHAN_ANNOTATION}=true",
    )


def _orphaned(obj: dict[str, Any], why: str) -> Outcome:
    """Return the outcome for an object that goes while its content in Git stays; a warning says where."""
    lock = PackageRevision.model_validate(obj).status.self_lock
    git = lock.git if lock else None
    where = f"{git.ref} of {without_secrets(git.repo)}" if git else "what was made in Git for it"
    stays = (Reason.GIT_CONTENT_ORPHANED, f"deleted without its content in Git, because {why}: {where} stays")
    orphaned = PhaseResult(summary="orphaned what Git holds of it; the object may go")
    return Outcome(orphaned, warnings=(stays,), relabels=True, lets_go=True)
