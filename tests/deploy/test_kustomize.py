"""The manifests of deploy/: what kustomize makes of them, and what the real API server says to it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from cli.settings import Settings, load_settings, variable_of
from functions.pods.template import IMAGE_LABEL, OWNED_LABEL, OWNER, PORT
from tests.kubectl import Kubectl, KubectlError

DEPLOY = Path(__file__).parents[2] / "deploy"
BASE, MANY_WORKERS = DEPLOY, DEPLOY / "overlays" / "many-workers"
BESIDE_PORCH = DEPLOY / "overlays" / "beside-porch"
WEBHOOKS = DEPLOY / "overlays" / "webhooks"
FUNCTION_PODS = DEPLOY / "overlays" / "function-pods"
PRIVATE_REGISTRIES = DEPLOY / "overlays" / "private-registries"
CERT_MANAGER = DEPLOY / "overlays" / "cert-manager"

Manifest = dict[str, Any]


class Built:
    """What `kubectl apply -k` would apply."""

    def __init__(self, text: str) -> None:
        self.manifests: list[Manifest] = list(yaml.safe_load_all(text))

    def of(self, kind: str) -> dict[str, Manifest]:
        return {one["metadata"]["name"]: one for one in self.manifests if one["kind"] == kind}

    @property
    def pods(self) -> dict[str, Manifest]:
        return {name: one["spec"]["template"] for name, one in self.of("Deployment").items()}

    @property
    def settings(self) -> dict[str, str]:
        [config] = self.of("ConfigMap").values()
        return dict(config["data"])

    def environment(self, pod: Manifest) -> dict[str, str]:
        [container] = pod["spec"]["containers"]
        return self.settings | {variable["name"]: variable["value"] for variable in container["env"]}


@pytest.fixture(scope="module")
def built(kubectl: Kubectl) -> Built:
    return Built(kubectl("kustomize", str(BASE)))


@pytest.fixture(scope="module")
def applied(kubectl: Kubectl, built: Built) -> Built:
    # The aggregated API only with --dry-run: nothing would answer for it here, where other tests look for it.
    others = "--selector=app.kubernetes.io/component!=aggregated-api"
    kubectl("apply", "-k", str(BASE), "--server-side", "--force-conflicts", "--validate=strict", others)
    return built


class TestServer:
    @pytest.mark.usefixtures("applied")
    @pytest.mark.parametrize(
        "folder", [BASE, MANY_WORKERS, WEBHOOKS, BESIDE_PORCH, FUNCTION_PODS], ids=lambda folder: folder.name
    )
    @pytest.mark.parametrize("side", [["--server-side", "--force-conflicts"], []], ids=["server", "client"])
    def test_everything_is_accepted(self, kubectl: Kubectl, folder: Path, side: list[str]) -> None:
        told = kubectl("apply", "-k", str(folder), *side, "--validate=strict", "--dry-run=server")
        assert len(told.splitlines()) == len(Built(kubectl("kustomize", str(folder))).manifests)

    def test_it_is_applied(self, applied: Built, kubectl: Kubectl) -> None:
        found = kubectl("get", "deployments", "--namespace", "porch-system", "-o", "name").split()
        assert {f"deployment.apps/{name}" for name in applied.pods} <= set(found)

    def test_the_pods_meet_the_restricted_standard(self, applied: Built, kubectl: Kubectl) -> None:
        for name, template in applied.pods.items():
            _create_pod(kubectl, name, template["spec"])

    @pytest.mark.parametrize(
        ("where", "value"),
        [("runAsNonRoot", False), ("allowPrivilegeEscalation", True), ("seccompProfile", {"type": "Unconfined"})],
    )
    def test_the_namespace_refuses_looser_pods(
        self, applied: Built, kubectl: Kubectl, where: str, value: object
    ) -> None:
        spec = json.loads(json.dumps(applied.pods["porchflow-worker"]["spec"]))
        holder = spec["securityContext"]
        if where not in holder:
            holder = spec["containers"][0]["securityContext"]
        holder[where] = value
        with pytest.raises(KubectlError, match="violates PodSecurity"):
            _create_pod(kubectl, "looser", spec)


def _create_pod(kubectl: Kubectl, name: str, spec: Manifest) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "porch-system"}, "spec": spec}
    kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=json.dumps(pod))


CLUSTER = "--all-namespaces"
OF_EVERY_CLUSTER: dict[str, Manifest] = {
    "extension-apiserver-authentication-reader": {
        "rules": [
            {
                "apiGroups": [""],
                "resources": ["configmaps"],
                "resourceNames": ["extension-apiserver-authentication"],
                "verbs": ["get", "list", "watch"],
            }
        ]
    }
}
"""Roles that Kubernetes brings."""
PERMISSIONS = {
    "porchflow-watcher": {
        (CLUSTER, "packagerevisions.porch.kpt.dev"): "list watch",
        (CLUSTER, "repositories.config.porch.kpt.dev"): "list watch",
        (CLUSTER, "secrets"): "list watch",
    },
    "porchflow-worker": {
        (CLUSTER, "packagerevisions.porch.kpt.dev"): "get list create patch delete reconcile",
        (CLUSTER, "packagerevisions.porch.kpt.dev/status"): "patch",
        (CLUSTER, "repositories.config.porch.kpt.dev"): "get list patch",
        (CLUSTER, "repositories.config.porch.kpt.dev/status"): "patch",
        (CLUSTER, "mutatingadmissionpolicies.admissionregistration.k8s.io:porchflow-records"): "get",
        (CLUSTER, "mutatingadmissionpolicybindings.admissionregistration.k8s.io:porchflow-records"): "get",
        (CLUSTER, "secrets"): "get",
        (CLUSTER, "events"): "get create patch",
    },
    "porchflow-content-api": {
        (CLUSTER, "packagerevisions.porch.kpt.dev"): "get list watch patch",
        (CLUSTER, "repositories.config.porch.kpt.dev"): "get",
        (CLUSTER, "secrets"): "get",
        (CLUSTER, "subjectaccessreviews.authorization.k8s.io"): "create",
        (CLUSTER, "apiservices.apiregistration.k8s.io:v1alpha1.porch.kpt.dev"): "get patch",
        ("--namespace=porch-system", "secrets:porchflow-content-api-tls"): "get patch",
        ("--namespace=kube-system", "configmaps:extension-apiserver-authentication"): "get list watch",
    },
    "porchflow-function-runner": {
        ("--namespace=porch-fn-system", "functionconfigs.config.porch.kpt.dev"): "list watch",
        ("--namespace=porch-fn-system", "functionconfigs.config.porch.kpt.dev/status"): "patch",
    },
}
"""All that each process may do; the README of the rules, so to say."""


class TestPermissions:
    @pytest.mark.parametrize(
        ("account", "scope", "resource", "verbs"),
        [(account, *target, verbs) for account, grants in PERMISSIONS.items() for target, verbs in grants.items()],
    )
    @pytest.mark.usefixtures("applied")
    def test_each_process_may_do_its_work(
        self, kubectl: Kubectl, account: str, scope: str, resource: str, verbs: str
    ) -> None:
        for verb in verbs.split():
            assert _may(kubectl, account, verb, resource, scope), verb

    def test_and_nothing_else(self, built: Built) -> None:
        assert {account: _granted(built, account) for account in PERMISSIONS} == {
            account: {(target, verb) for target, verbs in grants.items() for verb in verbs.split()}
            for account, grants in PERMISSIONS.items()
        }

    @pytest.mark.usefixtures("applied")
    @pytest.mark.parametrize(
        ("account", "verb", "resource", "scope"),
        [
            ("porchflow-watcher", "get", "secrets", CLUSTER),
            ("porchflow-watcher", "patch", "packagerevisions.porch.kpt.dev", CLUSTER),
            ("porchflow-watcher", "create", "leases.coordination.k8s.io", "--namespace=porch-system"),
            ("porchflow-worker", "list", "secrets", CLUSTER),
            ("porchflow-worker", "deletecollection", "packagerevisions.porch.kpt.dev", CLUSTER),
            ("porchflow-worker", "create", "pods", CLUSTER),
            ("porchflow-worker", "delete", "repositories.config.porch.kpt.dev", CLUSTER),
            ("porchflow-content-api", "patch", "secrets", "--namespace=porch-system"),
            ("porchflow-content-api", "patch", "apiservices.apiregistration.k8s.io:v1.apps", CLUSTER),
            ("porchflow-content-api", "get", "configmaps", "--namespace=kube-system"),
            ("porchflow-content-api", "patch", "packagerevisions.porch.kpt.dev/status", CLUSTER),
            ("porchflow-content-api", "create", "tokenreviews.authentication.k8s.io", CLUSTER),
            ("porchflow-function-runner", "get", "secrets", "--namespace=porch-fn-system"),
            ("porchflow-function-runner", "list", "functionconfigs.config.porch.kpt.dev", CLUSTER),
            ("porchflow-function-runner", "create", "pods", "--namespace=porch-fn-system"),
        ],
    )
    def test_the_server_says_no(self, kubectl: Kubectl, account: str, verb: str, resource: str, scope: str) -> None:
        assert not _may(kubectl, account, verb, resource, scope)


def _may(kubectl: Kubectl, account: str, verb: str, resource: str, scope: str) -> bool:
    """Ask the API server; `can-i` says no with an exit code of 1."""
    name, _, subresource = resource.partition("/")
    name = name.replace(":", "/")
    part = [f"--subresource={subresource}"] if subresource else []
    user = f"--as=system:serviceaccount:porch-system:{account}"
    try:
        return kubectl("auth", "can-i", verb, name, *part, scope, user).strip() == "yes"
    except KubectlError as failure:
        if not str(failure).rstrip().endswith("no"):
            raise
        return False


def _granted(built: Built, account: str) -> set[tuple[tuple[str, str], str]]:
    """Return what the manifests grant a ServiceAccount, as `PERMISSIONS` words it."""
    grants = set()
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        for binding in built.of(kind).values():
            if account not in {subject["name"] for subject in binding["subjects"]}:
                continue
            namespace = binding["metadata"].get("namespace")
            scope = f"--namespace={namespace}" if namespace else CLUSTER
            name = binding["roleRef"]["name"]
            role = OF_EVERY_CLUSTER.get(name) or built.of(binding["roleRef"]["kind"])[name]
            for rule in role["rules"]:
                grants |= {((scope, target), verb) for target in _targets(rule) for verb in rule["verbs"]}
    return grants


def _targets(rule: Manifest) -> Iterator[str]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            name, slash, part = resource.partition("/")
            full = f"{name}.{group}{slash}{part}" if group else resource
            yield from [f"{full}:{one}" for one in rule.get("resourceNames", [])] or [full]


class TestProcesses:
    def test_each_runs_its_command(self, built: Built) -> None:
        commands = {name: pod["spec"]["containers"][0]["args"] for name, pod in built.pods.items()}
        assert commands == {
            "porchflow-watcher": ["watcher"],
            "porchflow-worker": ["worker"],
            "porchflow-function-runner": ["function-runner"],
            "porchflow-content-api": ["content-api"],
        }
        known = main.list_commands(None)  # type: ignore[arg-type]  # the list does not depend on the context
        assert {command for [command] in commands.values()} <= set(known)

    def test_its_environment_is_what_settings_accept(self, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
        for pod in built.pods.values():
            with monkeypatch.context() as patch:
                environment = built.environment(pod)
                for name, value in environment.items():
                    patch.setenv(name, value)
                settings = load_settings()
            assert settings.temporal_address == "temporal-frontend.temporal:7233"
            assert settings.function_runner_address == "function-runner.porch-system:9445"

    def test_its_health_is_where_the_probes_look(self, built: Built) -> None:
        for name in ("porchflow-watcher", "porchflow-worker", "porchflow-content-api"):
            pod = built.pods[name]
            [container] = pod["spec"]["containers"]
            assert built.environment(pod)["PORCHFLOW_HEALTH_ADDRESS"] == ":8081"
            assert [port["containerPort"] for port in container["ports"] if port["name"] == "health"] == [8081]
            assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
            assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}

    def test_metrics_of_other_makers_have_a_port_of_their_own(self, built: Built) -> None:
        variables = {
            "porchflow-watcher": "PORCHFLOW_TEMPORAL_METRICS_ADDRESS",
            "porchflow-worker": "PORCHFLOW_TEMPORAL_METRICS_ADDRESS",
            "porchflow-function-runner": "PORCHFLOW_METRICS_ADDRESS",
        }
        for name, variable in variables.items():
            pod = built.pods[name]
            [container] = pod["spec"]["containers"]
            assert built.environment(pod)[variable] == ":9464"
            assert [port["containerPort"] for port in container["ports"] if port["name"] == "metrics"] == [9464]

    def test_the_runner_is_reached_and_probed_over_grpc(self, built: Built) -> None:
        pod, service = built.pods["porchflow-function-runner"], built.of("Service")["function-runner"]
        [container] = pod["spec"]["containers"]
        assert built.environment(pod)["PORCHFLOW_FUNCTION_RUNNER_LISTEN"].endswith(":9445")
        assert container["livenessProbe"]["grpc"] == container["readinessProbe"]["grpc"] == {"port": 9445}
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        [port] = service["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (9445, "grpc")

    def test_the_content_api_is_where_the_api_server_looks(self, built: Built) -> None:
        pod, service = built.pods["porchflow-content-api"], built.of("Service")["porchflow-content-api"]
        apiservice = built.of("APIService")["v1alpha1.porch.kpt.dev"]["spec"]
        reference = {"name": service["metadata"]["name"], "namespace": service["metadata"]["namespace"], "port": 443}
        assert apiservice["service"] == reference
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        [port] = service["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (443, "https")
        [container] = pod["spec"]["containers"]
        environment = built.environment(pod)
        assert [each["containerPort"] for each in container["ports"] if each["name"] == "https"] == [8443]
        assert environment["PORCHFLOW_CONTENT_ADDRESS"] == ":8443"
        assert environment["PORCHFLOW_CONTENT_SERVICE"] == "porch-system/porchflow-content-api"
        # It tells these two itself; applying the manifests again must not undo it.
        assert "caBundle" not in apiservice
        assert "data" not in built.of("Secret")["porchflow-content-api-tls"]
        assert "insecureSkipTLSVerify" not in apiservice

    def test_it_writes_only_where_it_may(self, built: Built) -> None:
        for pod in built.pods.values():
            [container] = pod["spec"]["containers"]
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            empty = {volume["name"] for volume in pod["spec"]["volumes"] if "emptyDir" in volume}
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert "/tmp" in mounts
            assert set(mounts.values()) <= empty
            cache = built.environment(pod).get("GIT_CACHE_DIR")
            assert cache is None or cache in mounts

    def test_it_has_resources(self, built: Built) -> None:
        for pod in built.pods.values():
            resources = pod["spec"]["containers"][0]["resources"]
            assert resources["requests"].keys() == {"cpu", "memory"}
            assert "memory" in resources["limits"]

    def test_only_those_that_use_kubernetes_get_a_token(self, built: Built) -> None:
        accounts = built.of("ServiceAccount")
        assert {pod["spec"]["serviceAccountName"] for pod in built.pods.values()} == set(PERMISSIONS) == set(accounts)
        for account, grants in PERMISSIONS.items():
            assert accounts[account].get("automountServiceAccountToken", True) is bool(grants)

    def test_no_service_becomes_a_setting(self, built: Built) -> None:
        assert all(pod["spec"]["enableServiceLinks"] is False for pod in built.pods.values())

    def test_all_run_the_same_image(self, built: Built) -> None:
        images = {pod["spec"]["containers"][0]["image"] for pod in built.pods.values()}
        assert images == {"porchflow:0.1.0"}


class TestOverlay:
    def test_many_workers_are_the_base_with_more_of_them(self, built: Built, kubectl: Kubectl) -> None:
        many = Built(kubectl("kustomize", str(MANY_WORKERS)))
        replicas = {name: one["spec"]["replicas"] for name, one in many.of("Deployment").items()}
        assert replicas == {
            "porchflow-watcher": 1,
            "porchflow-worker": 4,
            "porchflow-function-runner": 3,
            "porchflow-content-api": 2,
        }
        assert many.pods == built.pods
        for budget in many.of("PodDisruptionBudget").values():
            labels = budget["spec"]["selector"]["matchLabels"].items()
            assert any(labels <= pod["metadata"]["labels"].items() for pod in many.pods.values())

    def test_everything_of_the_base_is_there(self, built: Built, kubectl: Kubectl) -> None:
        many = Built(kubectl("kustomize", str(MANY_WORKERS)))
        assert {_identity(one) for one in built.manifests} <= {_identity(one) for one in many.manifests}
        assert set(built.of("Namespace")) == {"porch-system", "porch-fn-system"}
        crds = {path.stem for path in (DEPLOY / "crds").glob("*.yaml")}
        assert len(built.of("CustomResourceDefinition")) == len(crds) == 3


@pytest.fixture(scope="module")
def overlay(kubectl: Kubectl) -> Built:
    return Built(kubectl("kustomize", str(CERT_MANAGER)))


class TestCertManager:
    """Without cert-manager in the test's cluster: what kustomize makes of the overlay."""

    def test_the_content_api_serves_with_its_certificate(self, overlay: Built) -> None:
        pod = overlay.pods["porchflow-content-api"]
        [container] = pod["spec"]["containers"]
        environment = overlay.environment(pod)
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "tls"]
        [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "tls"]
        certificate = overlay.of("Certificate")["porchflow-content-api"]["spec"]
        assert volume["secret"]["secretName"] == certificate["secretName"]
        assert environment["PORCHFLOW_CONTENT_TLS_CERT"] == f"{mount['mountPath']}/tls.crt"
        assert environment["PORCHFLOW_CONTENT_TLS_KEY"] == f"{mount['mountPath']}/tls.key"
        assert "PORCHFLOW_CONTENT_SERVICE" not in environment
        assert certificate["dnsNames"] == ["porchflow-content-api.porch-system.svc"]

    def test_the_api_server_is_told_by_cert_manager(self, overlay: Built) -> None:
        annotations = overlay.of("APIService")["v1alpha1.porch.kpt.dev"]["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": "porch-system/porchflow-content-api"}

    def test_the_content_api_may_do_less(self, overlay: Built, built: Built) -> None:
        own = {
            target
            for target, _ in _granted(built, "porchflow-content-api") - _granted(overlay, "porchflow-content-api")
        }
        assert own == {
            (CLUSTER, "apiservices.apiregistration.k8s.io:v1alpha1.porch.kpt.dev"),
            ("--namespace=porch-system", "secrets:porchflow-content-api-tls"),
        }
        assert overlay.of("Secret") == {}

    def test_all_else_is_the_base(self, overlay: Built, built: Built) -> None:
        for name in ("porchflow-worker", "porchflow-watcher", "porchflow-function-runner"):
            assert overlay.pods[name] == built.pods[name]
        theirs, ours = ({_identity(one) for one in each.manifests} for each in (overlay, built))
        assert {kind for kind, _, _ in theirs - ours} == {"Certificate", "Issuer"}
        assert {name for _, _, name in ours - theirs} == {
            "porchflow-content-api-certificate",
            "porchflow-content-api-tls",
        }


def _identity(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata.get("namespace", ""), metadata["name"]


class TestWebhooks:
    def test_the_service_leads_to_where_the_watcher_listens(self, kubectl: Kubectl, built: Built) -> None:
        webhooks = Built(kubectl("kustomize", str(WEBHOOKS)))
        [container] = webhooks.pods["porchflow-watcher"]["spec"]["containers"]
        service = webhooks.of("Service")["porchflow-webhooks"]["spec"]
        assert service["selector"].items() <= webhooks.pods["porchflow-watcher"]["metadata"]["labels"].items()
        [port] = [each for each in container["ports"] if each["name"] == service["ports"][0]["targetPort"]]
        variables = {each["name"]: each for each in container["env"]}
        assert variables["PORCHFLOW_WEBHOOK_ADDRESS"]["value"] == f":{port['containerPort']}"
        named = variables["PORCHFLOW_WEBHOOK_SECRET"]["valueFrom"]["secretKeyRef"]
        assert named == {"name": "porchflow-webhooks", "key": "secret"}
        assert set(variables) <= {variable_of(name, field) for name, field in Settings.model_fields.items()}
        theirs, ours = ({_identity(one) for one in each.manifests} for each in (webhooks, built))
        assert {name for _, _, name in theirs ^ ours} == {"porchflow-webhooks"}


class TestFunctionPods:
    def test_the_runner_may_do_more_and_nothing_else_changes(self, kubectl: Kubectl, built: Built) -> None:
        overlay = Built(kubectl("kustomize", str(FUNCTION_PODS)))
        pods, template = "pods", "podtemplates:base-pod-template"
        more = {pods: "get list watch create patch delete", template: "list watch", "podtemplates": "create"}
        assert _granted(overlay, "porchflow-function-runner") - _granted(built, "porchflow-function-runner") == {
            (("--namespace=porch-fn-system", target), verb) for target, verbs in more.items() for verb in verbs.split()
        }
        for name in ("porchflow-worker", "porchflow-watcher", "porchflow-content-api"):
            assert overlay.pods[name] == built.pods[name]
            assert _granted(overlay, name) == _granted(built, name)
        theirs, ours = ({_identity(one) for one in each.manifests} for each in (overlay, built))
        assert {name for _, _, name in theirs ^ ours} == {"porchflow-function-pods"}

    def test_its_settings_are_known(self, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
        overlay = Built(kubectl("kustomize", str(FUNCTION_PODS)))
        for name, value in overlay.environment(overlay.pods["porchflow-function-runner"]).items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        assert settings.wrapper_server_image
        assert settings.pod_namespace == settings.function_config_namespace == "porch-fn-system"

    def test_only_the_runner_reaches_the_pods(self, kubectl: Kubectl) -> None:
        overlay = Built(kubectl("kustomize", str(FUNCTION_PODS)))
        policy = overlay.of("NetworkPolicy")["porchflow-function-pods"]["spec"]
        assert policy["podSelector"]["matchLabels"] == {OWNED_LABEL: OWNER}
        assert [each["key"] for each in policy["podSelector"]["matchExpressions"]] == [IMAGE_LABEL]
        [rule] = policy["ingress"]
        assert rule["ports"] == [{"port": PORT}]
        [peer] = rule["from"]
        runner = overlay.pods["porchflow-function-runner"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= runner.items()


class TestPrivateRegistries:
    def test_who_asks_registries_has_the_credentials(self, kubectl: Kubectl) -> None:
        overlay = Built(kubectl("kustomize", str(PRIVATE_REGISTRIES)))
        for name in ("porchflow-function-runner", "porchflow-worker"):
            pod = overlay.pods[name]
            [container] = pod["spec"]["containers"]
            [mount] = [each for each in container["volumeMounts"] if each["name"] == "registries"]
            [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "registries"]
            credentials = overlay.environment(pod)["PORCHFLOW_REGISTRY_CREDENTIALS"]
            assert credentials == f"{mount['mountPath']}/.dockerconfigjson", "the key of a pull secret"
            # A file that is mounted by its own path would never be renewed.
            assert "subPath" not in mount
            assert volume["secret"] == {"secretName": "porchflow-registries"}

    def test_all_else_is_the_overlay_of_function_pods(self, kubectl: Kubectl) -> None:
        theirs, ours = (Built(kubectl("kustomize", str(each))) for each in (PRIVATE_REGISTRIES, FUNCTION_PODS))
        changed = {"porchflow-function-runner", "porchflow-worker"}
        assert [each for each in theirs.manifests if each["metadata"]["name"] not in changed] == [
            each for each in ours.manifests if each["metadata"]["name"] not in changed
        ]


class TestBesidePorch:
    def test_nothing_of_porchs_is_touched(self, kubectl: Kubectl, built: Built) -> None:
        beside = Built(kubectl("kustomize", str(BESIDE_PORCH)))
        assert beside.settings["PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY"] == "true"
        assert not beside.of("APIService")
        assert {name for _, _, name in map(_identity, beside.manifests) if "content-api" in name} == set()
        # Porch's objects in these namespaces are called porch-..., function-runner and api.
        shared = {"Namespace", "CustomResourceDefinition"}
        ours = {name for kind, _, name in map(_identity, beside.manifests) if kind not in shared}
        assert {name for name in ours if not name.startswith("porchflow-")} == set()
        [service] = beside.of("Service")
        assert beside.settings["FUNCTION_RUNNER_ADDRESS"] == f"{service}.porch-system:9445"
        assert beside.pods.keys() == built.pods.keys() - {"porchflow-content-api"}
