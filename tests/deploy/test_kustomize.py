"""The manifests of deploy/: what kustomize makes of them, and what the real API server says to it."""

import json
from pathlib import Path

import pytest

from porchflow.cli.doctor.permissions import PERMISSIONS as EXPECTED
from porchflow.cli.main import main
from porchflow.cli.settings import load_settings
from tests.deploy.manifests import (
    BASE,
    CLUSTER,
    COMPONENTS,
    NAMESPACES,
    VERSION,
    Built,
    Manifest,
    granted,
    own_kustomization,
    with_components,
)
from tests.kubectl import Kubectl, KubectlError

NEED_OTHER_KINDS = {"cert-manager", "function-runner-mtls-cert-manager", "monitoring"}
"""Components with kinds that the API server of the tests does not serve."""


SERVER_SIDE = ["--server-side", "--force-conflicts"]
"""As the pages have it. A client-side apply takes away only fields that it set itself, so it is tried with the base."""


@pytest.fixture(scope="module")
def applied(kubectl: Kubectl, built: Built) -> Built:
    # The aggregated API only with --dry-run: nothing would answer for it here, where other tests look for it.
    others = "--selector=app.kubernetes.io/component!=aggregated-api"
    apply = ("apply", "--server-side", "--force-conflicts", "--validate=strict")
    kubectl(*apply, "-f", str(NAMESPACES))
    kubectl(*apply, "-k", str(BASE), others)
    return built


class TestServer:
    @pytest.mark.usefixtures("applied")
    @pytest.mark.parametrize(
        ("name", "side"),
        [*((name, SERVER_SIDE) for name in ["", *COMPONENTS] if name not in NEED_OTHER_KINDS), ("", [])],
    )
    def test_everything_is_accepted(self, kubectl: Kubectl, tmp_path: Path, name: str, side: list[str]) -> None:
        names = [name] if name else []
        built = with_components(kubectl, tmp_path, *names)
        own = own_kustomization(tmp_path, *names)
        told = kubectl("apply", "-k", str(own), *side, "--validate=strict", "--dry-run=server")
        assert len(told.splitlines()) == len(built.manifests)

    def test_it_is_applied(self, applied: Built, kubectl: Kubectl) -> None:
        found = kubectl("get", "deployments", "--namespace", "porchflow-system", "-o", "name").split()
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

    @pytest.mark.parametrize("side", [(), ("--server-side", "--force-conflicts")], ids=["client", "server"])
    def test_a_watcher_of_a_version_with_another_strategy_is_replaced(
        self, applied: Built, kubectl: Kubectl, namespace: str, side: tuple[str, ...]
    ) -> None:
        watcher = json.loads(json.dumps(applied.of("Deployment")["porchflow-watcher"]))
        watcher["metadata"]["namespace"] = namespace
        strategy = watcher["spec"].pop("strategy")
        kubectl("apply", *side, "-f", "-", input=json.dumps(watcher))
        kubectl(
            "apply", *side, "-f", "-", input=json.dumps(watcher | {"spec": {**watcher["spec"], "strategy": strategy}})
        )
        found = json.loads(kubectl("get", "deployment", "porchflow-watcher", "-n", namespace, "-o", "json"))
        assert found["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
        }, "the next one starts when the last one stops"


def _create_pod(kubectl: Kubectl, name: str, spec: Manifest) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "porchflow-system"}, "spec": spec}
    kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=json.dumps(pod))


PERMISSIONS = {
    account: {
        (f"--namespace={namespace}" if namespace else CLUSTER, target): verbs
        for (namespace, target), verbs in grants.items()
    }
    for account, grants in EXPECTED.items()
}
"""All that each process may do, as kubectl words it."""


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
        assert {account: granted(built, account) for account in PERMISSIONS} == {
            account: {(target, verb) for target, verbs in grants.items() for verb in verbs.split()}
            for account, grants in PERMISSIONS.items()
        }

    @pytest.mark.usefixtures("applied")
    @pytest.mark.parametrize(
        ("account", "verb", "resource", "scope"),
        [
            ("porchflow-watcher", "get", "secrets", CLUSTER),
            ("porchflow-watcher", "list", "secrets", CLUSTER),
            ("porchflow-watcher", "watch", "secrets", CLUSTER),
            ("porchflow-watcher", "patch", "packagerevisions.porch.kpt.dev", CLUSTER),
            ("porchflow-watcher", "create", "leases.coordination.k8s.io", "--namespace=porchflow-system"),
            ("porchflow-worker", "list", "secrets", CLUSTER),
            ("porchflow-worker", "deletecollection", "packagerevisions.porch.kpt.dev", CLUSTER),
            ("porchflow-worker", "create", "pods", CLUSTER),
            ("porchflow-worker", "delete", "repositories.config.porch.kpt.dev", CLUSTER),
            ("porchflow-content-api", "patch", "secrets", "--namespace=porchflow-system"),
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
    user = f"--as=system:serviceaccount:porchflow-system:{account}"
    try:
        return kubectl("auth", "can-i", verb, name, *part, scope, user).strip() == "yes"
    except KubectlError as failure:
        if not str(failure).rstrip().endswith("no"):
            raise
        return False


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
            assert settings.temporal.address == "temporal-frontend.temporal:7233"
            assert settings.runner_client.address == "function-runner.porchflow-system:9445"

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
        assert environment["PORCHFLOW_CONTENT_SERVICE"] == "porchflow-system/porchflow-content-api"
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
        assert images == {f"porchflow:{VERSION}"}
