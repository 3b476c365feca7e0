"""The cluster as tests see it."""

import json
import subprocess
import time
import uuid
from collections.abc import Callable
from typing import Any

from porchflow.devstack.cluster.layout import GIT_URL, ClusterFolder
from tests.kubectl import kubectl_with

Object = dict[str, Any]

SYSTEM = "porchflow-system"
_WAIT_SECONDS = 240
_POLL_SECONDS = 0.5


class Cluster:
    """A running cluster.

    Attributes:
        folder: Its state.
        kubectl: Runs kubectl as its administrator.
    """

    def __init__(self, folder: ClusterFolder) -> None:
        self.folder = folder
        self.kubectl = kubectl_with(folder.kubeconfig)

    def objects(self, *arguments: str) -> list[Object]:
        found = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return list(found["items"]) if "items" in found else [found]

    def apply(self, *objects: Object) -> None:
        self.kubectl("apply", "--filename=-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def until(self, what: str, holds: Callable[[], bool], seconds: float = _WAIT_SECONDS) -> None:
        """Wait for a condition of the cluster, which sends no notice."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            time.sleep(_POLL_SECONDS)

    def pods(self, name: str) -> list[Object]:
        """Pods of one of porchflow's Deployments that are not about to end."""
        found = self.objects("pods", f"--namespace={SYSTEM}", f"--selector=app.kubernetes.io/name={name}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def rolled_out(self, *names: str) -> None:
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={SYSTEM}", "--timeout=300s")

    def registered(self) -> "Packages":
        """Make a namespace and a repository of its own, and register it."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        repository = self.folder.git / f"{name}.git"
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", repository], check=True)
        self.kubectl("create", "namespace", name)
        git = {"repo": f"{GIT_URL}/{name}.git", "branch": "main", "createBranch": True}
        self.apply(
            {
                "apiVersion": "config.porch.kpt.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": "repo", "namespace": name},
                "spec": {"type": "git", "git": git},
            }
        )
        self.kubectl("wait", "repository/repo", f"--namespace={name}", "--for=condition=Ready", "--timeout=180s")
        return Packages(self, name)


class Packages:
    """The packages of one namespace with one repository."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def draft(self, package: str, workspace: str = "v1") -> str:
        """Apply a PackageRevision; return its name."""
        name = f"repo.{package}.{workspace}"
        self.cluster.apply(
            {
                "apiVersion": "porch.kpt.dev/v1alpha2",
                "kind": "PackageRevision",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "repository": "repo",
                    "packageName": package,
                    "workspaceName": workspace,
                    "lifecycle": "Draft",
                    "source": {"init": {"description": "a package"}},
                },
            }
        )
        return name

    def get(self, name: str) -> Object:
        [found] = self.cluster.objects("packagerevision", name, f"--namespace={self.namespace}")
        return found

    def is_ready(self, name: str) -> bool:
        found = self.get(name)
        status = found.get("status", {})
        fresh = status.get("observedGeneration") == found["metadata"]["generation"]
        return fresh and self.condition(found, "Ready")["status"] == "True"

    def ready(self, name: str) -> None:
        self.cluster.until(f"{name} is ready", lambda: self.is_ready(name))

    def condition(self, found: Object, kind: str) -> Object:
        """One condition of an object; of status Unknown where there is none."""
        every = found.get("status", {}).get("conditions", [])
        return next((each for each in every if each["type"] == kind), {"status": "Unknown", "message": ""})

    def move(self, name: str, lifecycle: str) -> None:
        patch = json.dumps({"spec": {"lifecycle": lifecycle}})
        self.cluster.kubectl(
            "patch", "packagerevision", name, f"--namespace={self.namespace}", "--type=merge", f"--patch={patch}"
        )

    def push(self, name: str, files: dict[str, str | None]) -> str:
        """Push files through the aggregated API; return the commit."""
        patch = json.dumps({"spec": {"resources": files}})
        return self.cluster.kubectl(
            *("patch", "packagerevisionresources", name, f"--namespace={self.namespace}", "--type=merge"),
            *(f"--patch={patch}", "--output=jsonpath={.metadata.resourceVersion}"),
        )

    def rendered(self, name: str, commit: str) -> bool:
        """Whether a pushed commit is rendered."""
        return self.is_ready(name) and self.get(name)["status"].get("observedPrrResourceVersion") == commit

    def git(self, *arguments: str) -> str:
        repository = self.cluster.folder.git / f"{self.namespace}.git"
        return subprocess.run(["git", *arguments], cwd=repository, check=True, capture_output=True, text=True).stdout
