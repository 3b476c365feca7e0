"""The kinds of the manifests, in the order in which they are applied."""

from typing import Final

from porchflow.kube import kinds
from porchflow.kube.client import Object
from porchflow.kube.kinds import Resource

_RBAC: Final = ("rbac.authorization.k8s.io", "v1")
_CERT_MANAGER: Final = ("cert-manager.io", "v1")
_MONITORING: Final = ("monitoring.coreos.com", "v1")
_ADMISSION: Final = ("admissionregistration.k8s.io", "v1")

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
STATEFULSETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMONSETS: Final = Resource("apps", "v1", "daemonsets", "DaemonSet")
CLUSTERROLEBINDINGS: Final = Resource(*_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

_ORDER: Final = (
    kinds.NAMESPACES,
    kinds.CUSTOMRESOURCEDEFINITIONS,
    Resource("", "v1", "serviceaccounts", "ServiceAccount"),
    kinds.CONFIGMAPS,
    kinds.SECRETS,
    Resource(*_RBAC, "clusterroles", "ClusterRole", namespaced=False),
    Resource(*_RBAC, "roles", "Role"),
    CLUSTERROLEBINDINGS,
    Resource(*_RBAC, "rolebindings", "RoleBinding"),
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    kinds.VALIDATINGADMISSIONPOLICIES,
    kinds.MUTATINGADMISSIONPOLICIES,
    kinds.VALIDATINGADMISSIONPOLICYBINDINGS,
    kinds.MUTATINGADMISSIONPOLICYBINDINGS,
    Resource(*_CERT_MANAGER, "issuers", "Issuer"),
    Resource(*_CERT_MANAGER, "certificates", "Certificate"),
    kinds.SERVICES,
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    DEPLOYMENTS,
    kinds.APISERVICES,
    Resource(*_MONITORING, "podmonitors", "PodMonitor"),
    Resource(*_MONITORING, "prometheusrules", "PrometheusRule"),
)
"""Each after those that it needs: the API server forwards to the content API only once that is on its way."""

_BY_KIND: Final = {(each.api_version, each.kind): place for place, each in enumerate(_ORDER)}


def resource_of(manifest: Object) -> Resource:
    """Return how the API server addresses a manifest's kind."""
    return _ORDER[_place(manifest)]


def in_order(manifests: list[Object]) -> list[Object]:
    """Return manifests in the order in which they are applied; those of one kind stay in theirs."""
    return sorted(manifests, key=_place)


def _place(manifest: Object) -> int:
    return _BY_KIND[manifest["apiVersion"], manifest["kind"]]
