"""Who approved and who suspended, as the API server writes it down."""

import pytest

from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.api.team import APPROVED_BY, PROPOSED_BY, SUSPENDED_BY, Team, refused


async def test_the_approver_is_written_down(team: Team) -> None:
    await team.at("Proposed")
    published = await team.ask(team.approver, "Published")
    assert published["metadata"]["annotations"] == {APPROVED_BY: "bea@example.com", PROPOSED_BY: "bea@example.com"}
    for step in ("DeletionProposed", "Published"):
        kept = await team.ask(team.admin, step)
        assert kept["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"


async def test_nobody_forges_the_approver(team: Team) -> None:
    made = await team.create(annotations={APPROVED_BY: "eve@example.com", "kept": "yes"})
    assert made["metadata"]["annotations"] == {"kept": "yes"}
    changed = await team.annotate(team.author, approved_by="eve@example.com")
    assert APPROVED_BY not in changed["metadata"]["annotations"]
    both = {"metadata": {"annotations": {APPROVED_BY: "eve@example.com"}}}
    proposed = await team.patch(team.author, {**both, "spec": {"lifecycle": "Proposed"}})
    assert APPROVED_BY not in proposed["metadata"]["annotations"]
    published = await team.patch(team.approver, {**both, "spec": {"lifecycle": "Published"}})
    assert published["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"
    for value in ("eve@example.com", None):
        for client in (team.author, team.approver, team.worker, team.admin):
            kept = await team.annotate(client, approved_by=value)
            assert kept["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"
    emptied = await team.patch(team.author, {"metadata": {"annotations": None}})
    assert emptied["metadata"]["annotations"] == {APPROVED_BY: "bea@example.com", PROPOSED_BY: "ada@example.com"}


async def test_a_restored_object_keeps_its_approver(team: Team) -> None:
    restored = await team.create(team.admin, lifecycle="Published", annotations={APPROVED_BY: "bea@example.com"})
    assert restored["metadata"]["annotations"][APPROVED_BY] == "bea@example.com"
    draft = {"name": "blueprints.web.v2", "workspaceName": "v2", "annotations": {APPROVED_BY: "bea@example.com"}}
    assert "annotations" not in (await team.create(team.admin, **draft))["metadata"]


async def test_an_applied_object_cannot_forge_either(team: Team) -> None:
    body = {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {
            "name": "blueprints.web.v1",
            "namespace": team.namespace,
            "annotations": {APPROVED_BY: "eve@example.com", SUSPENDED_BY: "eve@example.com"},
        },
        "spec": {"repository": "blueprints", "packageName": "web", "workspaceName": "v1", "lifecycle": "Draft"},
    }
    for _ in range(2):
        applied = await team.author.apply(PACKAGEREVISIONS, body, field_manager="eve")
        assert not applied["metadata"].get("annotations")


async def test_who_suspends_with_the_approval_is_both(team: Team) -> None:
    await team.at("Proposed")
    annotations = {"porchflow.dev/suspend": "a freeze", APPROVED_BY: "eve@example.com"}
    both = await team.patch(
        team.approver, {"spec": {"lifecycle": "Published"}, "metadata": {"annotations": annotations}}
    )
    written = both["metadata"]["annotations"]
    assert (written[APPROVED_BY], written[SUSPENDED_BY]) == ("bea@example.com", "bea@example.com")


async def test_who_suspends_is_written_down(team: Team) -> None:
    await team.create()
    suspended = await team.annotate(team.author, suspend="a freeze", suspended_by="eve@example.com")
    assert suspended["metadata"]["annotations"][SUSPENDED_BY] == "ada@example.com"
    kept = await team.annotate(team.approver, suspended_by="eve@example.com")
    assert kept["metadata"]["annotations"][SUSPENDED_BY] == "ada@example.com"
    longer = await team.annotate(team.approver, suspend_until="2030-01-31T18:00:00+01:00")
    assert longer["metadata"]["annotations"][SUSPENDED_BY] == "bea@example.com"
    resumed = await team.annotate(team.author, suspend=None, suspend_until=None)
    assert not resumed["metadata"].get("annotations")


@pytest.mark.parametrize("until", ["tomorrow", "2030-01-31", "2030-01-31 18:00", "18:00", "2030-01-31T18:00:00"])
async def test_the_end_of_a_suspension_must_be_a_time(team: Team, until: str) -> None:
    await team.create()
    words = await refused(team.annotate(team.author, suspend="x", suspend_until=until))
    assert f'must be a time such as 2030-01-31T18:00:00Z, not "{until}"' in words
