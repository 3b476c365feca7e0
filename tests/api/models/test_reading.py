"""Live objects, read: what newer clients wrote, what is not there yet."""

from typing import Any

import pytest
from pydantic import ValidationError

from porchflow.api.models.packagerevision import Lifecycle, PackageRevision, RunOutcome
from porchflow.api.models.repository import Repository
from tests.api.manifests import package_revision, repository


def test_fields_that_nobody_knows_yet_are_passed_over() -> None:
    newer = package_revision(colour="red", source={"init": {"description": "a web shop", "shape": "round"}})
    newer["metadata"] |= {"managedFields": [], "uid": "0a1b"}
    newer["status"] = {"weather": "fine", "conditions": [{"type": "Ready", "status": "True", "mood": "good"}]}
    read = PackageRevision.model_validate(newer)
    assert read.spec.package_name == "shop/web"
    assert read.spec.source is not None
    assert read.spec.source.init is not None
    assert read.spec.source.init.description == "a web shop"
    assert read.metadata.uid == "0a1b"
    assert read.status.conditions[0].type == "Ready"


@pytest.mark.parametrize("obj", [{}, {"metadata": {"name": "a"}}, {"spec": {}, "status": {}}])
@pytest.mark.parametrize("model", [PackageRevision, Repository])
def test_an_object_with_nothing_in_it_is_read(model: type[PackageRevision | Repository], obj: dict[str, Any]) -> None:
    read = model.model_validate(obj)
    assert read.status.conditions == []
    assert read.metadata.generation == 0


def test_a_package_revision_is_written_as_it_was_read() -> None:
    status = {
        "revision": 3,
        "selfLock": {"type": "git", "git": {"repo": "r", "directory": "d", "ref": "t", "commit": "c"}},
        "observedPrrResourceVersion": "7",
        "lastRun": {"runID": "0a1b", "outcome": "Succeeded"},
    }
    wire = package_revision() | {"status": status}
    read = PackageRevision.model_validate(wire)
    assert read.status.last_run is not None
    assert read.status.last_run.outcome is RunOutcome.SUCCEEDED
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == wire


def test_a_repository_without_a_branch_has_main() -> None:
    read = Repository.model_validate(repository()).spec
    assert read.git is not None
    assert read.git.branch == "main"


@pytest.mark.parametrize(("lifecycle", "final"), list(zip(Lifecycle, [False, False, True, True], strict=True)))
def test_what_is_proposed_for_deletion_is_still_published(lifecycle: Lifecycle, final: bool) -> None:
    assert lifecycle.is_published is final


def test_a_lifecycle_that_nobody_knows_is_not_guessed() -> None:
    with pytest.raises(ValidationError, match="lifecycle"):
        PackageRevision.model_validate(package_revision(lifecycle="Final"))
