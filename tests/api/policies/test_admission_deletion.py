"""Who may delete which package revision, on the real API server."""

import json

import pytest

from porchflow.api.policies.deletion import CLEANERS
from porchflow.kube.errors import Forbidden
from tests.api.team import Team, refused
from tests.kubectl import Kubectl, KubectlError


async def test_a_draft_is_deleted_by_its_author(team: Team) -> None:
    await team.create()
    await team.delete(team.author)


async def test_a_published_revision_is_not_deleted_until_that_is_proposed_and_agreed(team: Team) -> None:
    await team.at("Published")
    for client in (team.author, team.approver, team.admin):
        words = await refused(team.delete(client))
        assert "blueprints.web.v1 is Published: propose its deletion first" in words
        assert "DeletionProposed" in words
    await team.ask(team.author, "DeletionProposed")
    words = await refused(team.delete(team.author), Forbidden)
    assert "agreeing to the deletion of what is published is for approvers" in words
    await team.delete(team.approver)


async def test_deleting_all_spares_what_is_published(team: Team, kubectl: Kubectl) -> None:
    await team.at("Published")
    await team.create(name="blueprints.web.v2", workspaceName="v2")
    with pytest.raises(KubectlError, match="is Published: propose its deletion first"):
        kubectl("delete", "packagerevisions", "--all", "--wait=false", "-n", team.namespace)


@pytest.mark.parametrize("lifecycle", ["Published", "DeletionProposed"])
async def test_the_clean_up_of_kubernetes_is_not_held_up(team: Team, lifecycle: str) -> None:
    """Of a deleted namespace, and of what a deleted Repository owned."""
    await team.at(lifecycle)
    await team.delete(team.clients[CLEANERS[0]])


async def test_an_object_that_stands_for_nothing_in_git_can_be_deleted(team: Team) -> None:
    """As a sync does with one whose tag is gone: it takes the finalizer away first."""
    await team.at("Published")
    await team.patch(team.worker, {"metadata": {"finalizers": []}})
    await team.delete(team.author)


@pytest.mark.parametrize("how", ["demoted", "deleted"])
async def test_what_others_were_made_from_is_let_go_with_a_warning(team: Team, kubectl: Kubectl, how: str) -> None:
    await team.at("Published" if how == "demoted" else "DeletionProposed")
    await team.annotate(team.worker, upstream_of="shop.web.v1")
    patch = json.dumps({"spec": {"lifecycle": "DeletionProposed"}})
    where = ("blueprints.web.v1", "-n", team.namespace)
    command = ("patch", *where, "--type=merge", "-p", patch) if how == "demoted" else ("delete", *where, "--wait=false")
    verb, *rest = command
    # Warnings go to stderr, and are an error for who asks for that.
    with pytest.raises(KubectlError, match=r"shop.web.v1 was made from blueprints.web.v1: "):
        kubectl(verb, "packagerevisions", *rest, "--warnings-as-errors")
