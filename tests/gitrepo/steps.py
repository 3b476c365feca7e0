"""Steps of the lifecycle, made the way the lifecycle phase makes them: by a transition on the branch `main`."""

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.git_store import GitStore, PackageState, Step
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.transition import TaskOf


async def _move(
    store: GitStore,
    remote: Remote,
    place: PackageLocation,
    step: Step,
    reached: Lifecycle,
    tag_hint: str | None = None,
    commit_hint: str | None = None,
) -> PackageState:
    def choose(state: PackageState, _: TaskOf) -> Step | None:
        return None if state.lifecycle is reached and state.complete else step

    moved = await store.transition(
        remote,
        "main",
        place,
        choose,
        tag_hint=tag_hint,
        commit_hint=commit_hint,
        moves_branch=step is Step.PUBLISH,
    )
    return moved.after


async def propose(store: GitStore, remote: Remote, place: PackageLocation) -> PackageState:
    return await _move(store, remote, place, Step.PROPOSE, Lifecycle.PROPOSED)


async def reject(store: GitStore, remote: Remote, place: PackageLocation) -> PackageState:
    return await _move(store, remote, place, Step.REJECT, Lifecycle.DRAFT)


async def publish(
    store: GitStore,
    remote: Remote,
    place: PackageLocation,
    *,
    tag_hint: str | None = None,
    commit_hint: str | None = None,
) -> PackageState:
    return await _move(store, remote, place, Step.PUBLISH, Lifecycle.PUBLISHED, tag_hint, commit_hint)


async def propose_deletion(
    store: GitStore, remote: Remote, place: PackageLocation, *, tag_hint: str | None = None
) -> PackageState:
    return await _move(store, remote, place, Step.PROPOSE_DELETION, Lifecycle.DELETION_PROPOSED, tag_hint)


async def undo_deletion(
    store: GitStore, remote: Remote, place: PackageLocation, *, tag_hint: str | None = None
) -> PackageState:
    return await _move(store, remote, place, Step.UNDO_DELETION, Lifecycle.PUBLISHED, tag_hint)
