"""Installing and taking away again on a cluster that runs Porch, on a Kubernetes before mutating policies.

Of Porch there are names and labels, as its manifests have them (reference: Porch 74d82d56, deployments/porch).
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from porchflow.cli.doctor.cluster import check_policies
from porchflow.cli.doctor.findings import Level
from porchflow.kube.client import KubeClient
from tests.deploy.manifests import BASE, BESIDE_PORCH, CRDS, NAMESPACES, Built, Manifest, identity
from tests.kubectl import KubectlError, kubectl_with
from tests.servers.control_plane import ControlPlane

APPLY = ("apply", "--server-side", "--validate=strict")


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
        crds = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*_repositories.yaml"))]
        for crd in crds:
            # Porch's says other things of the same fields.
            [version] = crd["spec"]["versions"]
            version["schema"]["openAPIV3Schema"]["description"] = "A repository of Porch."
        self.apply(crds)
        kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=60s")
        self.apply([*PORCH, REPOSITORY])
        self.before = self.porchs()

    def apply(self, manifests: list[Manifest]) -> None:
        told = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        self.kubectl("apply", "--server-side", "--field-manager=kpt", "-f", "-", input=told)

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


@pytest.fixture(scope="module")
async def other(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OtherCluster]:
    folder = tmp_path_factory.mktemp("porch")
    older = folder / "kube-apiserver"
    older.write_text(f'#!/bin/sh\nexec {server_binaries["kube-apiserver"]} "$@" --emulated-version=1.35\n')
    older.chmod(0o755)
    plane = ControlPlane({**server_binaries, "kube-apiserver": older}, folder)
    try:
        await plane.etcd.start()
        await plane.apiserver.start()
        yield OtherCluster(plane.kubeconfig)
    finally:
        await plane.apiserver.kill()
        await plane.etcd.kill()


def test_the_cluster_is_an_older_one(other: OtherCluster) -> None:
    served = other.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name")
    assert "validatingadmissionpolicies" in served
    assert "mutatingadmissionpolicies" not in served
    with pytest.raises(KubectlError, match='no matches for kind "MutatingAdmissionPolicy"'):
        other.kubectl(*APPLY, "-k", str(BASE / "admission" / "mutating"))


async def test_doctor_says_what_an_older_one_lacks(other: OtherCluster) -> None:
    async with await KubeClient.connect(other.kubeconfig) as kube:
        found = {each.where: each for each in await check_policies(kube)}
    for kind in ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"):
        lacking = found[f"{kind} porchflow-records"]
        assert lacking.level == Level.WARNING
        assert "is not served by this Kubernetes" in lacking.message
        assert "1.36" in lacking.mend


def test_it_comes_and_goes_beside_porch_without_touching_it(other: OtherCluster) -> None:
    other.kubectl(*APPLY, "-k", str(CRDS), "--force-conflicts")
    other.kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=60s")
    other.kubectl(*APPLY, "-f", str(NAMESPACES / "porchflow-system.yaml"))
    # Without --force-conflicts: nothing that is applied is another's.
    other.kubectl(*APPLY, "-k", str(BESIDE_PORCH))
    assert other.porchs() == other.before
    # A pod of Porch comes back after a restart.
    again = named("v1", "Pod", "again", "porch-system", spec=deployment("porch-server")["spec"]["template"]["spec"])
    other.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(again))

    gone = other.kubectl("delete", "-k", str(BESIDE_PORCH), "--wait=false")
    assert len(gone.splitlines()) == len(Built(other.kubectl("kustomize", str(BESIDE_PORCH))).manifests)
    left = other.kubectl("get", "namespaces,crds", "-o", "name").split()
    assert {"namespace/porchflow-system", "namespace/porch-system", "namespace/porch-fn-system"} <= set(left)
    assert "customresourcedefinition.apiextensions.k8s.io/repositories.config.porch.kpt.dev" in left
    assert other.porchs() == other.before


@pytest.mark.parametrize("folder", [BASE, BESIDE_PORCH], ids=lambda folder: folder.name)
def test_what_objects_live_in_is_apart_from_what_is_deleted(other: OtherCluster, folder: Path) -> None:
    built = Built(other.kubectl("kustomize", str(folder)))
    kinds = {one["kind"] for one in built.manifests}
    assert kinds & {"Namespace", "CustomResourceDefinition", "Repository", "PackageRevision"} == set()
    assert not [kind for kind in kinds if kind.startswith("Mutating")]


def test_all_of_it_comes_and_goes_without_a_repository(other: OtherCluster) -> None:
    other.kubectl(*APPLY, "-k", str(CRDS), "--force-conflicts")
    other.kubectl(*APPLY, "-f", str(NAMESPACES / "porchflow-system.yaml"))
    # Where Porch was: its APIService is taken over by force, as docs/migration.md says.
    others = "--selector=app.kubernetes.io/component!=aggregated-api"
    other.kubectl(*APPLY, "-k", str(BASE), others)
    with pytest.raises(KubectlError, match=r'(?s)conflicts with "kpt".*\.spec\.service\.name'):
        other.kubectl(*APPLY, "-k", str(BASE), "--selector=app.kubernetes.io/component=aggregated-api")
    other.kubectl("delete", "-k", str(BASE), "--wait=false", others)
    assert other.get(*identity(REPOSITORY))["metadata"].get("deletionTimestamp") is None
    assert other.kubectl("get", "namespaces", "-o", "jsonpath={.items[?(@.metadata.deletionTimestamp)]}") == ""
