"""Clusters of tests: an empty one, one of a Kubernetes before mutating policies, and one with Porch and a Repository.

Of Porch there are names and labels, as its manifests have them (reference: Porch 74d82d56, deployments/porch).
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from tests.deploy.manifests import CRDS, Manifest, identity
from tests.kubectl import kubectl_with
from tests.servers.control_plane import ControlPlane

OLDEST = "1.33"
"""The oldest Kubernetes that the API server of the tests can stand for."""


def named(api: str, kind: str, name: str, namespace: str = "", **body: object) -> Manifest:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, **place}, **body}


def service(name: str, port: int) -> Manifest:
    return named("v1", "Service", name, "porch-system", spec={"selector": {"app": name}, "ports": [{"port": port}]})


def deployment(name: str) -> Manifest:
    labels = {"app": name}
    # As Porch's pods are: nothing is said of security, which `restricted` refuses.
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": f"porch/{name}"}]}}
    return named(
        "apps/v1", "Deployment", name, "porch-system", spec={"selector": {"matchLabels": labels}, "template": pod}
    )


def apiservice() -> Manifest:
    spec = {
        "group": "porch.kpt.dev",
        "version": "v1alpha1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "insecureSkipTLSVerify": True,
        "service": {"name": "api", "namespace": "porch-system"},
    }
    return named("apiregistration.k8s.io/v1", "APIService", "v1alpha1.porch.kpt.dev", spec=spec)


RULES = [{"apiGroups": ["config.porch.kpt.dev"], "resources": ["repositories"], "verbs": ["*"]}]
PORCH = [
    named("v1", "Namespace", "porch-system"),
    named("v1", "Namespace", "porch-fn-system"),
    named("v1", "ServiceAccount", "porch-server", "porch-system"),
    named("v1", "ServiceAccount", "porch-fn-runner", "porch-system"),
    named("rbac.authorization.k8s.io/v1", "ClusterRole", "porch-server", rules=RULES),
    named("rbac.authorization.k8s.io/v1", "Role", "porch-fn-runner", "porch-fn-system", rules=RULES),
    *(deployment(name) for name in ("porch-server", "porch-controllers", "function-runner")),
    service("api", 443),
    service("function-runner", 9445),
    apiservice(),
]


class OtherCluster:
    """A cluster with Porch and one Repository."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.kubectl = kubectl = kubectl_with(kubeconfig)
        self.take_crds()
        kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=60s")
        self.apply([*PORCH, REPOSITORY])
        self.before = self.porchs()

    def take_crds(self) -> None:
        """Apply Porch's CRD, which says other things of the same fields, as Porch's owner."""
        crds = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*_repositories.yaml"))]
        for crd in crds:
            [version] = crd["spec"]["versions"]
            version["schema"]["openAPIV3Schema"]["description"] = "A repository of Porch."
        self.apply(crds, "--force-conflicts")

    def apply(self, manifests: list[Manifest], *flags: str) -> None:
        told = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("apply", "--server-side", "--field-manager=kpt", *flags, "-f", "-", input=told)

    def porchs(self) -> list[Manifest]:
        """What is Porch's and its users', as it is now; without what changes by itself."""
        return [self.get(*identity(one)) for one in [*PORCH, REPOSITORY]]

    def get(self, kind: str, namespace: str, name: str) -> Manifest:
        place = [f"--namespace={namespace}"] if namespace else []
        found: Manifest = json.loads(self.kubectl("get", kind, name, *place, "-o", "json"))
        found.pop("status", None)
        for field in ("resourceVersion", "managedFields"):
            found["metadata"].pop(field, None)
        return found


REPOSITORY = named(
    "config.porch.kpt.dev/v1alpha1",
    "Repository",
    "blueprints",
    "default",
    spec={"type": "git", "git": {"repo": "https://git.example/blueprints.git", "branch": "main"}},
)


@asynccontextmanager
async def bare_cluster(server_binaries: dict[str, Path], folder: Path) -> AsyncIterator[ControlPlane]:
    """An empty cluster."""
    plane = ControlPlane(server_binaries, folder)
    try:
        await plane.etcd.start()
        await plane.apiserver.start()
        yield plane
    finally:
        await plane.apiserver.kill()
        await plane.etcd.kill()


@asynccontextmanager
async def older_cluster(server_binaries: dict[str, Path], folder: Path) -> AsyncIterator[ControlPlane]:
    """An empty cluster without MutatingAdmissionPolicies."""
    older = folder / "kube-apiserver"
    older.write_text(f'#!/bin/sh\nexec {server_binaries["kube-apiserver"]} "$@" --emulated-version={OLDEST}\n')
    older.chmod(0o755)
    async with bare_cluster({**server_binaries, "kube-apiserver": older}, folder) as plane:
        yield plane
