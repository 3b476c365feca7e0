"""Permissions that each process needs at the API server, and the check that an account has them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.processes.installation import CLUSTER
from porchflow.cli.settings import Settings
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, KubeError
from porchflow.kube.kinds import SELFSUBJECTACCESSREVIEWS, SUBJECTACCESSREVIEWS

PERMISSIONS: Final[Mapping[str, Mapping[tuple[str, str], str]]] = {
    "porchflow-watcher": {
        ("", "packagerevisions.porch.kpt.dev"): "list watch",
        ("", "repositories.config.porch.kpt.dev"): "list watch",
        ("", f"namespaces:{CLUSTER}"): "get",
    },
    "porchflow-worker": {
        ("", "packagerevisions.porch.kpt.dev"): "get list create patch delete reconcile",
        ("", "packagerevisions.porch.kpt.dev/status"): "patch",
        ("", "repositories.config.porch.kpt.dev"): "get list patch",
        ("", "repositories.config.porch.kpt.dev/status"): "patch",
        ("", "repositories.config.porch.kpt.dev/finalizers"): "update",
        ("", "mutatingadmissionpolicies.admissionregistration.k8s.io:porchflow-records"): "get",
        ("", "mutatingadmissionpolicybindings.admissionregistration.k8s.io:porchflow-records"): "get",
        ("", "validatingadmissionpolicies.admissionregistration.k8s.io:porchflow-secrets"): "get",
        ("", "validatingadmissionpolicybindings.admissionregistration.k8s.io:porchflow-secrets"): "get",
        ("", "validatingadmissionpolicies.admissionregistration.k8s.io:porchflow-subpackage-secrets"): "get",
        ("", "validatingadmissionpolicybindings.admissionregistration.k8s.io:porchflow-subpackage-secrets"): "get",
        ("", "secrets"): "get",
        ("", "namespaces"): "get",
        ("", "events"): "get create patch",
    },
    "porchflow-content-api": {
        ("", "packagerevisions.porch.kpt.dev"): "get list watch patch",
        ("", "repositories.config.porch.kpt.dev"): "get",
        ("", "secrets"): "get",
        ("", "subjectaccessreviews.authorization.k8s.io"): "create",
        ("", "apiservices.apiregistration.k8s.io:v1alpha1.porch.kpt.dev"): "get patch",
        ("porchflow-system", "secrets:porchflow-content-api-tls"): "get patch",
        ("kube-system", "configmaps:extension-apiserver-authentication"): "get list watch",
    },
    "porchflow-function-runner": {
        ("porch-fn-system", "functionconfigs.config.porch.kpt.dev"): "list watch",
        ("porch-fn-system", "functionconfigs.config.porch.kpt.dev/status"): "patch",
    },
}
"""Permissions of each process, as `deploy/` grants them: (namespace, `plural.group/subresource:name`) to verbs.

The empty namespace means all namespaces, or those that porchflow works in.
"""
_WATCH_OF_SECRETS: Final[Mapping[tuple[str, str], str]] = {("", "secrets"): "list watch"}
"""Permissions that the watcher needs in addition to watch Secrets, as the component `watch-secrets` grants them."""
_WITH_AN_ID: Final = frozenset({"watcher", "worker"})
"""Processes that use the id of the installation."""
_SYSTEM, _CONTENT_SERVICE, _FUNCTIONS = "porchflow-system", "porchflow-content-api", "porch-fn-system"
"""Names in `PERMISSIONS` that settings change."""

_WITHOUT_NAMESPACE = ("admissionregistration.k8s.io", "authorization.k8s.io", "apiregistration.k8s.io")


@dataclass(frozen=True)
class Right:
    """A verb on a resource; `target` is `plural.group/subresource:name`."""

    namespace: str
    verb: str
    target: str

    def __str__(self) -> str:
        return f"{self.verb} {self.target}" + (f" in namespace {self.namespace}" if self.namespace else "")

    def attributes(self) -> dict[str, str]:
        """Return the right as `resourceAttributes` of an access review."""
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


_ID_OF_THE_CLUSTER: Final = Right(CLUSTER, "get", f"namespaces:{CLUSTER}")
"""Reads the id of the installation, where none is set: of one Namespace, whichever namespaces porchflow works in."""


def rights_of(process: str, settings: Settings) -> list[Right]:
    """Return the rights that a process needs.

    Args:
        process: A key of `PERMISSIONS` without `porchflow-`.
        settings: Its settings, which name its namespaces and whether the watcher watches Secrets.
    """
    more = _WATCH_OF_SECRETS if process == "watcher" and settings.watcher.watch_secrets else {}
    rights = list(_rights({**PERMISSIONS[f"porchflow-{process}"], **more}, settings))
    if process in _WITH_AN_ID and not settings.installation.installation:
        rights.append(_ID_OF_THE_CLUSTER)
    return rights


def _rights(grants: Mapping[tuple[str, str], str], settings: Settings) -> Iterator[Right]:
    for (namespace, target), verbs in grants.items():
        if target == _ID_OF_THE_CLUSTER.target:
            # Needed or not whatever the namespaces: see `rights_of`.
            continue
        placed, named = _as_set(namespace, target, settings)
        for each in _namespaces(placed, named, settings.scope.namespaces):
            for verb in verbs.split():
                yield Right(each, verb, named)


def _as_set(namespace: str, target: str, settings: Settings) -> tuple[str, str]:
    """Return a namespace and a target of `PERMISSIONS` as the settings name them."""
    if namespace == _FUNCTIONS:
        return settings.runner.function_config_namespace or namespace, target
    if namespace == _SYSTEM and settings.content.service:
        system, _, service = settings.content.service.partition("/")
        return system, target.replace(_CONTENT_SERVICE, service)
    return namespace, target


def _namespaces(namespace: str, target: str, chosen: Sequence[str]) -> Sequence[str]:
    group = target.partition(":")[0].partition(".")[2]
    if namespace or group in _WITHOUT_NAMESPACE:
        return (namespace,)
    return chosen or ("",)


@dataclass(frozen=True)
class ServiceAccount:
    """A ServiceAccount, as the subject of access reviews."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"ServiceAccount {self.namespace}/{self.name}"

    def subject(self) -> dict[str, Any]:
        """Return user and groups, as the API server derives them from the account's tokens."""
        everybody = "system:serviceaccounts"
        return {
            "user": f"system:serviceaccount:{self.namespace}:{self.name}",
            "groups": [everybody, f"{everybody}:{self.namespace}", "system:authenticated"],
        }


async def may(kube: KubeClient, right: Right, account: ServiceAccount | None = None) -> bool:
    """Return whether an account has a right, by an access review.

    Args:
        kube: Client of the API server.
        right: The right.
        account: The account; None for the user of the client.

    Raises:
        KubeError: The review cannot be created.
    """
    kind = SUBJECTACCESSREVIEWS if account else SELFSUBJECTACCESSREVIEWS
    spec = {"resourceAttributes": right.attributes(), **(account.subject() if account else {})}
    answer = await kube.create(kind, {"apiVersion": kind.api_version, "kind": kind.kind, "spec": spec})
    return bool(answer["status"].get("allowed"))


async def check_permissions(kube: KubeClient, process: str, settings: Settings, deployed_in: str = "") -> list[Finding]:
    """Check that an account has all rights that a process needs.

    Args:
        kube: Client of the API server.
        process: The process, such as `worker`.
        settings: The settings of the process.
        deployed_in: Namespace of its ServiceAccount; empty for the user of the client.
    """
    check, rights = Check("permissions", process), rights_of(process, settings)
    account = ServiceAccount(deployed_in, f"porchflow-{process}") if deployed_in else None
    who = account or "these credentials"
    try:
        answers = await asyncio.gather(*(may(kube, right, account) for right in rights))
    except Forbidden as error:
        return [check.warning(str(error), f"run the check as somebody who may create {SUBJECTACCESSREVIEWS}")]
    except KubeError as error:
        return [check.failure(str(error), "see whether the API server answers access reviews")]
    missing = [str(right) for right, allowed in zip(rights, answers, strict=True) if not allowed]
    if not missing:
        return [check.ok(f"{who} may do all {len(rights)} things that it does")]
    told = f"{who} may not: {'; '.join(missing)}"
    return [check.failure(told, f"apply deploy/base, or bind ClusterRole porchflow-{process} to the process's account")]
