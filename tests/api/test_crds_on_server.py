"""What the real API server makes of the CRDs: which changes it refuses, with which words, and what it shows."""

import json
from typing import Any

import pytest

from api.names import FIELD_MANAGER, KPTFILE_FIELD_MANAGER, RENDER_FIELD_MANAGER
from kube.client import KubeClient
from kube.resources import PACKAGEREVISIONS
from tests.api.manifests import (
    NOTHING,
    Manifest,
    Objects,
    function_config,
    package_revision,
    refusal,
    repository,
    without_nothing,
)
from tests.kubectl import Kubectl

pytestmark = pytest.mark.usefixtures("crds")

OTHER_SOURCE: Manifest = {"copyFrom": {"name": "blueprints.web.v1"}}


@pytest.fixture
def objects(kubectl: Kubectl, namespace: str) -> Objects:
    return Objects(kubectl, namespace)


class TestLifecycle:
    @pytest.mark.parametrize("lifecycle", ["Draft", "Proposed", "Published", "DeletionProposed", NOTHING])
    def test_an_object_can_start_anywhere(self, objects: Objects, lifecycle: Any) -> None:
        stored = objects.create(package_revision(lifecycle=lifecycle))
        assert stored["spec"].get("lifecycle", NOTHING) == lifecycle

    @pytest.mark.parametrize(
        "steps",
        [
            ["Draft", "Draft", "Proposed", "Draft"],
            ["Proposed", "Published", "DeletionProposed", "Published"],
            [NOTHING, "Published"],
            [NOTHING, NOTHING, "Draft"],
        ],
        ids=["there and back", "to the end and back", "free when empty", "may stay empty"],
    )
    def test_a_possible_step_is_stored(self, objects: Objects, steps: list[Any]) -> None:
        objects.create(package_revision(lifecycle=steps[0]))
        for step in steps[1:]:
            assert objects.replace(package_revision(lifecycle=step))["spec"].get("lifecycle", NOTHING) == step

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

    def test_it_cannot_be_taken_away(self, objects: Objects) -> None:
        objects.create(package_revision(lifecycle="Proposed"))
        words = refusal(objects.replace, package_revision(lifecycle=NOTHING))
        assert "lifecycle cannot go from Proposed to nothing; from Proposed it can go to Draft or Published" in words

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


class TestRepository:
    def test_defaults_are_filled_in(self, objects: Objects) -> None:
        spec = objects.create(repository(git={"repo": "https://git.example/blueprints.git"}))["spec"]
        assert spec == {
            "type": "git",
            "content": "Package",
            "git": {"repo": "https://git.example/blueprints.git", "branch": "main"},
        }

    @pytest.mark.parametrize("changed", ["other", NOTHING], ids=["changed", "removed"])
    @pytest.mark.parametrize("field", ["repo", "branch", "directory"])
    def test_the_place_in_git_cannot_change(self, objects: Objects, field: str, changed: Any) -> None:
        git = {"repo": "https://git.example/blueprints.git", "branch": "release", "directory": "packages"}
        objects.create(repository(git=git))
        words = refusal(objects.replace, repository(git=without_nothing(git | {field: changed})))
        told = "Required value" if (field, changed) == ("repo", NOTHING) else f"spec.git.{field} is immutable: register"
        assert f"spec.git.{field}: " in words
        assert told in words

    @pytest.mark.parametrize("changed", ["oci", NOTHING], ids=["changed", "removed"])
    def test_the_type_cannot_change(self, objects: Objects, changed: Any) -> None:
        objects.create(repository())
        assert "spec.type is immutable: register" in refusal(objects.replace, repository(type=changed))

    def test_the_registry_cannot_change(self, objects: Objects) -> None:
        objects.create(repository(type="oci", git=NOTHING, oci={"registry": "registry.example/one"}))
        changed = repository(type="oci", git=NOTHING, oci={"registry": "registry.example/two"})
        assert "spec.oci.registry is immutable: register" in refusal(objects.replace, changed)

    def test_git_cannot_be_taken_away(self, objects: Objects) -> None:
        objects.create(repository())
        assert "spec.git.repo is immutable: register" in refusal(objects.replace, repository(git=NOTHING))

    def test_everything_else_can_change(self, objects: Objects) -> None:
        objects.create(repository())
        git = {"repo": "https://git.example/blueprints.git", "directory": "packages", "secretRef": {"name": "token"}}
        stored = objects.replace(repository(git=git, description="ours", deployment=True, sync={"schedule": "@hourly"}))
        assert stored["spec"]["git"]["secretRef"] == {"name": "token"}

    @pytest.mark.parametrize("name", ["a", "blueprints-2", "9", "x" * 63])
    def test_a_good_name_is_stored(self, objects: Objects, name: str) -> None:
        assert objects.create(repository(name))["metadata"]["name"] == name

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("with.dots", "metadata.name must be a DNS label"),
            ("x" * 64, "metadata.name must have at most 63 characters"),
        ],
    )
    def test_a_bad_name_is_refused(self, objects: Objects, name: str, words: str) -> None:
        assert words in refusal(objects.create, repository(name))

    def test_other_content_is_refused(self, objects: Objects) -> None:
        words = refusal(objects.create, repository(content="Function"))
        assert "content is deprecated and can only be Package: leave it out" in words

    @pytest.mark.parametrize(
        ("git", "words"),
        [({"branch": "main"}, "spec.git.repo"), ({"repo": "r", "branch": ""}, "spec.git.branch")],
    )
    def test_a_bad_place_is_refused(self, objects: Objects, git: Manifest, words: str) -> None:
        assert words in refusal(objects.create, repository(git=git))


class TestFunctionConfig:
    @pytest.mark.parametrize(
        "executor",
        [
            {"podExecutor": {}},
            {"binaryExecutor": {"tags": ["v0.2"], "path": "set-labels"}},
            {"goExecutor": {"tags": ["v0.2"]}},
        ],
    )
    def test_one_executor_is_enough(self, objects: Objects, executor: Manifest) -> None:
        assert objects.create(function_config(**executor))["spec"].keys() == {"image", *executor}

    def test_none_is_refused(self, objects: Objects) -> None:
        words = refusal(objects.create, function_config())
        assert "At least one configuration must be specified: podExecutor, binaryExecutor or goExecutor" in words

    @pytest.mark.parametrize(
        ("spec", "field"),
        [
            ({"goExecutor": {"tags": []}}, "spec.goExecutor.tags"),
            ({"binaryExecutor": {"tags": ["v1"]}}, "spec.binaryExecutor.path"),
            ({"binaryExecutor": {"tags": ["v1"], "path": ""}}, "spec.binaryExecutor.path"),
            ({"image": "", "podExecutor": {}}, "spec.image"),
            ({"podExecutor": {"timeToLive": "soon"}}, "spec.podExecutor.timeToLive"),
        ],
    )
    def test_a_bad_field_is_refused(self, objects: Objects, spec: Manifest, field: str) -> None:
        assert field in refusal(objects.create, function_config(**spec))

    def test_pods_live_half_an_hour_by_default(self, objects: Objects) -> None:
        assert objects.create(function_config(podExecutor={}))["spec"]["podExecutor"] == {"timeToLive": "30m"}

    def test_pods_take_what_pods_have(self, objects: Objects) -> None:
        container = {
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": 1}},
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
        }
        overrides = {"serviceAccountName": "fn", "securityContext": {"runAsUser": 1000}, "container": container}
        stored = objects.create(function_config(podExecutor={"templateOverrides": overrides}))
        assert stored["spec"]["podExecutor"]["templateOverrides"] == overrides


class TestStatus:
    """What several field managers write; each time the whole object has to pass the rules."""

    async def test_managers_share_the_conditions(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        objects.create(package_revision())
        ready, rendered = _condition("Ready", "Pending"), _condition("Rendered", "Rendered")
        await _apply(kube, namespace, FIELD_MANAGER, conditions=[ready, _condition("Reconciling", "Progressing")])
        await _apply(kube, namespace, RENDER_FIELD_MANAGER, conditions=[rendered], observedPrrResourceVersion="7")
        package = [{"type": "Tested", "status": "True"}]
        await _apply(kube, namespace, KPTFILE_FIELD_MANAGER, packageConditions=package)
        status = (await _apply(kube, namespace, FIELD_MANAGER, conditions=[ready], observedGeneration=1))["status"]
        assert {condition["type"] for condition in status["conditions"]} == {"Ready", "Rendered"}
        assert status["packageConditions"] == package
        assert status["observedPrrResourceVersion"] == "7"

    async def test_package_conditions_have_one_owner(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        objects.create(package_revision())
        for kind in ("Tested", "Scanned"):
            await _apply(kube, namespace, KPTFILE_FIELD_MANAGER, packageConditions=[{"type": kind, "status": "True"}])
        stored = await kube.get(PACKAGEREVISIONS, namespace, "blueprints.shop.web.v1")
        assert stored["status"]["packageConditions"] == [{"type": "Scanned", "status": "True"}]

    async def test_the_kptfile_is_mirrored_into_the_spec(
        self, objects: Objects, kube: KubeClient, namespace: str
    ) -> None:
        objects.create(package_revision(lifecycle="Published"))
        mirrored = {"readinessGates": [{"conditionType": "Tested"}], "packageMetadata": {"labels": {"team": "shop"}}}
        body = package_revision() | {"spec": mirrored}
        body["metadata"]["namespace"] = namespace
        stored = await kube.apply(PACKAGEREVISIONS, body, field_manager=KPTFILE_FIELD_MANAGER)
        assert stored["spec"] == package_revision(lifecycle="Published")["spec"] | mirrored

    async def test_all_of_the_status_is_kept(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        objects.create(package_revision(lifecycle="Published"))
        lock = {"type": "git", "git": {"repo": "r", "directory": "shop/web", "ref": "shop/web/v1", "commit": "c0ffee"}}
        status = {
            "observedGeneration": 1,
            "revision": 1,
            "selfLock": lock,
            "upstreamLock": lock,
            "publishedBy": "ann@example.com",
            "publishedAt": "2026-01-02T03:04:05Z",
            "deployment": True,
            "creationSource": "init",
            "observedReconcileNow": "again",
            "lastRun": {"runID": "0a1b", "outcome": "Succeeded"},
        }
        assert (await _apply(kube, namespace, FIELD_MANAGER, **status))["status"] == status

    @pytest.mark.parametrize("missing", ["reason", "message", "lastTransitionTime", "status"])
    async def test_an_incomplete_condition_is_refused(
        self, objects: Objects, kube: KubeClient, namespace: str, missing: str
    ) -> None:
        objects.create(package_revision())
        condition = {key: value for key, value in _condition("Ready", "Ready").items() if key != missing}
        with pytest.raises(Exception, match=rf"conditions\[0\]\.{missing}"):
            await _apply(kube, namespace, FIELD_MANAGER, conditions=[condition])


def _condition(kind: str, reason: str) -> Manifest:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "observedGeneration": 1,
    }


async def _apply(kube: KubeClient, namespace: str, manager: str, **status: Any) -> Manifest:
    body = {key: value for key, value in package_revision().items() if key != "spec"} | {"status": status}
    body["metadata"] = body["metadata"] | {"namespace": namespace}
    return await kube.apply(PACKAGEREVISIONS, body, field_manager=manager, subresource="status")


class TestKubectl:
    @pytest.fixture
    async def published(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        labelled = package_revision(lifecycle="Published")
        labelled["metadata"]["labels"] = {"porch.kpt.dev/latest-revision": "true"}
        objects.create(labelled)
        draft = package_revision(workspaceName="v2")
        draft["metadata"] = {"name": "blueprints.shop.web.v2"}
        objects.create(draft)
        await _apply(kube, namespace, FIELD_MANAGER, revision=3, conditions=[_condition("Ready", "Ready")])

    @pytest.mark.usefixtures("published")
    def test_columns_of_package_revisions(self, kubectl: Kubectl, namespace: str) -> None:
        heading, first, second = _table(kubectl("get", "rpkg", "--namespace", namespace))
        assert heading == ["NAME", "PACKAGE", "WORKSPACENAME", "REVISION", "LATEST", "LIFECYCLE", "REPOSITORY", "AGE"]
        assert first[:-1] == ["blueprints.shop.web.v1", "shop/web", "v1", "3", "true", "Published", "blueprints"]
        assert second[:-1] == ["blueprints.shop.web.v2", "shop/web", "v2", "Draft", "blueprints"]

    @pytest.mark.usefixtures("published")
    def test_wide_columns_of_package_revisions(self, kubectl: Kubectl, namespace: str) -> None:
        heading, first, _ = _table(kubectl("get", "rpkg", "--namespace", namespace, "-o", "wide"))
        assert heading[-3:] == ["READY", "REASON", "AGE"]
        assert first[-3:-1] == ["True", "Ready"]

    @pytest.mark.usefixtures("published")
    @pytest.mark.parametrize(
        ("selector", "names"),
        [
            ("spec.lifecycle=Published", ["v1"]),
            ("spec.repository=blueprints", ["v1", "v2"]),
            ("spec.packageName=shop/web", ["v1", "v2"]),
            ("spec.workspaceName=v2", ["v2"]),
            ("status.revision=3", ["v1"]),
            ("spec.repository=blueprints,spec.lifecycle!=Published", ["v2"]),
        ],
    )
    def test_field_selectors(self, kubectl: Kubectl, namespace: str, selector: str, names: list[str]) -> None:
        found = kubectl("get", "rpkg", "--namespace", namespace, "--field-selector", selector, "-o", "name").split()
        assert found == [f"packagerevision.porch.kpt.dev/blueprints.shop.web.{name}" for name in names]

    def test_columns_of_repositories(self, objects: Objects, kubectl: Kubectl, namespace: str) -> None:
        objects.create(repository(deployment=True, sync={"schedule": "@hourly"}))
        objects.create(repository("images", type="oci", git=NOTHING, oci={"registry": "registry.example/one"}))
        heading, first, second = _table(kubectl("get", "repo", "--namespace", namespace))
        assert " ".join(heading) == "NAME TYPE CONTENT SYNC SCHEDULE DEPLOYMENT READY ADDRESS BRANCH AGE"
        row = "blueprints git Package @hourly true https://git.example/blueprints.git main"
        assert first[:-1] == row.split()
        assert second[:-1] == ["images", "oci", "Package", "registry.example/one"]

    def test_columns_of_function_configs(self, objects: Objects, kubectl: Kubectl, namespace: str) -> None:
        objects.create(function_config(podExecutor={}))
        status = {"status": {"functionRunnerObservedGeneration": 1}}
        target = ("functionconfig", "set-labels", "--namespace", namespace)
        kubectl("patch", *target, "--subresource=status", "--type=merge", "-p", json.dumps(status))
        heading, row = _table(kubectl("get", *target))
        assert " ".join(heading) == "NAME SERVER APPLIED FNRUNNER APPLIED CONTROLLER APPLIED"
        assert row == ["set-labels", "1"]

    def test_fields_are_explained(self, kubectl: Kubectl) -> None:
        told = kubectl(
            "explain", "packagerevisions.spec.source.upgrade.strategy", "--api-version=porch.kpt.dev/v1alpha2"
        )
        assert "force-delete-replace" in told
        assert "How to merge; resource-merge when not given." in told


def _table(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()]
