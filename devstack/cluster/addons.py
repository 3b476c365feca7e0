"""What every cluster has besides its nodes, and what porchflow expects beside it: DNS and Temporal, as Services."""

from typing import Any

from porchflow.devstack.cluster.layout import (
    DNS_PORT,
    DNS_SERVICE_ADDRESS,
    NODE_ADDRESS,
    TEMPORAL_PORT,
)

TEMPORAL_NAMESPACE = "temporal"


def addons() -> list[dict[str, Any]]:
    """Return the objects; CoreDNS and Temporal run on the node, so their Services have the node's address."""
    return [
        _role(),
        _binding(),
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEMPORAL_NAMESPACE}},
        *_service(
            "kube-system", "kube-dns", {"dns": ("UDP", DNS_PORT), "dns-tcp": ("TCP", DNS_PORT)}, DNS_SERVICE_ADDRESS
        ),
        *_service(TEMPORAL_NAMESPACE, "temporal-frontend", {"rpc": ("TCP", TEMPORAL_PORT)}),
    ]


def _role() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    }


def _binding() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
    }


def _service(
    namespace: str, name: str, ports: dict[str, tuple[str, int]], address: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a Service without pods, and its one address.

    Args:
        namespace: Of both.
        name: Of both.
        ports: Protocol and port by name.
        address: Of the Service; None lets the API server choose.
    """
    metadata = {"name": name, "namespace": namespace}
    listed = [{"name": key, "protocol": protocol, "port": port} for key, (protocol, port) in ports.items()]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": listed, **({"clusterIP": address} if address else {})},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
        "ports": listed,
    }
    return service, slice_
