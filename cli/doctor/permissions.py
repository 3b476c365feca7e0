"""What each process may do at the API server, and whether the current credentials allow it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cli.doctor.findings import Check, Finding
from cli.settings import Settings
from kube.client import KubeClient
from kube.errors import KubeError
from kube.resources import Resource

SELFSUBJECTACCESSREVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

PERMISSIONS: Final[Mapping[str, Mapping[tuple[str, str], str]]] = {
    "porchflow-watcher": {
        ("", "packagerevisions.porch.kpt.dev"): "list watch",
        ("", "repositories.config.porch.kpt.dev"): "list watch",
        ("", "secrets"): "list watch",
    },
    "porchflow-worker": {
        ("", "packagerevisions.porch.kpt.dev"): "get list create patch delete reconcile",
        ("", "packagerevisions.porch.kpt.dev/status"): "patch",
        ("", "repositories.config.porch.kpt.dev"): "get list patch",
        ("", "repositories.config.porch.kpt.dev/status"): "patch",
        ("", "mutatingadmissionpolicies.admissionregistration.k8s.io:porchflow-records"): "get",
        ("", "mutatingadmissionpolicybindings.admissionregistration.k8s.io:porchflow-records"): "get",
        ("", "secrets"): "get",
        ("", "events"): "get create patch",
    },
    "porchflow-content-api": {
        ("", "packagerevisions.porch.kpt.dev"): "get list watch patch",
        ("", "repositories.config.porch.kpt.dev"): "get",
        ("", "secrets"): "get",
        ("", "subjectaccessreviews.authorization.k8s.io"): "create",
        ("", "apiservices.apiregistration.k8s.io:v1alpha1.porch.kpt.dev"): "get patch",
        ("porch-system", "secrets:porchflow-content-api-tls"): "get patch",
        ("kube-system", "configmaps:extension-apiserver-authentication"): "get list watch",
    },
    "porchflow-function-runner": {
        ("porch-fn-system", "functionconfigs.config.porch.kpt.dev"): "list watch",
        ("porch-fn-system", "functionconfigs.config.porch.kpt.dev/status"): "patch",
    },
}
"""All that each process may do, as `deploy/` grants it: (namespace, `plural.group/subresource:name`) to verbs.

The empty namespace means all of them, or those that porchflow works in.
"""

_WITHOUT_NAMESPACE = ("admissionregistration.k8s.io", "authorization.k8s.io", "apiregistration.k8s.io")


@dataclass(frozen=True)
class Right:
    """One thing that somebody may do, or not."""

    namespace: str
    verb: str
    target: str

    def __str__(self) -> str:
        return f"{self.verb} {self.target}" + (f" in namespace {self.namespace}" if self.namespace else "")

    def attributes(self) -> dict[str, str]:
        """Return it as an access review asks for it."""
        target, _, name = self.target.partition(":")
        target, _, subresource = target.partition("/")
        plural, _, group = target.partition(".")
        asked = {
            "namespace": self.namespace,
            "verb": self.verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
            "name": name,
        }
        return {key: value for key, value in asked.items() if value}


def rights_of(process: str, settings: Settings) -> list[Right]:
    """Return all that a process needs, with the settings it has.

    Args:
        process: A key of `PERMISSIONS` without `porchflow-`.
        settings: The namespaces it works in; whether the watcher looks at Secrets.
    """
    return list(_rights(PERMISSIONS[f"porchflow-{process}"], process, settings))


def _rights(grants: Mapping[tuple[str, str], str], process: str, settings: Settings) -> Iterator[Right]:
    for (namespace, target), verbs in grants.items():
        if process == "watcher" and target == "secrets" and not settings.watch_secrets:
            continue
        for each in _namespaces(namespace, target, settings.namespaces):
            for verb in verbs.split():
                yield Right(each, verb, target)


def _namespaces(namespace: str, target: str, chosen: Sequence[str]) -> Sequence[str]:
    group = target.partition(":")[0].partition(".")[2]
    if namespace or group in _WITHOUT_NAMESPACE:
        return (namespace,)
    return chosen or ("",)


async def may(kube: KubeClient, right: Right) -> bool:
    """Ask the API server whether the current credentials allow something.

    Raises:
        KubeError: It cannot be asked.
    """
    review: dict[str, Any] = {
        "apiVersion": SELFSUBJECTACCESSREVIEWS.api_version,
        "kind": SELFSUBJECTACCESSREVIEWS.kind,
        "spec": {"resourceAttributes": right.attributes()},
    }
    answer = await kube.create(SELFSUBJECTACCESSREVIEWS, review)
    return bool(answer["status"].get("allowed"))


async def check_permissions(kube: KubeClient, process: str, settings: Settings) -> list[Finding]:
    """Find what the current credentials lack to run a process."""
    check, rights = Check("permissions", process), rights_of(process, settings)
    try:
        answers = await asyncio.gather(*(may(kube, right) for right in rights))
    except KubeError as error:
        return [check.failure(str(error), "see whether the API server answers SelfSubjectAccessReviews")]
    missing = [str(right) for right, allowed in zip(rights, answers, strict=True) if not allowed]
    if not missing:
        return [check.ok(f"these credentials allow all {len(rights)} things that it does")]
    told = f"these credentials do not allow: {'; '.join(missing)}"
    return [check.failure(told, f"apply deploy/base, or bind ClusterRole porchflow-{process} to who runs it")]
