"""Fields that hold the name of another resource, by kind: kustomize's name reference table."""

from typing import NamedTuple

from porchflow.functions.builtin.toolkit.fields import FieldSpec, spec


class Reference(NamedTuple):
    """A kind of resource that others name.

    Attributes:
        target: The kind, as a field specification of its name.
        referrers: Fields that hold such a name: as a scalar, a list of scalars, or mappings with `name`.
    """

    target: FieldSpec
    referrers: tuple[FieldSpec, ...]


_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_WORKLOADS = ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job")
_POD_SPECS = {"Pod": "spec", "PodTemplate": "template/spec"} | dict.fromkeys(_WORKLOADS, "spec/template/spec")
_CRON_JOB = "spec/jobTemplate/spec/template/spec"


def _in_pods(*paths: str) -> tuple[FieldSpec, ...]:
    """Return fields of a pod's specification, in every kind that has one."""
    places = {**_POD_SPECS, "CronJob": _CRON_JOB}
    return tuple(spec(f"{prefix}/{path}", kind=kind) for kind, prefix in places.items() for path in paths)


def _in_templates(path: str) -> tuple[FieldSpec, ...]:
    """Return a field of a pod's specification in pods and in the controllers that kustomize knows for it."""
    kinds = ("StatefulSet", "Deployment", "ReplicationController", "Job", "DaemonSet")
    templates = (spec(f"spec/template/spec/{path}", kind=kind) for kind in kinds)
    return (spec(f"spec/{path}", kind="Pod"), *templates, spec(f"{_CRON_JOB}/{path}", kind="CronJob"))


def _in_containers(path: str) -> tuple[str, ...]:
    return (f"containers/{path}", f"initContainers/{path}")


_ROLES = (spec("rules/resourceNames", kind="Role"), spec("rules/resourceNames", kind="ClusterRole"))
_SCALED = (spec("spec/scaleTargetRef/name", kind="HorizontalPodAutoscaler"),)
_CONFIG_MAPS = (
    *_in_pods(
        "volumes/configMap/name",
        *_in_containers("env/valueFrom/configMapKeyRef/name"),
        *_in_containers("envFrom/configMapRef/name"),
        "volumes/projected/sources/configMap/name",
    ),
    spec("spec/configSource/configMap", kind="Node"),
    *_ROLES,
    spec(r"metadata/annotations/nginx.ingress.kubernetes.io\/fastcgi-params-configmap", kind="Ingress"),
)
_SECRETS = (
    *_in_pods(
        "volumes/secret/secretName",
        *_in_containers("env/valueFrom/secretKeyRef/name"),
        *_in_containers("envFrom/secretRef/name"),
        "imagePullSecrets/name",
        "volumes/projected/sources/secret/name",
    ),
    spec("spec/tls/secretName", kind="Ingress"),
    spec(r"metadata/annotations/ingress.kubernetes.io\/auth-secret", kind="Ingress"),
    spec(r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret", kind="Ingress"),
    spec(r"metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret", kind="Ingress"),
    spec("imagePullSecrets/name", kind="ServiceAccount"),
    *(
        spec(f"parameters/{name}", kind="StorageClass")
        for name in ("secretName", "adminSecretName", "userSecretName", "secretRef")
    ),
    *_ROLES,
    spec(
        "spec/template/spec/containers/env/valueFrom/secretKeyRef/name",
        group="serving.knative.dev",
        version="v1",
        kind="Service",
    ),
    spec("spec/azureFile/secretName", kind="PersistentVolume"),
)
_SERVICES = (
    spec("spec/serviceName", group="apps", kind="StatefulSet"),
    *(
        spec(f"spec/{path}", kind="Ingress")
        for path in (
            "rules/http/paths/backend/serviceName",
            "backend/serviceName",
            "rules/http/paths/backend/service/name",
            "defaultBackend/service/name",
        )
    ),
    spec("spec/service/name", group="apiregistration.k8s.io", kind="APIService"),
    spec("webhooks/clientConfig/service", group=_ADMISSION, kind="ValidatingWebhookConfiguration"),
    spec("webhooks/clientConfig/service", group=_ADMISSION, kind="MutatingWebhookConfiguration"),
)
_ROLE_BINDING = spec("roleRef/name", group=_RBAC, kind="RoleBinding")
_SUBJECTS = tuple(spec("subjects", group=_RBAC, kind=kind) for kind in ("RoleBinding", "ClusterRoleBinding"))


def _target(kind: str, *, group: str = "", version: str = "") -> FieldSpec:
    return spec("metadata/name", group=group, version=version, kind=kind)


NAME_REFERENCES: tuple[Reference, ...] = (
    *(
        Reference(_target(kind), _SCALED)
        for kind in ("Deployment", "ReplicationController", "ReplicaSet", "StatefulSet")
    ),
    Reference(_target("ConfigMap", version="v1"), _CONFIG_MAPS),
    Reference(_target("Secret", version="v1"), _SECRETS),
    Reference(_target("Service", version="v1"), _SERVICES),
    Reference(_target("Role", group=_RBAC), (_ROLE_BINDING,)),
    Reference(
        _target("ClusterRole", group=_RBAC),
        (_ROLE_BINDING, spec("roleRef/name", group=_RBAC, kind="ClusterRoleBinding")),
    ),
    Reference(_target("ServiceAccount", version="v1"), (*_SUBJECTS, *_in_templates("serviceAccountName"))),
    Reference(_target("PersistentVolumeClaim", version="v1"), _in_templates("volumes/persistentVolumeClaim/claimName")),
    Reference(
        _target("PersistentVolume", version="v1"),
        (spec("spec/volumeName", kind="PersistentVolumeClaim"), spec("rules/resourceNames", kind="ClusterRole")),
    ),
    Reference(
        _target("StorageClass", group="storage.k8s.io", version="v1"),
        (
            spec("spec/storageClassName", kind="PersistentVolume"),
            spec("spec/storageClassName", kind="PersistentVolumeClaim"),
            spec("spec/volumeClaimTemplates/spec/storageClassName", kind="StatefulSet"),
        ),
    ),
    Reference(_target("PriorityClass", group="scheduling.k8s.io", version="v1"), _in_templates("priorityClassName")),
    Reference(
        _target("IngressClass", group="networking.k8s.io", version="v1"),
        (spec("spec/ingressClassName", kind="Ingress"),),
    ),
    Reference(
        _target("ValidatingAdmissionPolicy", group=_ADMISSION),
        (spec("spec/policyName", group=_ADMISSION, kind="ValidatingAdmissionPolicyBinding"),),
    ),
)
"""The references that kustomize updates when a name changes."""
