"""`porchflow install` and `uninstall` on real API servers: alone, and beside Porch."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from porchflow.api.names import FINALIZER
from porchflow.cli.install import applying
from porchflow.cli.install.choice import Choice
from porchflow.cli.install.removal import delete_data
from porchflow.cli.main import main
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeUnavailable
from porchflow.kube.kinds import Resource
from tests.deploy.manifests import Manifest
from tests.deploy.porch_cluster import PORCH, OtherCluster, bare_cluster, deployment, named, older_cluster
from tests.kubectl import Kubectl, kubectl_with
from tests.servers.control_plane import ControlPlane

CRD = "crd/repositories.config.porch.kpt.dev"


class Porchflow:
    """The command, for one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl: Kubectl = kubectl_with(kubeconfig)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        command, *rest = arguments
        result: Result = CliRunner().invoke(main, [command, "--kubeconfig", str(self.kubeconfig), *rest])
        assert result.exit_code == code, result.output
        return result.output

    def names(self, kinds: str) -> set[str]:
        """Names of objects of all namespaces, with their kinds."""
        found = json.loads(self.kubectl("get", kinds, "--all-namespaces", "-o", "json"))["items"]
        return {f"{one['kind']}/{one['metadata']['name']}" for one in found}

    def environment(self, name: str) -> dict[str, str]:
        found = json.loads(self.kubectl("get", "deployment", name, "--namespace", "porchflow-system", "-o", "json"))
        [container] = found["spec"]["template"]["spec"]["containers"]
        config = container["envFrom"][0]["configMapRef"]["name"]
        data = json.loads(self.kubectl("get", "configmap", config, "--namespace", "porchflow-system", "-o", "json"))
        return {**data["data"], **{each["name"]: json.dumps(each) for each in container["env"]}}


ALL = (
    "deployments,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,networkpolicies,"
    "poddisruptionbudgets,validatingadmissionpolicies,validatingadmissionpolicybindings,apiservices,configmaps"
)


def ours(names: set[str]) -> set[str]:
    """Those of an installation, whatever the settings' digest is."""
    return {name for name in names if "porchflow" in name}


@pytest.fixture(scope="module")
async def other(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OtherCluster]:
    async with older_cluster(server_binaries, tmp_path_factory.mktemp("porch")) as plane:
        yield OtherCluster(plane.kubeconfig)


@pytest.fixture(scope="module")
async def plane(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlane]:
    async with bare_cluster(server_binaries, tmp_path_factory.mktemp("bare")) as plane:
        yield plane


class TestBesidePorch:
    """Porch runs in a cluster without MutatingAdmissionPolicies."""

    @pytest.fixture
    def porchflow(self, other: OtherCluster) -> Iterator[Porchflow]:
        command = Porchflow(other.kubeconfig)
        yield command
        command("uninstall")
        assert ours(command.names(ALL)) == set()
        assert other.porchs() == other.before

    def test_without_saying_so_nothing_is_installed(self, porchflow: Porchflow) -> None:
        told = porchflow("install", code=1)
        assert (
            "Porch runs here (Deployment porch-system/porch-controllers, Deployment porch-system/porch-server" in told
        )
        assert "APIService v1alpha1.porch.kpt.dev with Service porch-system/api" in told
        assert "--beside-porch" in told
        assert ours(porchflow.names(ALL)) == set()

    def test_other_owners_are_named_and_not_forced(self, porchflow: Porchflow, other: OtherCluster) -> None:
        other.take_crds()
        told = porchflow("install", "--beside-porch", code=1)
        assert 'conflict with "kpt"' in told
        assert ".spec.versions" in told
        assert "--force-conflicts" in told
        assert ours(porchflow.names(ALL)) == set()
        assert "A repository of Porch." in other.kubectl("get", CRD, "-o", "yaml")

    def test_it_comes_and_goes_and_porch_is_as_it_was(self, porchflow: Porchflow, other: OtherCluster) -> None:
        told = porchflow("install", "--beside-porch", "--force-conflicts")
        assert "MutatingAdmissionPolicy is not served here" in told
        assert other.porchs() == other.before
        assert porchflow.environment("porchflow-worker")["PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY"] == "true"
        assert "Deployment/porchflow-content-api" not in porchflow.names("deployments")
        # A pod of Porch comes back after a restart, and one of porchflow starts.
        for namespace, name in (("porch-system", "porch-server"), ("porch-fn-system", "porch-server")):
            pod = named("v1", "Pod", "again", namespace, spec=deployment(name)["spec"]["template"]["spec"])
            other.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))

        # It is remembered, and nothing of it can be lost by a shorter command.
        before = ours(porchflow.names(ALL))
        porchflow("install")
        assert ours(porchflow.names(ALL)) == before
        assert "Porch runs here" in porchflow("install", "--without", "beside-porch", code=1)
        assert "Porch's Repositories" in porchflow(
            "install", "--set", "PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY=false", code=2
        )
        assert porchflow.environment("porchflow-worker")["PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY"] == "true"

        assert "the CRDs are its own, too" in porchflow("uninstall", "--delete-data", "--yes", code=1)
        assert ours(porchflow.names(ALL)) == before
        assert "would delete Deployment porchflow-system/porchflow-worker" in porchflow("uninstall", "--dry-run")
        assert ours(porchflow.names(ALL)) == before
        told = porchflow("uninstall")
        assert "1 repositories" in told
        assert "namespaces: porchflow-system" in told
        assert {"Namespace/porchflow-system", "Namespace/porch-system"} <= porchflow.names("namespaces")

    @pytest.mark.parametrize(
        ("namespace", "said"),
        [("porch-system", "holds Deployment function-runner"), ("kube-system", "Kubernetes' own")],
    )
    def test_a_namespace_of_others_is_refused(
        self, porchflow: Porchflow, other: OtherCluster, namespace: str, said: str
    ) -> None:
        told = porchflow("install", "--beside-porch", "--force-conflicts", "--namespace", namespace, code=1)
        assert said in told
        assert "pod-security" not in other.kubectl("get", "namespace", namespace, "-o", "yaml")

    def test_a_second_writer_is_refused(self, porchflow: Porchflow, other: OtherCluster) -> None:
        flag = "--repositories.create-v1alpha2-rpkg=true"
        patch = json.dumps([{"op": "add", "path": "/spec/template/spec/containers/0/args", "value": [flag]}])
        target = ("deployment/porch-controllers", "--namespace", "porch-system", "--type=json")
        other.kubectl("patch", *target, "-p", patch)
        try:
            told = porchflow("install", "--beside-porch", "--force-conflicts", code=1)
        finally:
            other.kubectl("patch", *target, "-p", json.dumps([{**json.loads(patch)[0], "op": "remove"}]))
            other.before = other.porchs()
        assert "undo each other's work" in told
        assert ours(porchflow.names(ALL)) == set()

    def test_a_version_that_would_be_lost_is_refused(self, porchflow: Porchflow, other: OtherCluster) -> None:
        crd = json.loads(other.kubectl("get", CRD, "-o", "json"))
        newer = {**crd["spec"]["versions"][0], "name": "v1beta1", "storage": False}
        other.kubectl(
            "patch", CRD, "--type=json", "-p", json.dumps([{"op": "add", "path": "/spec/versions/-", "value": newer}])
        )
        try:
            told = porchflow("install", "--beside-porch", "--force-conflicts", code=1)
        finally:
            other.kubectl("patch", CRD, "--type=json", "-p", '[{"op": "remove", "path": "/spec/versions/1"}]')
        assert "serves v1beta1, which this version of porchflow does not know" in told
        assert ours(porchflow.names(ALL)) == set()

    def test_webhooks_of_porch_are_named(self, porchflow: Porchflow, other: OtherCluster) -> None:
        names = {"left": "gone", "alive": "api"}
        for name, service in names.items():
            other.kubectl("create", "-f", "-", input=json.dumps(webhook(f"{name}-configuration", service)))
        try:
            told = porchflow("install", "--beside-porch", "--force-conflicts", code=1)
        finally:
            for name in names:
                other.kubectl("delete", "validatingwebhookconfiguration", f"{name}-configuration")
        assert "left-configuration: calls the Service porch-system/gone, which is gone: every write" in told
        assert "kubectl delete validatingwebhookconfiguration left-configuration" in told
        assert "alive-configuration: judges our objects, too" in told

    def test_the_whole_comes_when_porch_is_gone(self, porchflow: Porchflow, other: OtherCluster) -> None:
        porchflow("install", "--beside-porch", "--force-conflicts")
        names = ("porch-server", "porch-controllers", "function-runner")
        other.kubectl("delete", "--namespace", "porch-system", "deployment", *names)
        other.kubectl("delete", "--namespace", "porch-system", "service", "api")
        try:
            told = porchflow("install", "--without", "beside-porch", code=1)
            assert "APIService v1alpha1.porch.kpt.dev: is left of Porch" in told
            assert ".spec.service.name" in told, "not forced"
            porchflow("install", "--without", "beside-porch", "--force-conflicts")
            service = other.kubectl("get", "apiservice", "v1alpha1.porch.kpt.dev", "-o", "jsonpath={.spec.service}")
            assert json.loads(service)["name"] == "porchflow-content-api"
            assert "PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY" not in porchflow.environment("porchflow-worker")
            told = porchflow("uninstall")
            assert "deleted APIService v1alpha1.porch.kpt.dev" in told
        finally:
            # For the other tests Porch is there again.
            labels = ("app.kubernetes.io/part-of-", "pod-security.kubernetes.io/enforce-")
            other.kubectl("label", "namespace", "porch-fn-system", *labels)
            other.apply(PORCH, "--force-conflicts")
            other.before = other.porchs()

    def test_doctor_says_the_same_before(self, porchflow: Porchflow, other: OtherCluster, tmp_path: Path) -> None:
        told = porchflow("doctor", "--before-install", "--state-dir", str(tmp_path), code=1)
        assert "porch: " in told
        assert "--beside-porch" in told
        other.take_crds()
        beside = ("doctor", "--before-install", "--beside-porch", "--state-dir", str(tmp_path))
        found = json.loads(porchflow(*beside, "--output=json", code=1))
        levels = {(each["check"], each["level"]) for each in found}
        assert {("version", "ok"), ("rights", "ok"), ("porch", "ok"), ("installation", "ok")} <= levels
        failures = [each["where"] for each in found if each["level"] == "failure"]
        assert failures == ["CustomResourceDefinition repositories.config.porch.kpt.dev"]


def webhook(name: str, service: str) -> Manifest:
    rule = {
        "apiGroups": ["config.porch.kpt.dev"],
        "apiVersions": ["v1alpha1"],
        "operations": ["CREATE"],
        "resources": ["repositories"],
    }
    one = {
        "name": "one.example.com",
        "rules": [rule],
        "clientConfig": {"service": {"name": service, "namespace": "porch-system", "path": "/validate"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return named("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", name, webhooks=[one])


class TestAlone:
    """An empty cluster with MutatingAdmissionPolicies."""

    @pytest.fixture
    def porchflow(self, plane: ControlPlane) -> Iterator[Porchflow]:
        command = Porchflow(plane.kubeconfig)
        yield command
        command("uninstall")
        assert ours(command.names(f"{ALL},mutatingadmissionpolicies,mutatingadmissionpolicybindings")) == set()

    def test_it_comes_as_the_manifests_say(self, porchflow: Porchflow) -> None:
        printed = porchflow_yaml(porchflow("install", "--dry-run", "--image", "registry.example.com/porchflow:1"))
        assert ours(porchflow.names(ALL)) == set()
        told = porchflow("install", "--image", "registry.example.com/porchflow:1")
        for one in printed:
            place = one["metadata"].get("namespace")
            name = f"{one['kind']} " + (f"{place}/" if place else "") + one["metadata"]["name"]
            assert f"applied {name}\n" in told
        kinds = {one["kind"] for one in printed}
        assert {"Namespace", "CustomResourceDefinition", "MutatingAdmissionPolicy", "Deployment"} <= kinds
        # What was printed is what is there.
        again = yaml.safe_dump_all(printed)
        porchflow.kubectl("diff", "--server-side", "--field-manager=porchflow-install", "-f", "-", input=again)
        porchflow.kubectl("create", "-f", "-", input=json.dumps(REVISION))
        porchflow.kubectl("delete", "packagerevision", REVISION["metadata"]["name"])

    def test_what_was_chosen_stays_until_it_is_taken_away(self, porchflow: Porchflow) -> None:
        told = porchflow("install", "--component", "webhooks", "--set", "PORCHFLOW_LOG_LEVEL=DEBUG")
        assert "secrets: porchflow-system/porchflow-webhooks: is missing" in told
        porchflow("install", "--component", "many-workers", "--image", "registry.example.com/porchflow:2")
        variables = porchflow.environment("porchflow-watcher")
        assert "PORCHFLOW_WEBHOOK_ADDRESS" in variables
        assert variables["PORCHFLOW_LOG_LEVEL"] == "DEBUG"
        budget = "PodDisruptionBudget/porchflow-worker"
        made = {"Service/porchflow-webhooks", "NetworkPolicy/porchflow-webhooks", budget}
        assert made <= porchflow.names(ALL)

        told = porchflow("install", "--without", "webhooks", "--set", "PORCHFLOW_LOG_LEVEL=")
        assert "deleted Service porchflow-system/porchflow-webhooks" in told
        variables = porchflow.environment("porchflow-watcher")
        assert "PORCHFLOW_WEBHOOK_ADDRESS" not in variables
        assert variables["PORCHFLOW_LOG_LEVEL"] == "INFO"
        assert made & porchflow.names(ALL) == {budget}

    def test_approvers_are_recorded_unless_that_is_left_out(self, porchflow: Porchflow) -> None:
        policies = "mutatingadmissionpolicies"
        porchflow("install")
        assert porchflow.names(policies) == {"MutatingAdmissionPolicy/porchflow-records"}
        assert "left out by choice" in porchflow("install", "--without", "record-approvers")
        assert porchflow.names(policies) == set()
        porchflow("install")
        assert porchflow.names(policies) == set()
        porchflow("install", "--component", "record-approvers")
        assert porchflow.names(policies) == {"MutatingAdmissionPolicy/porchflow-records"}

    def test_a_kind_that_is_not_served_is_refused(self, porchflow: Porchflow) -> None:
        told = porchflow("install", "--component", "cert-manager", code=1)
        assert "certificates.cert-manager.io: is not served here" in told
        assert ours(porchflow.names(ALL)) == set()

    def test_rights_that_are_missing_are_named(self, porchflow: Porchflow, plane: ControlPlane) -> None:
        weak = Porchflow(plane.kubeconfig_for("weak", ("system:authenticated",)))
        porchflow.kubectl("create", "clusterrole", "weak", "--verb=get,list", "--resource=configmaps,deployments")
        porchflow.kubectl("create", "clusterrolebinding", "weak", "--clusterrole=weak", "--user=weak")
        try:
            told = weak("install", code=1)
        finally:
            porchflow.kubectl("delete", "clusterrole,clusterrolebinding", "weak")
        assert "rights: these credentials: may not: " in told
        assert "create clusterroles.rbac.authorization.k8s.io" in told
        assert ours(porchflow.names(ALL)) == set()

    def test_the_context_chooses_the_cluster(self, porchflow: Porchflow, plane: ControlPlane, tmp_path: Path) -> None:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        [context] = config["contexts"]
        config["contexts"] = [
            {**context, "name": "right"},
            {"name": "wrong", "context": {"cluster": "none", "user": ""}},
        ]
        config["current-context"] = "wrong"
        (tmp_path / "two").write_text(yaml.safe_dump(config))
        two = Porchflow(tmp_path / "two")
        assert "applied Deployment" in two("install", "--context", "right")
        assert "cannot use the kubeconfig" in two("install", code=2)
        assert "cannot use the kubeconfig" in two("install", "--context", "other", code=2)

    def test_a_second_installation_is_refused(self, porchflow: Porchflow) -> None:
        porchflow("install")
        told = porchflow("install", "--namespace", "packages", code=1)
        assert "porchflow is installed in namespace porchflow-system" in told
        assert "Namespace/packages" not in porchflow.names("namespaces")
        # Names of the cluster are not taken from the one that is there.
        before = ours(porchflow.names(ALL))
        told = porchflow("uninstall", "--namespace", "packages", code=1)
        assert "name --namespace porchflow-system" in told
        assert ours(porchflow.names(ALL)) == before

    def test_a_field_that_somebody_else_set_is_named(self, porchflow: Porchflow) -> None:
        porchflow("install")
        target = ("deployment", "porchflow-worker", "--namespace", "porchflow-system")
        porchflow.kubectl("scale", *target, "--replicas=7")
        told = porchflow("install", code=1)
        assert 'conflict with "kubectl"' in told
        assert ".spec.replicas" in told
        assert porchflow.kubectl("get", *target, "-o", "jsonpath={.spec.replicas}") == "7"
        assert "they are taken over" in porchflow("install", "--force-conflicts")
        assert porchflow.kubectl("get", *target, "-o", "jsonpath={.spec.replicas}") != "7"

    def test_what_kubectl_installed_goes_too(self, porchflow: Porchflow) -> None:
        porchflow("install", "--component", "function-pods")
        porchflow.kubectl("delete", "configmap", "porchflow-installation", "--namespace", "porchflow-system")
        assert "deleted Role porch-fn-system/porchflow-function-pods" in porchflow("uninstall")

    def test_an_unreadable_record_is_said(self, porchflow: Porchflow) -> None:
        porchflow("install")
        target = ("configmap", "porchflow-installation", "--namespace", "porchflow-system")
        porchflow.kubectl("patch", *target, "-p", json.dumps({"data": {"installation": "{"}}))
        told = porchflow("install", code=2)
        assert "ConfigMap porchflow-system/porchflow-installation" in told
        assert "delete it" in told
        porchflow.kubectl("delete", *target)

    @pytest.mark.parametrize(("cut", "again"), [(1, False), (4, True), (7, False), (20, True), (40, False)])
    def test_an_interrupted_run_can_be_repeated_or_taken_away(
        self, porchflow: Porchflow, plane: ControlPlane, cut: int, *, again: bool
    ) -> None:
        told: list[str] = []

        async def interrupted() -> None:
            async with await CutOff.connect(plane.kubeconfig) as kube:
                kube.left = cut
                with pytest.raises(KubeUnavailable):
                    await applying.install(kube, Choice(), None, told.append, force=False)

        asyncio.run(interrupted())
        assert len(told) <= cut
        if again:
            porchflow("install")
            deployments = {"watcher", "worker", "function-runner", "content-api"}
            assert {f"Deployment/porchflow-{name}" for name in deployments} <= porchflow.names("deployments")


class CutOff(KubeClient):
    """Applies some objects, then fails."""

    left = 0

    async def apply(self, resource: Resource, body: Mapping[str, Any], **options: Any) -> Object:
        self.left -= 1
        if self.left < 0:
            raise KubeUnavailable("cut off")
        return await super().apply(resource, body, **options)


REVISION = {
    "apiVersion": "porch.kpt.dev/v1alpha2",
    "kind": "PackageRevision",
    "metadata": {"name": "blueprints.web.v1", "namespace": "default"},
    "spec": {"repository": "blueprints", "packageName": "web", "workspaceName": "v1", "lifecycle": "Draft"},
}


def porchflow_yaml(printed: str) -> list[Manifest]:
    """The manifests, without the lines of the checks before."""
    return list(yaml.safe_load_all(printed[printed.index("---") :]))


class TestData:
    """Deleting what users have, in a cluster that is not needed afterwards."""

    async def test_it_goes_with_its_crds_when_told(self, server_binaries: dict[str, Path], tmp_path: Path) -> None:
        async with bare_cluster(server_binaries, tmp_path) as plane:
            kubectl = kubectl_with(plane.kubeconfig)
            async with await KubeClient.connect(plane.kubeconfig) as kube:
                await applying.install(kube, Choice(), None, print, force=False)
                kept = {**REVISION["metadata"], "finalizers": [FINALIZER]}  # type: ignore[dict-item]  # a literal above
                kubectl("create", "-f", "-", input=json.dumps({**REVISION, "metadata": kept}))
                pod = named("v1", "Pod", "left", "porchflow-system", spec=pod_spec())
                pod["metadata"]["labels"] = {"app.kubernetes.io/part-of": "porchflow"}
                kubectl("create", "-f", "-", input=json.dumps(pod))
                # While a process runs, it would take the deletion for the user's wish to delete branches.
                with pytest.raises(TimeoutError, match="still run"):
                    await delete_data(kube, "porchflow-system", print, seconds=0.3)
                assert "blueprints.web.v1" in kubectl("get", "packagerevisions", "-o", "name")
                kubectl("delete", "pod", "left", "--namespace", "porchflow-system", "--force")
                lines: list[str] = []
                await delete_data(kube, "porchflow-system", lines.append)
            assert "deleted CustomResourceDefinition packagerevisions.porch.kpt.dev" in lines
            kubectl("wait", "--for=delete", "crd/packagerevisions.porch.kpt.dev", "--timeout=60s")
            phases = kubectl(
                "get", "namespaces", "-o", "jsonpath={range .items[*]}{.metadata.name}={.status.phase} {end}"
            )
            assert {"porchflow-system=Terminating", "default=Active"} <= set(phases.split())


def pod_spec() -> Manifest:
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    outer = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"securityContext": outer, "containers": [{"name": "one", "image": "one", "securityContext": safe}]}
