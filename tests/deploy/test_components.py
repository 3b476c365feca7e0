"""The components of deploy/, in a kustomization of one's own."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from porchflow.cli.manifests.shipped import composed
from porchflow.cli.settings import load_settings
from tests.deploy.manifests import (
    COMPONENTS,
    DEPLOY,
    Built,
    Manifest,
    identity,
    own_kustomization,
    with_components,
)
from tests.kubectl import Kubectl

CERT_MANAGER = "function-runner-mtls-cert-manager"
TAKEN = [name for name in COMPONENTS if "cert-manager" not in name and name != "monitoring"]
"""Components whose kinds the API server of the tests serves."""

DOCS = DEPLOY.parent / "docs"
LISTS_BY = ("name", "mountPath", "containerPort", "port")


def alike(value: Any) -> Any:
    """A value whose lists of named items are in one order: components append to them."""
    if isinstance(value, dict):
        return {key: alike(each) for key, each in value.items()}
    if isinstance(value, list):
        items = [alike(each) for each in value]
        key = next((by for by in LISTS_BY if all(isinstance(each, dict) and by in each for each in items)), None)
        return sorted(items, key=lambda each: str(each[key])) if key else items
    return value


def by_identity(manifests: list[Manifest]) -> dict[tuple[str, str, str], Manifest]:
    found = {identity(one): alike(one) for one in manifests}
    assert len(found) == len(manifests), "no object twice"
    return found


class TestCombinations:
    @pytest.mark.parametrize("one", COMPONENTS)
    def test_every_pair_is_the_same_both_ways(self, one: str) -> None:
        for other in (name for name in COMPONENTS if name > one):
            assert by_identity(composed([one, other])) == by_identity(composed([other, one])), other

    @pytest.mark.parametrize("one", COMPONENTS)
    def test_each_is_what_kustomize_makes_of_it(self, kubectl: Kubectl, tmp_path: Path, one: str) -> None:
        """Alone, and after all others: only such a pair or chain of patches could differ."""
        for names in ([one], [*(name for name in COMPONENTS if name != one), one]):
            made = with_components(kubectl, tmp_path, *names).manifests
            assert by_identity(composed(names)) == by_identity(made)

    def test_all_in_any_order_are_what_kustomize_makes_of_them(self, kubectl: Kubectl, tmp_path: Path) -> None:
        for names in ([], COMPONENTS, COMPONENTS[::-1]):
            made = with_components(kubectl, tmp_path, *names).manifests
            assert by_identity(composed(names)) == by_identity(made)

    @given(names=st.lists(st.sampled_from(COMPONENTS), unique=True), data=st.data())
    @settings(max_examples=30, deadline=None)
    def test_any_combination_is_the_same_in_any_order(self, names: list[str], data: st.DataObject) -> None:
        other = data.draw(st.permutations(names))
        assert by_identity(composed(names)) == by_identity(composed(other))

    @given(names=st.lists(st.sampled_from(COMPONENTS), unique=True))
    @settings(max_examples=30, deadline=None)
    def test_no_component_undoes_another(self, names: list[str]) -> None:
        """Each setting of a component alone is there in every combination, unless the content API is."""
        whole = environments(composed(names))
        for name in names:
            for pod, variables in environments(composed([name])).items():
                if pod == "porchflow-content-api" and {"beside-porch", "cert-manager"} & set(names):
                    continue
                assert variables.items() <= whole[pod].items(), (name, pod)

    def test_the_api_server_takes_them_all_at_once(self, kubectl: Kubectl, tmp_path: Path) -> None:
        assert len(TAKEN) >= 10
        built = with_components(kubectl, tmp_path, *TAKEN)
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(DEPLOY / "namespaces"))
        flags = ("--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server")
        told = kubectl("apply", "-k", str(own_kustomization(tmp_path, *TAKEN)), *flags)
        assert len(told.splitlines()) == len(built.manifests)


def environments(manifests: list[Manifest]) -> dict[str, dict[str, str]]:
    """Variables of each process, with the settings that all of them read."""
    [config] = [one for one in manifests if one["metadata"]["name"].startswith("porchflow-settings")]
    return {
        one["metadata"]["name"]: {
            **config["data"],
            **{each["name"]: str(each) for each in one["spec"]["template"]["spec"]["containers"][0]["env"]},
        }
        for one in manifests
        if one["kind"] == "Deployment"
    }


def test_the_page_has_a_row_for_each() -> None:
    rows = [line for line in (DOCS / "operate" / "install.md").read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert set(COMPONENTS) <= named


def test_the_example_of_the_page_survives_components(kubectl: Kubectl, tmp_path: Path) -> None:
    [told] = re.findall(
        r"```yaml\n(# kustomization.yaml\n.*?)```", (DOCS / "operate" / "install.md").read_text(), re.DOTALL
    )
    own = tmp_path / "own"
    own.mkdir()
    deploy = os.path.relpath(DEPLOY, own.resolve())
    assert told.count("../porchflow/deploy") >= 3
    (own / "kustomization.yaml").write_text(told.replace("../porchflow/deploy", deploy))
    built = Built(kubectl("kustomize", str(own)))
    wanted = yaml.safe_load(told)
    components = [Path(each).name for each in wanted["components"]]
    assert set(components) <= set(COMPONENTS)
    literals = dict(each.split("=", 1) for each in wanted["configMapGenerator"][0]["literals"])
    assert literals.items() <= built.settings.items()
    [image] = wanted["images"]
    assert {pod["spec"]["containers"][0]["image"] for pod in built.pods.values()} == {
        f"{image['newName']}:{image['newTag']}"
    }
    for replica in wanted["replicas"]:
        assert built.of("Deployment")[replica["name"]]["spec"]["replicas"] == replica["count"]
    # What the components add is there, as `porchflow install` makes it of the same choice.
    alone = composed(components, settings=literals, image=f"{image['newName']}:{image['newTag']}")
    for one in alone:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = built.of("Deployment")[one["metadata"]["name"]]["spec"]["replicas"]
    assert by_identity(built.manifests) == by_identity(alone)


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
                loaded = load_settings()
            groups = (loaded.runner_listen, loaded.runner_client)
            files = [next(getattr(group, field) for group in groups if hasattr(group, field)) for field in wanted]
            folder, secret = _mounted(secure.pods[pod_name])
            assert {str(file) for file in files} == {f"{folder}/{key}" for key in ("tls.crt", "tls.key", "ca.crt")}
            assert secret == f"{pod_name}-tls"

    def test_the_kubelet_probes_without_tls(self, kubectl: Kubectl, tmp_path: Path, name: str) -> None:
        secure = with_components(kubectl, tmp_path, name)
        [container] = secure.pods["porchflow-function-runner"]["spec"]["containers"]
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe] == {"tcpSocket": {"port": "grpc"}, "timeoutSeconds": 5}
        assert container["startupProbe"].items() >= {"tcpSocket": {"port": "grpc"}}.items()
        assert "grpc" not in container["startupProbe"]

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
