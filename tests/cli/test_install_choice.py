"""What can be chosen for an installation, and what is refused before any cluster is asked."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from porchflow.cli.doctor.findings import Check, Level
from porchflow.cli.doctor.kubernetes_version import MINIMUM, told, version_finding
from porchflow.cli.install.choice import ANNOTATED_ONLY, Choice, ChoiceError
from porchflow.cli.main import main
from porchflow.cli.manifests.kustomizations import Composition, UnsupportedKustomizationError
from porchflow.cli.manifests.manifest_kinds import in_order, resource_of
from porchflow.cli.manifests.patching import UnsupportedPatchError, patched
from porchflow.cli.manifests.shipped import component_names, composed
from porchflow.cli.settings import SettingsError
from tests.deploy.manifests import DEPLOY

README, INSTALL = DEPLOY.parent / "README.md", DEPLOY.parent / "docs" / "operate" / "install.md"


class TestChoice:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"components": ["webhook"]}, "there is no component 'webhook': choose among .*webhooks-apart"),
            ({"without": ["nothing"]}, "there is no component 'nothing'"),
            ({"components": ["webhooks"], "without": ["webhooks"]}, "both chosen and left out"),
            ({"components": ["webhooks", "watch-secrets"]}, "every Secret: take webhooks-apart"),
            ({"components": ["webhooks-apart", "webhooks"]}, "choose one of them"),
            ({"components": ["beside-porch", "cert-manager"]}, "leave cert-manager out"),
            ({"settings": {"PORCHFLOW_TEMPORAL": "x"}}, "there is no setting 'PORCHFLOW_TEMPORAL'"),
            ({"settings": {"PORCHFLOW_WEBHOOK_SECRET": "x" * 20}}, "put it into a Secret"),
            ({"components": ["beside-porch"], "settings": {ANNOTATED_ONLY: "false"}}, "Porch's Repositories"),
            ({"components": ["beside-porch"], "settings": {ANNOTATED_ONLY: "0"}}, "Porch's Repositories"),
        ],
    )
    def test_what_would_not_work_is_refused(self, changes: dict[str, object], said: str) -> None:
        with pytest.raises(ChoiceError, match=said):
            Choice().changed(**changes)  # type: ignore[arg-type]  # the types are those of the table

    @pytest.mark.parametrize(
        ("name", "value"), [("PORCHFLOW_TEMPORAL_ADDRESS", "nowhere"), ("PORCHFLOW_RENDER_SLOTS", "many")]
    )
    def test_a_bad_value_of_a_setting_is_named(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError, match=name):
            Choice().changed(settings={name: value})

    def test_a_run_adds_to_what_the_one_before_chose(self) -> None:
        first = Choice().changed(components=["webhooks"], settings={"PORCHFLOW_LOG_LEVEL": "DEBUG"}, image="r/p:1")
        second = first.changed(components=["function-pods"], settings={"PORCHFLOW_TEMPORAL_NAMESPACE": "packages"})
        assert second.components == ("function-pods", "webhooks")
        assert second.image == "r/p:1"
        assert second.settings == {"PORCHFLOW_LOG_LEVEL": "DEBUG", "PORCHFLOW_TEMPORAL_NAMESPACE": "packages"}
        third = second.changed(without=["webhooks"], settings={"PORCHFLOW_LOG_LEVEL": ""})
        assert third.components == ("function-pods",)
        assert third.settings == {"PORCHFLOW_TEMPORAL_NAMESPACE": "packages"}
        assert third.changed(components=["webhooks"]).without == ()

    def test_beside_porch_its_namespace_and_its_api_are_left_alone(self) -> None:
        choice = Choice().changed(components=["beside-porch"])
        whole = [*choice.foundations(), *choice.manifests()]
        assert [one["metadata"]["name"] for one in whole if one["kind"] == "Namespace"] == ["porchflow-system"]
        assert not [one for one in whole if one["kind"] == "APIService"]
        [config] = [one for one in whole if one["kind"] == "ConfigMap"]
        assert config["data"][ANNOTATED_ONLY] == "true"

    def test_another_namespace_is_named_everywhere(self) -> None:
        text = str([*Choice(namespace="packages").foundations(), *Choice(namespace="packages").manifests()])
        assert "porchflow-system" not in text
        assert "function-runner.packages:9445" in text
        assert "'packages/porchflow-content-api'" in text

    def test_settings_and_image_are_in_the_manifests(self) -> None:
        made = Choice().changed(settings={"PORCHFLOW_LOG_LEVEL": "DEBUG"}, image="registry.example.com:5000/p@sha256:0")
        images = {
            one["spec"]["template"]["spec"]["containers"][0]["image"]
            for one in made.manifests()
            if one["kind"] == "Deployment"
        }
        assert images == {"registry.example.com:5000/p@sha256:0"}
        [config] = [one for one in made.manifests() if one["kind"] == "ConfigMap"]
        assert config["data"]["PORCHFLOW_LOG_LEVEL"] == "DEBUG"


class TestManifests:
    def test_permissions_come_before_processes_and_those_before_the_api(self) -> None:
        kinds = [one["kind"] for one in in_order(composed(component_names()))]
        assert kinds.index("ClusterRole") < kinds.index("ClusterRoleBinding") < kinds.index("Deployment")
        assert kinds.index("ValidatingAdmissionPolicy") < kinds.index("ValidatingAdmissionPolicyBinding")
        assert [one["kind"] for one in in_order(composed([]))][-1] == "APIService"

    @pytest.mark.parametrize("name", component_names())
    def test_every_component_says_what_it_is_for(self, name: str) -> None:
        text = (DEPLOY / "components" / name / "kustomization.yaml").read_text()
        comment = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
        assert text.startswith("#")
        assert len(" ".join(comment)) > 40

    def test_every_kind_is_known(self) -> None:
        for one in [*Choice().foundations(), *composed(component_names()), *composed([])]:
            resource = resource_of(one)
            assert resource.namespaced is ("namespace" in one["metadata"]), one["metadata"]["name"]

    @pytest.mark.parametrize(
        ("patch", "said"),
        [
            ({"spec": {"rules": [{"host": "x"}]}}, r"\.spec\.rules: nothing says"),
            ({"spec": {"$patch": "replace"}}, "replace"),
        ],
    )
    def test_a_patch_that_is_not_known_here_is_no_guess(self, patch: dict[str, object], said: str) -> None:
        with pytest.raises(UnsupportedPatchError, match=said):
            patched({"spec": {}}, patch)

    def test_a_field_that_is_not_known_here_is_no_guess(self, tmp_path: Path) -> None:
        (tmp_path / "kustomization.yaml").write_text("kind: Component\nnamePrefix: x-\n")
        with pytest.raises(UnsupportedKustomizationError, match="namePrefix is not known here"):
            Composition().add(tmp_path)


class TestVersion:
    @pytest.mark.parametrize(
        ("answer", "level"),
        [
            ({"major": "1", "minor": "29"}, Level.FAILURE),
            ({"major": "1", "minor": "29+"}, Level.FAILURE),
            ({"major": "0", "minor": "99"}, Level.FAILURE),
            ({"major": "1", "minor": "30"}, Level.OK),
            ({"major": "1", "minor": "30-eks"}, Level.OK),
            ({"major": "2", "minor": "0"}, Level.OK),
            ({"major": "", "minor": ""}, Level.WARNING),
            ({}, Level.WARNING),
        ],
    )
    def test_what_is_too_old(self, answer: dict[str, object], level: Level) -> None:
        finding = version_finding(Check("version", "here"), answer)
        assert finding.level == level
        assert bool(finding.mend) is (level is not Level.OK)

    def test_the_pages_say_the_same(self) -> None:
        for page in (README, INSTALL):
            assert f"Kubernetes {told(MINIMUM)} or newer" in page.read_text(), page.name


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["install", "--set", "PORCHFLOW_LOG_LEVEL"], "write VARIABLE=VALUE"),
            (["install", "--set", "=x"], "write VARIABLE=VALUE"),
            (["doctor", "--beside-porch"], "--before-install"),
            (["install", "--kubeconfig", "/nowhere"], "there is no kubeconfig at /nowhere"),
            (["uninstall", "--kubeconfig", "/nowhere"], "there is no kubeconfig at /nowhere"),
        ],
    )
    def test_what_cannot_be_done_ends_with_2(self, arguments: list[str], said: str) -> None:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert said in result.output
