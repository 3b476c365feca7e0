"""What the real API server lets happen to a PackageRevision, and with which words it refuses the rest."""

from typing import Any

import pytest

from tests.api.manifests import NOTHING, Manifest, Objects, package_revision, refusal

pytestmark = pytest.mark.usefixtures("crds")

OTHER_SOURCE: Manifest = {"copyFrom": {"name": "blueprints.web.v1"}}


class TestLifecycle:
    @pytest.mark.parametrize("lifecycle", ["Draft", "Proposed", "Published", "DeletionProposed"])
    def test_an_object_can_start_anywhere(self, objects: Objects, lifecycle: str) -> None:
        stored = objects.create(package_revision(lifecycle=lifecycle))
        assert stored["spec"]["lifecycle"] == lifecycle

    def test_one_that_says_nothing_starts_as_a_draft(self, objects: Objects) -> None:
        assert objects.create(package_revision(lifecycle=NOTHING))["spec"]["lifecycle"] == "Draft"

    @pytest.mark.parametrize(
        "steps",
        [
            ["Draft", "Draft", "Proposed", "Draft"],
            ["Proposed", "Published", "DeletionProposed", "Published"],
        ],
        ids=["there and back", "to the end and back"],
    )
    def test_a_possible_step_is_stored(self, objects: Objects, steps: list[str]) -> None:
        objects.create(package_revision(lifecycle=steps[0]))
        for step in steps[1:]:
            assert objects.replace(package_revision(lifecycle=step))["spec"]["lifecycle"] == step

    @pytest.mark.parametrize(
        ("old", "new", "possible"),
        [
            ("Draft", "Published", "Proposed"),
            ("Draft", "DeletionProposed", "Proposed"),
            ("Proposed", "DeletionProposed", "Draft or Published"),
            ("Published", "Draft", "DeletionProposed"),
            ("Published", "Proposed", "DeletionProposed"),
            ("DeletionProposed", "Draft", "Published"),
            ("DeletionProposed", "Proposed", "Published"),
        ],
    )
    def test_an_impossible_step_is_refused_with_what_is_possible(
        self, objects: Objects, old: str, new: str, possible: str
    ) -> None:
        objects.create(package_revision(lifecycle=old))
        words = refusal(objects.replace, package_revision(lifecycle=new))
        assert "spec.lifecycle: " in words
        assert f"lifecycle cannot go from {old} to {new}; from {old} it can go to {possible}" in words

    def test_taking_it_away_asks_for_a_draft(self, objects: Objects) -> None:
        objects.create(package_revision(lifecycle="Proposed"))
        assert objects.replace(package_revision(lifecycle=NOTHING))["spec"]["lifecycle"] == "Draft"
        for step in ("Proposed", "Published"):
            objects.replace(package_revision(lifecycle=step))
        words = refusal(objects.replace, package_revision(lifecycle=NOTHING))
        assert "lifecycle cannot go from Published to Draft; from Published it can go to DeletionProposed" in words

    def test_an_unknown_one_is_refused(self, objects: Objects) -> None:
        words = refusal(objects.create, package_revision(lifecycle="Final"))
        assert 'supported values: "Draft", "Proposed", "Published", "DeletionProposed"' in words


class TestIdentity:
    @pytest.mark.parametrize("changed", ["other", "", NOTHING], ids=["changed", "emptied", "removed"])
    @pytest.mark.parametrize(
        ("field", "instead"),
        [
            ("packageName", "for the package under another name, create a new PackageRevision with source.cloneFrom"),
            ("repository", "for the package in another repository, create a new PackageRevision with source.cloneFrom"),
            ("workspaceName", "for another line of work, create a new PackageRevision with source.copyFrom"),
        ],
    )
    def test_it_cannot_change(self, objects: Objects, field: str, instead: str, changed: Any) -> None:
        objects.create(package_revision())
        words = refusal(objects.replace, package_revision(**{field: changed}))
        assert f"spec.{field}: " in words
        assert f"{field} cannot be changed once it is set: {instead}" in words

    @pytest.mark.parametrize("field", ["packageName", "repository", "workspaceName"])
    @pytest.mark.parametrize("before", ["", NOTHING], ids=["empty", "absent"])
    def test_it_can_be_set_later(self, objects: Objects, field: str, before: Any) -> None:
        objects.create(package_revision(**{field: before}))
        assert objects.replace(package_revision(**{field: "other"}))["spec"][field] == "other"

    def test_the_spec_cannot_be_taken_away(self, objects: Objects) -> None:
        objects.create(package_revision())
        bare = {key: value for key, value in package_revision().items() if key != "spec"}
        assert "spec cannot be removed: delete the object instead" in refusal(objects.replace, bare)


class TestSource:
    @pytest.mark.parametrize(
        "source",
        [
            {"init": {}},
            {
                "cloneFrom": {
                    "type": "git",
                    "git": {"repo": "r", "ref": "main", "directory": "/", "secretRef": {"name": ""}},
                }
            },
            {"cloneFrom": {"upstreamRef": {"name": "blueprints.web.v1"}}},
            {"copyFrom": {"name": "blueprints.web.v1"}},
            {"upgrade": {"oldUpstream": {"name": "a"}, "newUpstream": {"name": "b"}, "currentPackage": {"name": "c"}}},
        ],
    )
    def test_one_way_is_stored(self, objects: Objects, source: Manifest) -> None:
        assert objects.create(package_revision(source=source))["spec"]["source"] == source

    @pytest.mark.parametrize("source", [{}, {"init": {}} | OTHER_SOURCE], ids=["none", "two"])
    def test_not_exactly_one_way_is_refused(self, objects: Objects, source: Manifest) -> None:
        words = refusal(objects.create, package_revision(source=source))
        assert "exactly one of init, cloneFrom, copyFrom, or upgrade must be set" in words

    @pytest.mark.parametrize(
        "changed", [OTHER_SOURCE, {"init": {"description": "another"}}, NOTHING], ids=["other", "edited", "removed"]
    )
    def test_it_cannot_change(self, objects: Objects, changed: Any) -> None:
        objects.create(package_revision())
        words = refusal(objects.replace, package_revision(source=changed))
        assert "spec.source: " in words
        assert "source cannot be changed once it is set" in words
        assert "delete this PackageRevision and create it again with the other source" in words

    def test_it_can_be_set_later(self, objects: Objects) -> None:
        objects.create(package_revision(source=NOTHING))
        assert objects.replace(package_revision(source=OTHER_SOURCE))["spec"]["source"] == OTHER_SOURCE

    def test_a_large_one_is_compared_within_the_budget_of_the_rules(self, objects: Objects) -> None:
        source = {"init": {"description": "x" * 200_000, "keywords": [f"keyword-{n:06}" for n in range(20_000)]}}
        labels = {"labels": {f"label-{n:05}": "x" * 50 for n in range(5_000)}}
        objects.create(package_revision(source=source, packageMetadata=labels))
        proposed = package_revision(source=source, packageMetadata=labels, lifecycle="Proposed")
        assert objects.replace(proposed)["spec"]["lifecycle"] == "Proposed"

    def test_an_unknown_strategy_is_refused(self, objects: Objects) -> None:
        words = refusal(objects.create, package_revision(source={"upgrade": {"strategy": "guess"}}))
        assert '"resource-merge", "fast-forward", "force-delete-replace", "copy-merge"' in words
