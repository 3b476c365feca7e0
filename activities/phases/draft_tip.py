"""The newest commit of a draft."""

from temporalio import activity

from porchflow.activities.definitions import PhaseInput
from porchflow.activities.target import Target
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.git_store import GitStore


async def draft_tip(git: GitStore, target: Target, request: PhaseInput) -> tuple[str, Lifecycle | None]:
    """Return the tip and the lifecycle of a package revision in Git.

    The first attempt believes the phase before it; after a failed one the tip may have moved.
    """
    if request.commit and activity.info().attempt == 1:
        return request.commit, Lifecycle.DRAFT
    repository = target.repository
    state = await git.state(repository.remote, repository.branch, target.location)
    return state.commit, state.lifecycle
