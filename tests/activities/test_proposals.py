"""Without the admission policies: nothing is published that was never proposed, and nobody's quick approval is lost."""

from typing import Any

import pytest

from porchflow.activities.phases.approval import Approvals
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.target import Target
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Phase
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.commits import DEFAULT_AUTHOR
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Stalled
from tests.activities.world import World, reason
from tests.e2e.rules import check_rules

MAIN = {"refs/heads/main"}
DRAFT = "refs/heads/drafts/web/v1"


async def _refused(world: World, phase: Phase, name: str) -> str:
    refs = world.git.refs()
    message = await world.fails(phase, name, ErrorKind.STALLED)
    obj = await world.get(name)
    assert (reason(obj, "Ready"), reason(obj, "Stalled")) == ("False/NotProposed", "True/NotProposed")
    assert world.git.refs() == refs
    check_rules(obj)
    return message


@pytest.mark.parametrize("lifecycle", ["Published", "DeletionProposed"])
async def test_what_was_created_as_published_is_not_made(world: World, lifecycle: str) -> None:
    name = await world.create(lifecycle=lifecycle)
    assert f"not made {lifecycle}: it was never Proposed" in await _refused(world, Phase.SOURCE, name)
    await world.annotate(name, reconcile_now="again")
    assert "create it again with spec.lifecycle Draft" in await _refused(world, Phase.SOURCE, name)
    assert set(world.git.refs()) == MAIN


async def test_what_was_refused_may_go(world: World) -> None:
    name = await world.create(lifecycle="Published")
    await _refused(world, Phase.SOURCE, name)
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    with pytest.raises(NotFound):
        await world.get(name)


async def test_going_to_and_fro_makes_no_proposal(world: World) -> None:
    name = await world.create(lifecycle="Published")
    await _refused(world, Phase.SOURCE, name)
    for lifecycle in ("DeletionProposed", "Published", "DeletionProposed", "Published"):
        await world.ask(name, lifecycle)
    await _refused(world, Phase.SOURCE, name)


async def test_who_is_faster_than_porchflow_is_believed(world: World) -> None:
    name = await world.create()
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
    await world.run(Phase.SOURCE, name)
    await world.run(Phase.LIFECYCLE, name)
    assert (await world.get(name))["status"]["revision"] == 1


async def test_a_draft_in_git_is_not_published_by_an_object_created_so(world: World) -> None:
    await world.draft()
    await world.delete_whatever_it_takes("blueprints.web.v1")
    name = await world.create(source=None, lifecycle="Published")
    message = await _refused(world, Phase.LIFECYCLE, name)
    assert "set the annotation porchflow.dev/orphan-git-content=true to keep what Git holds" in message
    await world.annotate(name, orphan_git_content="true")
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert DRAFT in world.git.refs()


async def test_to_create_as_published_is_not_to_approve_a_proposal(world: World) -> None:
    name = await world.draft()
    await world.ask(name, "Proposed")
    await world.run(Phase.LIFECYCLE, name)
    await world.delete_whatever_it_takes(name)
    await world.create(source=None, lifecycle="Published")
    await _refused(world, Phase.LIFECYCLE, name)
    await world.delete_whatever_it_takes(name)
    await world.create(source=None, lifecycle="Proposed")
    await world.ask(name, "Published")
    assert (await world.run(Phase.LIFECYCLE, name)).summary == "Proposed -> Published as v1"


# Porch's own CRD lets the lifecycle go anywhere in one edit; the API server of these tests has porchflow's.


def _target(generation: int, lifecycle: str, *conditions: tuple[str, str], **status: Any) -> Target:
    lock = {"type": "git", "git": {"repo": "r", "directory": "web", "ref": "drafts/web/v1", "commit": "1" * 40}}
    obj = {
        "metadata": {"name": "blueprints.web.v1", "namespace": "team", "generation": generation},
        "spec": {"lifecycle": lifecycle},
        "status": {
            "creationSource": "init",
            "selfLock": lock,
            "observedGeneration": 4,
            "conditions": [{"type": kind, "status": "True", "reason": why} for kind, why in conditions],
            **status,
        },
    }
    repository = RepositoryAccess(
        name="blueprints",
        uid="1",
        remote=Remote("http://git.example.com/r"),
        branch="main",
        directory="",
        create_branch=False,
        author=DEFAULT_AUTHOR,
    )
    return Target(obj, repository, PackageLocation("", "web", "v1"))


READY, REFUSED, BROKEN = ("Ready", "Ready"), ("Stalled", "NotProposed"), ("Stalled", "RenderFailed")


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        (_target(5, "Published", READY), True),
        (_target(6, "Published", READY), False),
        (_target(6, "DeletionProposed", READY), True),
        (_target(7, "DeletionProposed", READY), False),
        (_target(5, "Published", REFUSED), True),
        (_target(9, "Published", REFUSED), True),
        (_target(5, "Proposed", REFUSED), False),
        (_target(5, "Draft", READY), False),
        # A proposal that could not be made: nobody can tell what was asked at the time.
        (_target(5, "Published", BROKEN), False),
        (_target(5, "Published", READY, selfLock={"git": {"ref": "proposed/web/v1"}}), False),
        (_target(5, "DeletionProposed", READY, revision=1), False),
        (_target(5, "Published", READY, observedGeneration=None), False),
    ],
)
async def test_a_draft_does_not_become_published_in_one_edit(kube: KubeClient, target: Target, refused: bool) -> None:
    proposals = Proposals(Approvals(kube))
    if not refused:
        await proposals.check(target)
        return
    with pytest.raises(Stalled, match=r"set spec\.lifecycle to Proposed, wait until that is Ready"):
        await proposals.check(target)


async def test_an_approver_written_down_by_the_api_server_is_proof(kube: KubeClient) -> None:
    target = _target(5, "Published", READY)
    target.obj["metadata"]["annotations"] = {"porchflow.dev/approved-by": "bea@example.com"}
    await Proposals(Approvals(kube)).check(target)


async def test_new_objects_are_asked_about_in_git_only_where_there_is_doubt(kube: KubeClient) -> None:
    asked = []

    async def find() -> Lifecycle | None:
        asked.append(True)
        return Lifecycle.PUBLISHED

    proposals = Proposals(Approvals(kube))
    doubts = {(1, "Draft"): 0, (3, "Published"): 0, (2, "Published"): 1, (3, "DeletionProposed"): 2}
    for (generation, lifecycle), wanted in doubts.items():
        await proposals.check_new(_target(generation, lifecycle, creationSource=""), find)
        assert len(asked) == wanted
