"""The components of deploy/: how each of them differs from the base."""

from operator import itemgetter
from pathlib import Path

import pytest

from porchflow.cli.doctor.permissions import PERMISSIONS
from porchflow.cli.settings import Settings, load_settings, settings_of
from porchflow.functions.pods.template import IMAGE_LABEL, OWNED_LABEL, OWNER, PORT
from tests.deploy.manifests import (
    CLUSTER,
    Built,
    Manifest,
    granted,
    identity,
    with_components,
)
from tests.kubectl import Kubectl


class TestManyWorkers:
    def test_many_workers_are_the_base_with_more_of_them(self, built: Built, kubectl: Kubectl, tmp_path: Path) -> None:
        many = with_components(kubectl, tmp_path, "many-workers")
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

    def test_everything_of_the_base_is_there(self, built: Built, kubectl: Kubectl, tmp_path: Path) -> None:
        many = with_components(kubectl, tmp_path, "many-workers")
        assert {identity(one) for one in built.manifests} <= {identity(one) for one in many.manifests}


@pytest.fixture(scope="module")
def changed(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return with_components(kubectl, tmp_path_factory.mktemp("own"), "cert-manager")


class TestCertManager:
    """Without cert-manager in the test's cluster: what kustomize makes of the component."""

    def test_the_content_api_serves_with_its_certificate(self, changed: Built) -> None:
        pod = changed.pods["porchflow-content-api"]
        [container] = pod["spec"]["containers"]
        environment = changed.environment(pod)
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "tls"]
        [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "tls"]
        certificate = changed.of("Certificate")["porchflow-content-api"]["spec"]
        assert volume["secret"]["secretName"] == certificate["secretName"]
        assert environment["PORCHFLOW_CONTENT_TLS_CERT"] == f"{mount['mountPath']}/tls.crt"
        assert environment["PORCHFLOW_CONTENT_TLS_KEY"] == f"{mount['mountPath']}/tls.key"
        assert "PORCHFLOW_CONTENT_SERVICE" not in environment
        assert certificate["dnsNames"] == ["porchflow-content-api.porchflow-system.svc"]

    def test_the_api_server_is_told_by_cert_manager(self, changed: Built) -> None:
        annotations = changed.of("APIService")["v1alpha1.porch.kpt.dev"]["metadata"]["annotations"]
        assert annotations == {"cert-manager.io/inject-ca-from": "porchflow-system/porchflow-content-api"}

    def test_the_content_api_may_do_less(self, changed: Built, built: Built) -> None:
        own = {
            target for target, _ in granted(built, "porchflow-content-api") - granted(changed, "porchflow-content-api")
        }
        assert own == {
            (CLUSTER, "apiservices.apiregistration.k8s.io:v1alpha1.porch.kpt.dev"),
            ("--namespace=porchflow-system", "secrets:porchflow-content-api-tls"),
        }
        assert changed.of("Secret") == {}

    def test_all_else_is_the_base(self, changed: Built, built: Built) -> None:
        for name in ("porchflow-worker", "porchflow-watcher", "porchflow-function-runner"):
            assert changed.pods[name] == built.pods[name]
        theirs, ours = ({identity(one) for one in each.manifests} for each in (changed, built))
        assert {kind for kind, _, _ in theirs - ours} == {"Certificate", "Issuer"}
        assert {name for _, _, name in ours - theirs} == {
            "porchflow-content-api-certificate",
            "porchflow-content-api-tls",
        }


class TestWebhooks:
    def test_the_service_leads_to_where_the_watcher_listens(
        self, kubectl: Kubectl, built: Built, tmp_path: Path
    ) -> None:
        webhooks = with_components(kubectl, tmp_path, "webhooks")
        [container] = webhooks.pods["porchflow-watcher"]["spec"]["containers"]
        service = webhooks.of("Service")["porchflow-webhooks"]["spec"]
        assert service["selector"].items() <= webhooks.pods["porchflow-watcher"]["metadata"]["labels"].items()
        [port] = [each for each in container["ports"] if each["name"] == service["ports"][0]["targetPort"]]
        variables = {each["name"]: each for each in container["env"]}
        assert variables["PORCHFLOW_WEBHOOK_ADDRESS"]["value"] == f":{port['containerPort']}"
        named = variables["PORCHFLOW_WEBHOOK_SECRET"]["valueFrom"]["secretKeyRef"]
        assert named == {"name": "porchflow-webhooks", "key": "secret"}
        assert set(variables) <= {setting.variable for setting in settings_of(Settings).values()}
        theirs, ours = ({identity(one) for one in each.manifests} for each in (webhooks, built))
        assert {name for _, _, name in theirs ^ ours} == {"porchflow-webhooks"}

    def test_the_process_that_the_internet_reaches_may_not_read_secrets(self, kubectl: Kubectl, tmp_path: Path) -> None:
        webhooks = with_components(kubectl, tmp_path, "webhooks")
        assert not _reads_secrets(webhooks, webhooks.pods["porchflow-watcher"])


class TestWatchOfSecrets:
    def test_only_then_may_the_watcher_read_secrets(self, kubectl: Kubectl, built: Built, tmp_path: Path) -> None:
        watching = with_components(kubectl, tmp_path, "watch-secrets")
        assert granted(watching, "porchflow-watcher") - granted(built, "porchflow-watcher") == {
            ((CLUSTER, "secrets"), "list"),
            ((CLUSTER, "secrets"), "watch"),
        }
        assert watching.environment(watching.pods["porchflow-watcher"])["PORCHFLOW_WATCH_SECRETS"] == "true"
        assert not _reads_secrets(built, built.pods["porchflow-watcher"])
        assert "PORCHFLOW_WATCH_SECRETS" not in built.environment(built.pods["porchflow-watcher"])

    def test_with_webhooks_too_another_process_takes_those(self, kubectl: Kubectl, tmp_path: Path) -> None:
        both = with_components(kubectl, tmp_path, "watch-secrets", "webhooks-apart")
        taking = both.pods["porchflow-webhooks"]
        assert not _reads_secrets(both, taking)
        assert _reads_secrets(both, both.pods["porchflow-watcher"])
        selector = both.of("Service")["porchflow-webhooks-apart"]["spec"]["selector"].items()
        reached = [name for name, pod in both.pods.items() if selector <= pod["metadata"]["labels"].items()]
        assert reached == ["porchflow-webhooks"]
        assert granted(both, "porchflow-webhooks") == {
            ((CLUSTER, target), verb)
            for (_, target), verbs in PERMISSIONS["porchflow-watcher"].items()
            for verb in verbs.split()
        }
        # It is the watcher that takes webhooks in all else, with a place for each of Temporal's credentials.
        temporal = ("temporal-mtls", "temporal-api-key", "temporal-encryption")
        [theirs], [ours] = (
            with_components(kubectl, tmp_path, name, *temporal).pods[pod]["spec"]["containers"]
            for name, pod in (("webhooks", "porchflow-watcher"), ("webhooks-apart", "porchflow-webhooks"))
        )
        for field, key in (("env", "name"), ("ports", "containerPort"), ("volumeMounts", "mountPath")):
            assert sorted(theirs.pop(field), key=itemgetter(key)) == sorted(ours.pop(field), key=itemgetter(key))
        assert theirs == ours


def _reads_secrets(built: Built, pod: Manifest) -> bool:
    account = pod["spec"]["serviceAccountName"]
    return any(target.startswith("secrets") for (_, target), _ in granted(built, account))


class TestTemporal:
    @pytest.mark.parametrize(
        ("changed", "secret"),
        [
            ("temporal-mtls", "porchflow-temporal-tls"),
            ("temporal-api-key", "porchflow-temporal-api-key"),
            ("temporal-encryption", "porchflow-temporal-encryption"),
        ],
    )
    def test_worker_and_watcher_read_the_credentials(
        self,
        kubectl: Kubectl,
        built: Built,
        changed: str,
        secret: str,
        tmp_path: Path,
    ) -> None:
        temporal = with_components(kubectl, tmp_path, changed)
        for name in ("porchflow-worker", "porchflow-watcher"):
            pod = temporal.pods[name]
            [volume] = [each for each in pod["spec"]["volumes"] if each.get("secret") == {"secretName": secret}]
            [container] = pod["spec"]["containers"]
            [mount] = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
            added = temporal.environment(pod).items() - built.environment(built.pods[name]).items()
            assert added
            for variable, path in added:
                assert variable in {setting.variable for setting in settings_of(Settings).values()}
                assert path.startswith(f"{mount['mountPath']}/")
        assert temporal.without_digests() == built.without_digests()


class TestFunctionPods:
    def test_the_runner_may_do_more_and_nothing_else_changes(
        self, kubectl: Kubectl, built: Built, tmp_path: Path
    ) -> None:
        changed = with_components(kubectl, tmp_path, "function-pods")
        pods, template = "pods", "podtemplates:base-pod-template"
        more = {pods: "get list watch create patch delete", template: "list watch", "podtemplates": "create"}
        assert granted(changed, "porchflow-function-runner") - granted(built, "porchflow-function-runner") == {
            (("--namespace=porch-fn-system", target), verb) for target, verbs in more.items() for verb in verbs.split()
        }
        for name in ("porchflow-worker", "porchflow-watcher", "porchflow-content-api"):
            assert changed.pods[name] == built.pods[name]
            assert granted(changed, name) == granted(built, name)
        theirs, ours = ({identity(one) for one in each.manifests} for each in (changed, built))
        assert {name for _, _, name in theirs ^ ours} == {"porchflow-function-pods", "porchflow-function-runner-pods"}

    def test_its_settings_are_known(self, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        changed = with_components(kubectl, tmp_path, "function-pods")
        for name, value in changed.environment(changed.pods["porchflow-function-runner"]).items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        assert settings.pods.wrapper_server_image
        assert settings.pods.pod_namespace == settings.runner.function_config_namespace == "porch-fn-system"

    def test_only_the_runner_reaches_the_pods(self, kubectl: Kubectl, tmp_path: Path) -> None:
        changed = with_components(kubectl, tmp_path, "function-pods")
        policy = changed.of("NetworkPolicy")["porchflow-function-pods"]["spec"]
        assert policy["podSelector"]["matchLabels"] == {OWNED_LABEL: OWNER}
        assert [each["key"] for each in policy["podSelector"]["matchExpressions"]] == [IMAGE_LABEL]
        [rule] = policy["ingress"]
        assert rule["ports"] == [{"port": PORT}]
        [peer] = rule["from"]
        runner = changed.pods["porchflow-function-runner"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= runner.items()


class TestPrivateRegistries:
    def test_who_asks_registries_has_the_credentials(self, kubectl: Kubectl, tmp_path: Path) -> None:
        changed = with_components(kubectl, tmp_path, "private-registries")
        for name in ("porchflow-function-runner", "porchflow-worker"):
            pod = changed.pods[name]
            [container] = pod["spec"]["containers"]
            [mount] = [each for each in container["volumeMounts"] if each["name"] == "registries"]
            [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "registries"]
            credentials = changed.environment(pod)["PORCHFLOW_REGISTRY_CREDENTIALS"]
            assert credentials == f"{mount['mountPath']}/.dockerconfigjson", "the key of a pull secret"
            # A file that is mounted by its own path would never be renewed.
            assert "subPath" not in mount
            assert volume["secret"] == {"secretName": "porchflow-registries"}

    def test_all_else_is_the_component_for_function_pods(self, kubectl: Kubectl, tmp_path: Path) -> None:
        theirs, ours = (
            with_components(kubectl, tmp_path, *each)
            for each in (("function-pods", "private-registries"), ("function-pods",))
        )
        changed = {"porchflow-function-runner", "porchflow-worker"}
        assert [each for each in theirs.manifests if each["metadata"]["name"] not in changed] == [
            each for each in ours.manifests if each["metadata"]["name"] not in changed
        ]


class TestNamespaceRegistries:
    def test_the_runner_may_read_no_secret_until_a_namespace_says_so(self, kubectl: Kubectl, tmp_path: Path) -> None:
        changed = with_components(kubectl, tmp_path, "function-pods", "namespace-registries")
        before = with_components(kubectl, tmp_path, "function-pods")
        runner = "porchflow-function-runner"
        assert granted(changed, runner) - granted(before, runner) == {
            (("--namespace=porch-fn-system", "secrets"), "create")
        }
        for name in ("porchflow-worker", "porchflow-watcher", "porchflow-content-api"):
            assert granted(changed, name) == granted(before, name)

    def test_the_role_for_namespaces_is_for_the_secret_of_the_setting(self, kubectl: Kubectl, tmp_path: Path) -> None:
        changed = with_components(kubectl, tmp_path, "function-pods", "namespace-registries")
        [rule] = changed.of("ClusterRole")["porchflow-function-images"]["rules"]
        for name in ("porchflow-function-runner", "porchflow-worker"):
            named = changed.environment(changed.pods[name])["PORCHFLOW_NAMESPACE_REGISTRY_SECRET"]
            assert rule == {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [named], "verbs": ["get"]}


class TestBesidePorch:
    def test_it_is_the_base_without_what_porch_answers_for(
        self, kubectl: Kubectl, built: Built, tmp_path: Path
    ) -> None:
        beside = with_components(kubectl, tmp_path, "beside-porch")
        more = {"PORCHFLOW_ANNOTATED_REPOSITORIES_ONLY": "true"}
        assert beside.settings == built.settings | more
        assert not beside.of("APIService")
        assert {name for _, _, name in map(identity, beside.manifests) if "content-api" in name} == set()
        assert beside.pods.keys() == built.pods.keys() - {"porchflow-content-api"}
