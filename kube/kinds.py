"""The kinds of object that porchflow reads and writes, and their addresses at the API server."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from porchflow.api import names


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of Kubernetes object, as the API server addresses it.

    Attributes:
        group: API group; empty for the core group.
        version: Version of the group.
        plural: The resource's name in paths, such as `packagerevisions`.
        kind: The name in manifests, such as `PackageRevision`.
        namespaced: Whether objects live in a namespace.
        metadata_only: Whether reads request the metadata of objects alone.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    metadata_only: bool = False

    @property
    def api_version(self) -> str:
        """The value of `apiVersion` in a manifest."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of one object, or of the collection where no name is given.

        Args:
            namespace: None addresses the objects of all namespaces.
            name: The object's name; percent-encoded here.
            subresource: Such as `status`; needs a name.

        Raises:
            ValueError: A name that can be no object's: with it the path would address something else.
        """
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", _segment(namespace)]
        parts.append(self.plural)
        if name is not None:
            parts.append(_segment(name))
        if subresource is not None:
            parts.append(_segment(subresource))
        return "/" + "/".join(parts)

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _segment(text: str) -> str:
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot name a Kubernetes object")
    return quote(text, safe="")


PACKAGEREVISIONS: Final = Resource(
    names.PORCH_GROUP, names.PACKAGE_REVISION_VERSION, names.PACKAGE_REVISION_PLURAL, names.PACKAGE_REVISION_KIND
)
PACKAGEREVISIONRESOURCES: Final = Resource(
    names.PORCH_GROUP,
    names.CONTENT_VERSION,
    names.PACKAGE_REVISION_RESOURCES_PLURAL,
    names.PACKAGE_REVISION_RESOURCES_KIND,
)
REPOSITORIES: Final = Resource(names.CONFIG_GROUP, names.CONFIG_VERSION, names.REPOSITORY_PLURAL, names.REPOSITORY_KIND)
FUNCTIONCONFIGS: Final = Resource(
    names.CONFIG_GROUP, names.CONFIG_VERSION, names.FUNCTION_CONFIG_PLURAL, names.FUNCTION_CONFIG_KIND
)
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
SECRET_METADATA: Final = Resource("", "v1", "secrets", "Secret", metadata_only=True)
"""Secrets without their contents."""
CONFIGMAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
EVENTS: Final = Resource("", "v1", "events", "Event")
PODS: Final = Resource("", "v1", "pods", "Pod")
PODTEMPLATES: Final = Resource("", "v1", "podtemplates", "PodTemplate")
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CUSTOMRESOURCEDEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
VALIDATINGADMISSIONPOLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
VALIDATINGADMISSIONPOLICYBINDINGS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
MUTATINGADMISSIONPOLICIES: Final = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy", namespaced=False
)
MUTATINGADMISSIONPOLICYBINDINGS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    namespaced=False,
)
VALIDATINGWEBHOOKCONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
MUTATINGWEBHOOKCONFIGURATIONS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
SERVICES: Final = Resource("", "v1", "services", "Service")
APISERVICES: Final = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
SUBJECTACCESSREVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELFSUBJECTACCESSREVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
