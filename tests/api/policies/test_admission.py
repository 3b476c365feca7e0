"""The admission policies on the real API server: who may do what, and with which words the rest is refused."""

import re
from pathlib import Path

import pytest
import yaml

from porchflow.api.admission import main, manifests, stale, write
from porchflow.api.models.packagerevision import PackageRevisionSpec
from porchflow.api.names import object_name
from porchflow.api.policies.identity import IDENTITY as IDENTITY_POLICY
from porchflow.kube.client import Object
from porchflow.kube.errors import Forbidden, Invalid
from porchflow.kube.kinds import NAMESPACES, PACKAGEREVISIONS
from tests.api.team import DEPLOY, IDENTITY, PROPOSED_BY, Team, refused
from tests.servers.waiting import eventually


def test_the_files_are_what_the_policies_say() -> None:
    assert stale() == []
    listed = []
    for folder in ("", "mutating/"):
        kustomization = (DEPLOY / "admission" / folder / "Kustomization").read_text()
        listed += [f"{folder}{name}" for name in yaml.safe_load(kustomization)["resources"]]
    assert sorted(listed) == sorted(manifests())


def test_a_stale_file_is_told_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nobodys.yaml").write_text("x")
    assert "nobodys.yaml" in stale(tmp_path)
    write(tmp_path)
    assert stale(tmp_path) == []
    monkeypatch.setattr("porchflow.api.admission.stale", lambda: ["porchflow-lifecycle.yaml"])
    assert main(["--check"]) == 1


# Creation


@pytest.mark.parametrize("lifecycle", ["Published", "DeletionProposed"])
async def test_a_package_revision_starts_unpublished(team: Team, lifecycle: str) -> None:
    words = await refused(team.create(lifecycle=lifecycle))
    assert f"starts as Draft or Proposed, not as {lifecycle}: create it with spec.lifecycle Draft" in words


@pytest.mark.parametrize("source", [None, {"init": {}}])
async def test_it_may_start_as_a_proposal_of_its_author(team: Team, source: Object | None) -> None:
    made = await team.create(lifecycle="Proposed", source=source, annotations={PROPOSED_BY: "bea@example.com"})
    assert made["metadata"]["annotations"] == {PROPOSED_BY: "ada@example.com"}


async def test_a_proposal_that_a_sync_found_has_no_proposer(team: Team) -> None:
    made = await team.create(team.worker, lifecycle="Proposed")
    assert "annotations" not in made["metadata"]


async def test_one_without_a_lifecycle_is_a_draft(team: Team) -> None:
    made = await team.create(lifecycle=None)
    assert made["spec"]["lifecycle"] == "Draft"
    assert "from Draft it can go to Proposed" in await refused(team.ask(team.approver, "Published"))
    assert "lifecycle" in await refused(team.patch(team.author, {"spec": {"lifecycle": ""}}))


@pytest.mark.parametrize("lifecycle", ["Proposed", "Published"])
async def test_who_reconciles_says_what_is_in_git(team: Team, lifecycle: str) -> None:
    """As a sync of the repository does, and an administrator who restores a backup."""
    await team.create(team.admin, lifecycle=lifecycle)


# Names and identity


@pytest.mark.parametrize("package", ["web", "shop/web", "/shop/web/", "a/b/c/web", "w", "//web//"])
async def test_the_name_is_made_of_the_identity(team: Team, package: str) -> None:
    right = object_name("blueprints", package, "v1")
    wrong = await refused(team.create(name="something.else.v1", packageName=package))
    assert f"something.else.v1 has to be {right} (repository.package.workspace)" in wrong
    await team.create(name=right, packageName=package)


@pytest.mark.parametrize("missing", ["repository", "packageName", "workspaceName"])
async def test_an_object_must_say_what_it_is(team: Team, missing: str) -> None:
    assert "must say which package revision this is" in await refused(team.create(**{missing: None}))


async def test_an_object_of_a_wrong_name_can_be_finished_and_deleted(team: Team) -> None:
    """One that is older than the policies; Porch lets such names through."""
    await _outside(team, {"porchflow.dev/admission": "disabled"})
    await _until_created(team, name="odd")
    await _outside(team, {"porchflow.dev/admission": None})
    await team.patch(team.worker, {"metadata": {"labels": {"a": "b"}}}, "odd")
    await team.author.delete(PACKAGEREVISIONS, team.namespace, "odd")


async def _outside(team: Team, labels: dict[str, str | None]) -> None:
    await team.admin.merge_patch(NAMESPACES, None, team.namespace, {"metadata": {"labels": labels}})


async def _until_created(team: Team, name: str) -> None:
    """Create an object once the API server's policies have heard of the namespace's label."""

    async def created() -> bool:
        try:
            await team.create(name=name)
        except Invalid:
            return False
        return True

    await eventually(created, what="the policies leave the namespace alone")


def test_the_policy_of_the_spec_looks_at_all_of_it_but_the_lifecycle() -> None:
    (condition,) = IDENTITY_POLICY.only_if.values()
    fields = {str(field.alias) for field in PackageRevisionSpec.model_fields.values()}
    assert set(re.findall(r"oldObject\.\?spec\.\?(\w+)", condition)) == fields - {"lifecycle"}


@pytest.mark.parametrize("field", IDENTITY)
async def test_the_identity_stays(team: Team, field: str) -> None:
    await team.create(source={"init": {}})
    words = await refused(team.patch(team.author, {"spec": {"source": None, field: IDENTITY[field]}}))
    assert f"{field} cannot be changed once it is set" in words


# Published content


async def test_the_content_of_a_published_revision_is_final(team: Team) -> None:
    await team.at("Published")
    for change in ({"readinessGates": [{"conditionType": "x"}]}, {"packageMetadata": {"labels": {"a": "b"}}}):
        assert "the content of a published revision is final" in await refused(
            team.patch(team.author, {"spec": change})
        )
        await team.patch(team.worker, {"spec": change})
    for client in (team.author, team.worker):
        assert "spec.source cannot be set any more" in await refused(
            team.patch(client, {"spec": {"source": {"init": {}}}})
        )
    await team.patch(team.author, {"metadata": {"labels": {"team": "a"}}})


async def test_other_content_is_accepted_by_approvers(team: Team) -> None:
    words = await refused(team.create(annotations={"porchflow.dev/accept-commit": "0" * 40}), Forbidden)
    assert "accepting other content for what is published is for approvers: ada@example.com may not" in words
    await team.at("Published")
    await refused(team.annotate(team.author, accept_commit="1" * 40), Forbidden)
    await team.annotate(team.approver, accept_commit="1" * 40)
    await team.annotate(team.author, reconcile_now="1")
    await refused(team.annotate(team.author, accept_commit="2" * 40), Forbidden)
    await team.annotate(team.author, accept_commit=None)


async def test_a_readiness_gate_is_removed_in_the_kptfile_only(team: Team) -> None:
    gates = [{"conditionType": "tested"}, {"conditionType": "scanned"}]
    await team.create(readinessGates=gates)
    words = await refused(team.patch(team.author, {"spec": {"readinessGates": gates[:1]}}))
    assert "the readiness gate scanned comes from the Kptfile: remove it there" in words
    await team.patch(team.author, {"spec": {"readinessGates": [*gates, {"conditionType": "signed"}]}})
    await team.patch(team.worker, {"spec": {"readinessGates": gates[:1]}})


# Subpackage operations

CLONE_INTO = {"subpackageDir": "db", "cloneFrom": {"upstreamRef": {"name": "blueprints.db.v1"}}}


async def test_an_operation_is_asked_of_a_draft_that_is_there(team: Team) -> None:
    assert "create this without it" in await refused(team.create(subpackageOperation=CLONE_INTO))
    await team.create()
    await team.patch(team.author, {"spec": {"subpackageOperation": CLONE_INTO}})
    await team.patch(team.author, {"spec": {"subpackageOperation": {"subpackageDir": "other"}}})
    await team.patch(team.author, {"spec": {"subpackageOperation": None}})


async def test_an_operation_that_was_restored_with_its_object_is_taken(team: Team) -> None:
    await team.create(team.admin, subpackageOperation=CLONE_INTO)


@pytest.mark.parametrize(
    ("lifecycle", "mend"), [("Proposed", "set spec.lifecycle to Draft"), ("Published", "source.copyFrom")]
)
async def test_what_is_no_draft_has_its_operation(team: Team, lifecycle: str, mend: str) -> None:
    await team.at(lifecycle)
    words = await refused(team.patch(team.author, {"spec": {"subpackageOperation": CLONE_INTO}}))
    assert f"changes the content of a Draft, and this is to be {lifecycle}" in words
    assert mend in words


async def test_an_operation_is_not_asked_for_with_a_proposal(team: Team) -> None:
    await team.create()
    wanted = {"spec": {"lifecycle": "Proposed", "subpackageOperation": CLONE_INTO}}
    assert "this is to be Proposed" in await refused(team.patch(team.author, wanted))


async def test_an_operation_that_is_done_can_be_taken_away_at_any_time(team: Team) -> None:
    await team.create()
    await team.patch(team.author, {"spec": {"subpackageOperation": CLONE_INTO}})
    await team.ask(team.author, "Proposed")
    assert "subpackageOperation" in (await team.patch(team.author, {"metadata": {"labels": {"a": "b"}}}))["spec"]
    changed = {"spec": {"subpackageOperation": {"subpackageDir": "other"}}}
    assert "this is to be Proposed" in await refused(team.patch(team.author, changed))
    await team.patch(team.author, {"spec": {"subpackageOperation": None}})
    await team.ask(team.approver, "Published")


async def test_the_secret_of_an_operation_is_one_that_the_user_may_read(team: Team) -> None:
    await team.create()
    git = {"repo": "https://git.example.com/x", "ref": "main", "directory": "/", "secretRef": {"name": "theirs"}}
    wanted = {"spec": {"subpackageOperation": {"subpackageDir": "db", "cloneFrom": {"git": git}}}}
    words = await refused(team.patch(team.author, wanted), Forbidden)
    assert "spec.subpackageOperation.cloneFrom.git.secretRef names Secret theirs" in words
    await team.patch(team.admin, wanted)
