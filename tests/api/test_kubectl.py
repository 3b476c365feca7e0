"""What kubectl shows of our kinds, and by which fields it finds them."""

import json

import pytest

from porchflow.api.names import FIELD_MANAGER
from porchflow.kube.client import KubeClient
from tests.api.manifests import (
    NOTHING,
    Objects,
    a_condition,
    apply_status,
    function_config,
    package_revision,
    repository,
)
from tests.kubectl import Kubectl

pytestmark = pytest.mark.usefixtures("crds")


class TestKubectl:
    @pytest.fixture
    async def published(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        labelled = package_revision(lifecycle="Published")
        labelled["metadata"]["labels"] = {"porch.kpt.dev/latest-revision": "true"}
        objects.create(labelled)
        draft = package_revision(workspaceName="v2")
        draft["metadata"] = {"name": "blueprints.shop.web.v2"}
        objects.create(draft)
        await apply_status(kube, namespace, FIELD_MANAGER, revision=3, conditions=[a_condition("Ready", "Ready")])

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
