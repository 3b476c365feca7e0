"""The bursts: what a client does, and when it is done."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from api.names import PACKAGE_REVISION_API_VERSION, PACKAGE_REVISION_KIND, REPOSITORY_API_VERSION
from bench.follow import BenchError, Follower, Object, is_ready, is_rendered
from cli.demo.repository import ensure_repository, git
from kube.client import KubeClient
from kube.resources import PACKAGEREVISIONS, REPOSITORIES

NAMESPACE = "default"
REPOSITORY = "bench"
WORKSPACE = "v1"


@dataclass(frozen=True)
class Timing:
    """How long a workload took, in seconds."""

    seconds: float
    split: Mapping[str, float]
    """Its steps, one after another."""


class Bench:
    """A repository and its packages, worked on as a client does."""

    def __init__(self, client: KubeClient, follower: Follower, git_root: Path, git_url: str) -> None:
        """Take the running stack; `prepare` makes the repository."""
        self._client = client
        self._follower = follower
        self._git_root = git_root
        self._git_url = git_url
        self._bare = git_root / f"{REPOSITORY}.git"

    async def prepare(self) -> None:
        """Register a fresh repository of one commit, and make one package so that every part has worked once."""
        await asyncio.to_thread(ensure_repository, self._git_root, self._git_url, REPOSITORY)
        spec = {"type": "git", "git": {"repo": f"{self._git_url}/{REPOSITORY}.git", "branch": "main"}}
        metadata = {"name": REPOSITORY, "namespace": NAMESPACE}
        manifest = {"apiVersion": REPOSITORY_API_VERSION, "kind": "Repository", "metadata": metadata, "spec": spec}
        await self._client.create(REPOSITORIES, manifest)
        await self.init(["warm-up"])
        await self.publish(["warm-up"])

    async def init(self, packages: list[str]) -> Timing:
        """Create drafts by init, all at once; done when the last is Ready and Rendered.

        Raises:
            BenchError: One of them did not get there.
        """
        started = time.monotonic()
        await asyncio.gather(*(self._client.create(PACKAGEREVISIONS, _draft(package)) for package in packages))
        created = time.monotonic()
        await self._follower.until(map(object_name, packages), "Ready and Rendered", is_rendered)
        ended = time.monotonic()
        await self._check_refs({f"refs/heads/drafts/{package}/{WORKSPACE}" for package in packages})
        return Timing(ended - started, {"created": created - started, "rendered": ended - created})

    async def publish(self, packages: list[str]) -> Timing:
        """Propose all drafts, then publish all; done when the last has a revision number.

        Raises:
            BenchError: One of them did not get there.
        """
        started = time.monotonic()
        await self._move(packages, "Proposed")
        proposed = time.monotonic()
        await self._move(packages, "Published")
        ended = time.monotonic()
        await self._check_refs({f"refs/tags/{package}/v1" for package in packages})
        return Timing(ended - started, {"proposed": proposed - started, "published": ended - proposed})

    async def _move(self, packages: list[str], lifecycle: str) -> None:
        patch = {"spec": {"lifecycle": lifecycle}}
        names = [object_name(package) for package in packages]
        await asyncio.gather(*(self._client.merge_patch(PACKAGEREVISIONS, NAMESPACE, name, patch) for name in names))

        def moved(obj: Object) -> bool:
            numbered = lifecycle != "Published" or obj["status"].get("revision") == 1
            return obj["spec"]["lifecycle"] == lifecycle and is_ready(obj) and numbered

        await self._follower.until(names, lifecycle, moved)

    async def _check_refs(self, wanted: Iterable[str]) -> None:
        """What the objects say has to be what Git holds."""
        existing = await asyncio.to_thread(git, "for-each-ref", "--format=%(refname)", cwd=self._bare)
        missing = sorted(set(wanted) - set(existing.splitlines()))
        if missing:
            raise BenchError(f"{len(missing)} refs are missing in Git although the objects are Ready: {missing[0]}")


def object_name(package: str) -> str:
    """Return the name of a package's only PackageRevision."""
    return f"{REPOSITORY}.{package}.{WORKSPACE}"


def _draft(package: str) -> Object:
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"name": object_name(package), "namespace": NAMESPACE},
        "spec": {
            "packageName": package,
            "repository": REPOSITORY,
            "workspaceName": WORKSPACE,
            "lifecycle": "Draft",
            "source": {"init": {"description": f"the {package} package"}},
        },
    }
