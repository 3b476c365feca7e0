"""Package revisions as porchflow's workers leave them: objects in Kubernetes, branches and tags in Git."""

import asyncio
from dataclasses import dataclass
from typing import Any

from porchflow.api.names import object_name
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from tests.kptfiles import kptfile_text
from tests.servers.git import GitRepository, commit_files

REPOSITORY = "blueprints"
KPTFILE = kptfile_text("web")
FILES = {"Kptfile": KPTFILE, "deploy/service.yaml": "kind: Service\r\napiVersion: v1\r\n", "notes.txt": "näh\n"}


@dataclass
class Packages:
    """Makes package revisions in one Repository."""

    kube: KubeClient
    namespace: str
    git: GitRepository

    async def register(self, name: str = REPOSITORY, **spec: Any) -> None:
        manifest = {
            "apiVersion": "config.porch.kpt.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"type": "git", "git": {"repo": self.git.url, "branch": "main", **spec}},
        }
        await self.kube.create(REPOSITORIES, manifest)

    async def create_object(self, manifest: dict[str, Any]) -> None:
        await self.kube.create(PACKAGEREVISIONS, manifest)

    async def commit(self, branch: str, files: dict[str, str], path: str = "web") -> str:
        """Commit files of a package, over what is there."""
        inside = {f"{path}/{name}": content for name, content in files.items()}
        return await asyncio.to_thread(commit_files, self.git, branch, inside)

    async def tip(self, branch: str) -> str:
        return (await asyncio.to_thread(self.git.refs))[f"refs/heads/{branch}"]

    async def create(self, package: str = "web", workspace: str = "v1", lifecycle: str = "Draft", **status: Any) -> str:
        """Create the object alone, with a status as a worker reported it; return its name."""
        name = object_name(REPOSITORY, package, workspace)
        spec = {"repository": REPOSITORY, "packageName": package, "workspaceName": workspace, "lifecycle": lifecycle}
        manifest = {
            "apiVersion": PACKAGEREVISIONS.api_version,
            "kind": PACKAGEREVISIONS.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }
        await self.kube.create(PACKAGEREVISIONS, manifest)
        if status:
            await self.report(name, **status)
        return name

    async def report(self, name: str, **status: Any) -> None:
        """Set status fields as a worker does."""
        await self.kube.merge_patch(PACKAGEREVISIONS, self.namespace, name, {"status": status}, subresource="status")

    async def draft(
        self, files: dict[str, str] | None = None, package: str = "web", workspace: str = "v1"
    ) -> tuple[str, str]:
        """Make a draft that was rendered; return the object's name and the draft's commit."""
        branch = f"drafts/{package}/{workspace}"
        commit = await self.commit(branch, files or FILES, package)
        name = await self.create(package, workspace, creationSource="init", selfLock=self.lock(branch, package, commit))
        return name, commit

    async def published(self, files: dict[str, str] | None = None, package: str = "web") -> tuple[str, str]:
        """Make a published revision 1; return the object's name and the tagged commit."""
        commit = await self.commit("main", files or FILES, package)
        await asyncio.to_thread(self.git.git, "tag", f"{package}/v1", commit)
        name = await self.create(
            package, "v1", "Published", revision=1, selfLock=self.lock(f"{package}/v1", package, commit)
        )
        return name, commit

    def lock(self, ref: str, directory: str, commit: str) -> dict[str, Any]:
        return {
            "type": "git",
            "git": {"repo": self.git.url, "directory": directory, "ref": ref, "commit": commit},
        }

    async def object(self, name: str) -> dict[str, Any]:
        return await self.kube.get(PACKAGEREVISIONS, self.namespace, name)
