"""The components of deploy/, in a kustomization of one's own."""

from pathlib import Path

import pytest

from porchflow.cli.settings import load_settings
from tests.deploy.manifests import DEPLOY, Built, Manifest, identity, with_components
from tests.kubectl import Kubectl

COMPONENTS = sorted(path.parent.name for path in (DEPLOY / "components").glob("*/kustomization.yaml"))
CERT_MANAGER = "function-runner-mtls-cert-manager"


def test_the_api_server_takes_them_all_at_once(kubectl: Kubectl, tmp_path: Path) -> None:
    chosen = [name for name in COMPONENTS if name != CERT_MANAGER]
    assert len(chosen) >= 4
    built = with_components(kubectl, tmp_path, *chosen)
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEPLOY / "namespaces"))
    flags = ("--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server")
    told = kubectl("apply", "-k", str(tmp_path / "own"), *flags)
    assert len(told.splitlines()) == len(built.manifests)


@pytest.mark.parametrize("name", ["function-runner-mtls", CERT_MANAGER])
class TestMutualTls:
    def test_both_sides_show_and_ask_for_certificates(
        self, kubectl: Kubectl, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secure = with_components(kubectl, tmp_path, name)
        for pod_name, wanted in (
            ("porchflow-function-runner", ("tls_cert", "tls_key", "client_ca")),
            ("porchflow-worker", ("ca", "client_cert", "client_key")),
        ):
            with monkeypatch.context() as patch:
                for variable, value in secure.environment(secure.pods[pod_name]).items():
                    patch.setenv(variable, value)
                settings = load_settings()
            groups = (settings.runner_listen, settings.runner_client)
            files = [next(getattr(group, field) for group in groups if hasattr(group, field)) for field in wanted]
            folder, secret = _mounted(secure.pods[pod_name])
            assert {str(file) for file in files} == {f"{folder}/{key}" for key in ("tls.crt", "tls.key", "ca.crt")}
            assert secret == f"{pod_name}-tls"

    def test_the_kubelet_probes_without_tls(self, kubectl: Kubectl, tmp_path: Path, name: str) -> None:
        secure = with_components(kubectl, tmp_path, name)
        [container] = secure.pods["porchflow-function-runner"]["spec"]["containers"]
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe] == {"tcpSocket": {"port": "grpc"}, "timeoutSeconds": 5}

    def test_nothing_else_changes(self, kubectl: Kubectl, tmp_path: Path, built: Built, name: str) -> None:
        secure = with_components(kubectl, tmp_path, name)
        theirs, ours = ({identity(one) for one in each.manifests} for each in (secure, built))
        assert {kind for kind, _, _ in theirs ^ ours} <= {"Issuer", "Certificate"}
        for other in ("porchflow-watcher", "porchflow-content-api"):
            assert secure.pods[other] == built.pods[other]


def test_cert_manager_fills_the_secrets_for_the_name_that_workers_call(kubectl: Kubectl, tmp_path: Path) -> None:
    secure = with_components(kubectl, tmp_path, CERT_MANAGER)
    certificates = secure.of("Certificate")
    host = secure.settings["FUNCTION_RUNNER_ADDRESS"].partition(":")[0]
    assert host in certificates["porchflow-function-runner"]["spec"]["dnsNames"]
    for name in ("porchflow-function-runner", "porchflow-worker"):
        spec = certificates[name]["spec"]
        assert spec["secretName"] == _mounted(secure.pods[name])[1]
        assert spec["issuerRef"]["name"] in secure.of("Issuer")
    authority = secure.of("Issuer")["porchflow-function-runner"]["spec"]["ca"]["secretName"]
    assert authority == certificates["porchflow-function-runner-authority"]["spec"]["secretName"]


def _mounted(pod: Manifest) -> tuple[str, str]:
    """Return where certificates are, and the Secret that they are of."""
    [container] = pod["spec"]["containers"]
    [mount] = [each for each in container["volumeMounts"] if each["name"] == "runner-tls"]
    [volume] = [each for each in pod["spec"]["volumes"] if each["name"] == "runner-tls"]
    # A file that is mounted by its own path would never be renewed.
    assert "subPath" not in mount
    return mount["mountPath"], volume["secret"]["secretName"]
