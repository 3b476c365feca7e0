"""Installing and taking away again with kubectl, on a cluster that runs Porch and has no mutating policies."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.cli.doctor.cluster import check_policies
from porchflow.cli.doctor.findings import Level
from porchflow.cli.manifests.shipped import composed
from porchflow.kube.client import KubeClient
from tests.deploy.manifests import BASE, COMPONENTS, CRDS, NAMESPACES, Built, identity, own_kustomization
from tests.deploy.porch_cluster import REPOSITORY, OtherCluster, deployment, named, older_cluster
from tests.kubectl import KubectlError

APPLY = ("apply", "--server-side", "--validate=strict")


@pytest.fixture(scope="module")
async def other(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OtherCluster]:
    async with older_cluster(server_binaries, tmp_path_factory.mktemp("porch")) as plane:
        yield OtherCluster(plane.kubeconfig)


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


def test_it_comes_and_goes_beside_porch_without_touching_it(other: OtherCluster, tmp_path: Path) -> None:
    beside = str(own_kustomization(tmp_path, "beside-porch"))
    other.kubectl(*APPLY, "-k", str(CRDS), "--force-conflicts")
    other.kubectl("wait", "--for=condition=Established", "crds", "--all", "--timeout=60s")
    other.kubectl(*APPLY, "-f", str(NAMESPACES / "porchflow-system.yaml"))
    # Without --force-conflicts: nothing that is applied is another's.
    other.kubectl(*APPLY, "-k", beside)
    assert other.porchs() == other.before
    # A pod of Porch comes back after a restart.
    again = named("v1", "Pod", "again", "porch-system", spec=deployment("porch-server")["spec"]["template"]["spec"])
    other.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(again))

    gone = other.kubectl("delete", "-k", beside, "--wait=false")
    assert len(gone.splitlines()) == len(Built(other.kubectl("kustomize", beside)).manifests)
    left = other.kubectl("get", "namespaces,crds", "-o", "name").split()
    assert {"namespace/porchflow-system", "namespace/porch-system", "namespace/porch-fn-system"} <= set(left)
    assert "customresourcedefinition.apiextensions.k8s.io/repositories.config.porch.kpt.dev" in left
    assert other.porchs() == other.before


@pytest.mark.parametrize("names", [[], COMPONENTS], ids=["base", "all"])
def test_what_objects_live_in_is_apart_from_what_is_deleted(names: list[str]) -> None:
    kinds = {one["kind"] for one in composed(names)}
    assert kinds & {"Namespace", "CustomResourceDefinition", "Repository", "PackageRevision"} == set()


def test_only_one_component_needs_a_newer_kubernetes() -> None:
    for names in ([name] for name in COMPONENTS):
        mutating = [one for one in composed(names) if one["kind"].startswith("Mutating")]
        assert bool(mutating) is (names == ["record-approvers"])


def test_all_of_it_comes_and_goes_without_a_repository(other: OtherCluster) -> None:
    other.kubectl(*APPLY, "-k", str(CRDS), "--force-conflicts")
    other.kubectl(*APPLY, "-f", str(NAMESPACES / "porchflow-system.yaml"))
    # Where Porch was: its APIService is taken over by force, as docs/porch/migration.md says.
    others = "--selector=app.kubernetes.io/component!=aggregated-api"
    other.kubectl(*APPLY, "-k", str(BASE), others)
    with pytest.raises(KubectlError, match=r'(?s)conflicts with "kpt".*\.spec\.service\.name'):
        other.kubectl(*APPLY, "-k", str(BASE), "--selector=app.kubernetes.io/component=aggregated-api")
    other.kubectl("delete", "-k", str(BASE), "--wait=false", others)
    assert other.get(*identity(REPOSITORY))["metadata"].get("deletionTimestamp") is None
    assert other.kubectl("get", "namespaces", "-o", "jsonpath={.items[?(@.metadata.deletionTimestamp)]}") == ""
