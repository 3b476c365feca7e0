"""Who reaches whom, as the NetworkPolicies of deploy/ say: judged by Kubernetes' rules, since no network is there."""

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from porchflow.functions.pods.template import IMAGE_LABEL, OWNED_LABEL, OWNER
from tests.deploy.manifests import Built, Manifest, with_components
from tests.kubectl import Kubectl

SYSTEM, FUNCTIONS = "porchflow-system", "porch-fn-system"
METADATA, POD_NETWORK, PRIVATE_NODE, PUBLIC = "169.254.169.254", "10.244.0.7", "192.168.1.10", "198.51.100.7"
FUNCTION_POD = {OWNED_LABEL: OWNER, IMAGE_LABEL: "tool-v1"}


class Peer:
    """A pod of some namespace, or an address outside."""

    def __init__(self, namespace: str = "", labels: dict[str, str] | None = None, address: str = "") -> None:
        self.namespace, self.labels, self.address = namespace, labels or {}, address
        self.of_namespace = {"kubernetes.io/metadata.name": namespace}


class Network:
    """What the policies allow: nothing where one selects the pod, but what one of those that do names."""

    def __init__(self, built: Built) -> None:
        self._built = built
        self._policies = built.of("NetworkPolicy").values()

    def pod(self, name: str) -> Peer:
        return Peer(SYSTEM, self._built.pods[name]["metadata"]["labels"])

    def out(self, source: Peer, target: Peer, port: int) -> bool:
        return self._allows("Egress", source, target, port)

    def into(self, target: Peer, source: Peer, port: int) -> bool:
        return self._allows("Ingress", target, source, port)

    def _allows(self, direction: str, pod: Peer, other: Peer, port: int) -> bool:
        selecting = [
            each["spec"]
            for each in self._policies
            if direction in each["spec"]["policyTypes"]
            and each["metadata"]["namespace"] == pod.namespace
            and selects(each["spec"]["podSelector"], pod.labels)
        ]
        side = {"Egress": "to", "Ingress": "from"}[direction]
        rules = [rule for spec in selecting for rule in spec.get(direction.lower(), [])]
        return not selecting or any(
            ("ports" not in rule or port in [each["port"] for each in rule["ports"]])
            and (side not in rule or any(matches(peer, pod, other) for peer in rule[side]))
            for rule in rules
        )


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    assert not selector.keys() - {"matchLabels", "matchExpressions"}
    judged = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", []):
        assert each["operator"] in {"In", "Exists"}
        judged.append(each["key"] in labels and labels[each["key"]] in each.get("values", [labels[each["key"]]]))
    return all(judged)


def matches(peer: dict[str, Any], pod: Peer, other: Peer) -> bool:
    if "ipBlock" in peer:
        networks = [
            ipaddress.ip_network(text) for text in (peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", []))
        ]
        address = ipaddress.ip_address(other.address) if other.address else None
        inside = [address is not None and address in network for network in networks]
        return inside[0] and not any(inside[1:])
    if other.address:
        return False
    placed = (
        selects(peer["namespaceSelector"], other.of_namespace)
        if "namespaceSelector" in peer
        else other.namespace == pod.namespace
    )
    return placed and selects(peer.get("podSelector", {}), other.labels)


PROCESSES = ("porchflow-watcher", "porchflow-worker", "porchflow-function-runner", "porchflow-content-api")
STRANGER = Peer("team-a", {"app": "anything"})


@pytest.fixture(scope="module")
def network(built: Built) -> Network:
    return Network(built)


@pytest.fixture(scope="module")
def with_pods(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(with_components(kubectl, tmp_path_factory.mktemp("own"), "function-pods"))


@pytest.mark.parametrize("name", PROCESSES)
class TestEveryProcess:
    def test_no_stranger_reaches_it(self, network: Network, name: str) -> None:
        for port in (8081, 8082, 9445, 9464):
            assert not network.into(network.pod(name), STRANGER, port), port

    def test_metrics_are_for_namespaces_with_a_label(self, network: Network, name: str) -> None:
        monitoring = Peer("any")
        monitoring.of_namespace["metrics"] = "enabled"
        for port in (8081, 9464):
            assert network.into(network.pod(name), monitoring, port), port
        assert not network.into(network.pod(name), monitoring, 9445)

    def test_it_reaches_names_and_the_api_server(self, network: Network, name: str) -> None:
        pod = network.pod(name)
        assert network.out(pod, Peer("kube-system", {"k8s-app": "kube-dns"}), 53)
        assert network.out(pod, Peer(address=PRIVATE_NODE), 6443)
        assert network.out(pod, Peer(address=PUBLIC), 443)

    def test_it_reaches_neither_metadata_services_nor_the_clusters_pods(self, network: Network, name: str) -> None:
        pod = network.pod(name)
        for address in (METADATA, "fe80::1"):
            for port in (80, 443, 6443, 8080):
                assert not network.out(pod, Peer(address=address), port), (address, port)
        for address in (POD_NETWORK, PRIVATE_NODE, "172.20.0.1", "100.64.0.1", "fd00::1"):
            for port in (22, 80, 443, 3000, 7233):
                assert not network.out(pod, Peer(address=address), port), (address, port)
        assert not network.out(pod, STRANGER, 443)


class TestWhoTalksToWhom:
    def test_git(self, network: Network) -> None:
        reached = {name for name in PROCESSES if network.out(network.pod(name), Peer(address=PUBLIC), 22)}
        assert reached == {"porchflow-worker", "porchflow-content-api"}

    def test_temporal(self, network: Network, built: Built) -> None:
        host, _, port = built.settings["PORCHFLOW_TEMPORAL_ADDRESS"].partition(":")
        temporal = Peer(host.partition(".")[2], {"app": "temporal"})
        reached = {name for name in PROCESSES if network.out(network.pod(name), temporal, int(port))}
        assert reached == {"porchflow-watcher", "porchflow-worker"}

    def test_the_function_runner(self, network: Network) -> None:
        runner = network.pod("porchflow-function-runner")
        reaching = {name for name in PROCESSES if network.into(runner, network.pod(name), 9445)}
        assert reaching == {"porchflow-worker"}
        assert network.out(network.pod("porchflow-worker"), runner, 9445)
        assert network.into(runner, Peer("porch-system", {"app": "porch-server"}), 9445)

    def test_content_is_for_the_api_server(self, network: Network) -> None:
        assert network.into(network.pod("porchflow-content-api"), Peer(address=PRIVATE_NODE), 8443)

    def test_pods_of_functions(self, with_pods: Network) -> None:
        runner, function = with_pods.pod("porchflow-function-runner"), Peer(FUNCTIONS, FUNCTION_POD)
        assert with_pods.out(runner, function, 9446)
        assert with_pods.into(function, runner, 9446)
        assert not with_pods.into(function, STRANGER, 9446)
        assert not with_pods.into(function, with_pods.pod("porchflow-worker"), 9446)
        for target in (Peer(address=PUBLIC), Peer(address=METADATA), Peer("kube-system"), runner):
            for port in (53, 80, 443, 6443, 9445):
                assert not with_pods.out(function, target, port)
        # It asks registries.
        assert with_pods.out(runner, Peer(address=PUBLIC), 5000)
        assert not with_pods.out(runner, Peer(address=POD_NETWORK), 5000)
        assert not with_pods.out(runner, Peer(address=METADATA), 80)

    def test_webhooks(self, kubectl: Kubectl, tmp_path: Path) -> None:
        for built, name in (
            (with_components(kubectl, tmp_path, "webhooks"), "porchflow-watcher"),
            (with_components(kubectl, tmp_path, "webhooks-apart"), "porchflow-webhooks"),
        ):
            network = Network(built)
            assert network.into(network.pod(name), Peer("ingress-nginx"), 8082)
            assert not network.into(network.pod(name), Peer("ingress-nginx"), 8081)
            assert network.out(network.pod(name), Peer("temporal"), 7233)

    def test_an_api_server_at_a_private_address(self, kubectl: Kubectl, tmp_path: Path) -> None:
        network = Network(with_components(kubectl, tmp_path, "private-api-server"))
        for name in PROCESSES:
            assert network.out(network.pod(name), Peer(address=PRIVATE_NODE), 443)
            assert not network.out(network.pod(name), Peer(address=METADATA), 443)
            assert not network.out(network.pod(name), Peer(address=PRIVATE_NODE), 80)
