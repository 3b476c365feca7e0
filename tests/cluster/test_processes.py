"""The processes as a node runs them: rights, files, garbage collection, rolling restarts under load."""

import json
import subprocess
from typing import Any

import pytest

from tests.cluster.nodes import SYSTEM, Cluster, Packages
from tests.kubectl import KubectlError

DEPLOYMENTS = ("porchflow-watcher", "porchflow-worker", "porchflow-content-api", "porchflow-function-runner")


def execute(cluster: Cluster, deployment: str, *command: str) -> str:
    return cluster.kubectl("exec", f"deployment/{deployment}", f"--namespace={SYSTEM}", "--", *command)


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_it_runs_as_nobody_on_a_root_that_it_cannot_write(cluster: Cluster, deployment: str) -> None:
    assert execute(cluster, deployment, "id", "-u").strip() == "65532"
    for folder in ("/", "/opt/porchflow", "/etc"):
        with pytest.raises(KubectlError, match="Read-only file system"):
            execute(cluster, deployment, "touch", f"{folder}/written")
    execute(cluster, deployment, "touch", "/tmp/written")


@pytest.mark.parametrize("namespace", [SYSTEM, "porch-fn-system"])
def test_the_namespaces_admit_only_restricted_pods(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        cluster.kubectl("run", "anybody", f"--namespace={namespace}", "--image=porchflow:0.1.0", "--dry-run=server")


def test_what_a_deleted_repository_owns_goes_with_it(cluster: Cluster, packages: Packages) -> None:
    name = packages.draft("owned")
    packages.ready(name)
    tips = packages.git("for-each-ref")
    [owner] = packages.get(name)["metadata"]["ownerReferences"]
    assert owner["kind"] == "Repository"
    cluster.kubectl("delete", "repository", "repo", f"--namespace={packages.namespace}", "--timeout=180s")
    cluster.until(
        "its PackageRevisions are collected", lambda: not cluster.objects("packagerevisions", f"-n{packages.namespace}")
    )
    assert packages.git("for-each-ref") == tips


def test_a_namespace_ends_with_its_packages(cluster: Cluster, packages: Packages) -> None:
    packages.ready(packages.draft("short-lived"))
    cluster.kubectl("delete", "namespace", packages.namespace, "--timeout=240s")
    assert "drafts/short-lived/v1" in packages.git("for-each-ref")


def test_a_rolling_restart_under_load_loses_nothing(cluster: Cluster, packages: Packages) -> None:
    def batch(first: int, count: int) -> list[str]:
        return [packages.draft(f"package-{number}") for number in range(first, first + count)]

    names = batch(0, 5)
    cluster.kubectl("rollout", "restart", "deployment", f"--namespace={SYSTEM}", *DEPLOYMENTS)
    names += batch(5, 10)
    cluster.rolled_out(*DEPLOYMENTS)
    names += batch(15, 5)
    for name in names:
        packages.ready(name)
        packages.move(name, "Proposed")
    for name in names:
        packages.ready(name)
        packages.move(name, "Published")
    for name in names:
        packages.ready(name)
        assert packages.get(name)["status"]["revision"] == 1
    assert len(packages.git("tag", "--list").split()) == len(names)


def test_content_is_served_while_it_is_rolled_out(cluster: Cluster, packages: Packages) -> None:
    name = packages.draft("read")
    packages.ready(name)
    address = f"/apis/porch.kpt.dev/v1alpha1/namespaces/{packages.namespace}/packagerevisionresources/{name}"
    deployment = ("deployment/porchflow-content-api", f"--namespace={SYSTEM}")
    cluster.kubectl("rollout", "restart", *deployment)
    kubectl = ("kubectl", f"--kubeconfig={cluster.folder.kubeconfig}")
    rollout = subprocess.Popen([*kubectl, "rollout", "status", *deployment, "--timeout=300s"])
    answered = 0
    while rollout.poll() is None:
        # Fails with anything but an answer.
        assert json.loads(cluster.kubectl("get", "--raw", address))["metadata"]["name"] == name
        answered += 1
    assert rollout.returncode == 0
    assert answered


class TestAudit:
    """What the processes asked for, by the API server's own log."""

    def test_nothing_was_forbidden(self, cluster: Cluster) -> None:
        entries = [json.loads(line) for line in cluster.folder.audit_log.read_text().splitlines()]
        refused = {described(entry) for entry in entries if decision(entry) == "forbid"}
        assert entries
        assert not refused


def decision(entry: dict[str, Any]) -> str:
    return str(entry.get("annotations", {}).get("authorization.k8s.io/decision"))


def described(entry: dict[str, Any]) -> str:
    what = entry.get("objectRef", {})
    kind = "/".join(filter(None, (what.get("apiGroup"), what.get("resource"), what.get("subresource"))))
    return f"{entry['user']['username']} {entry['verb']} {kind or entry['requestURI']}"
