"""What the real API server lets into Repositories and FunctionConfigs, and what it adds."""

from typing import Any

import pytest

from tests.api.manifests import NOTHING, Manifest, Objects, function_config, refusal, repository, without_nothing

pytestmark = pytest.mark.usefixtures("crds")


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
