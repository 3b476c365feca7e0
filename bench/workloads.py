"""The bursts: the requests of a client, and when each burst is done."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.author import Author
from bench.contents import write_contents
from bench.follow import BenchError, Follower, is_ready, is_rendered
from bench.published import WORKSPACE as PUBLISHED
from bench.published import write_published
from bench.upstream import PACKAGE as UPSTREAM
from bench.upstream import RESOURCES, deployment, large_files, package_files, push_revision
from porchflow.api.names import (
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RENDER_REQUEST_ANNOTATION,
    REPOSITORY_API_VERSION,
)
from porchflow.devstack.demo.demo_repository import ensure_repository, git
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONRESOURCES, PACKAGEREVISIONS, REPOSITORIES

NAMESPACE = "default"
REPOSITORY = "bench"
WORKSPACE = "v1"
PUSHED = "pushed"
"""The package that small changes are pushed to."""
UPGRADED = "v2"
"""Workspace of the upgraded revisions, and of the upstream's second revision."""


@dataclass(frozen=True)
class Timing:
    """How long a workload took, in seconds."""

    seconds: float
    split: Mapping[str, float]
    """Its steps, one after another."""
    round_trips: Sequence[float] = ()
    """Duration of each round trip, where requests follow one another."""

    def percentile(self, percent: int) -> float | None:
        """Return the time that a percentage of the round trips stayed below; None where there are none."""
        ordered = sorted(self.round_trips)
        return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] if ordered else None


class Bench:
    """A repository and its packages, used as a client uses them."""

    def __init__(self, client: KubeClient, follower: Follower, git_root: Path, git_url: str) -> None:
        """Create the bench on a running stack; `prepare` makes the repository."""
        self._client = client
        self._follower = follower
        self._git_root = git_root
        self._git_url = git_url
        self._bare = git_root / f"{REPOSITORY}.git"
        self._url = f"{git_url}/{REPOSITORY}.git"
        self._author = Author(client, git_root, git_url)
        self._poisoned = False
        self._upstream = False
        self._pushed = False
        self._unrendered: dict[str, str] = {}

    async def prepare(self, held: int = 0) -> None:
        """Register a repository, and make one package in it so that every part has worked once.

        Args:
            held: Packages that are published in it already; without any it has one commit.
        """
        packages = [f"held-{number}" for number in range(1, held + 1)]
        if packages:
            await asyncio.to_thread(write_published, self._git_root, REPOSITORY, packages)
        await asyncio.to_thread(ensure_repository, self._git_root, self._git_url, REPOSITORY)
        await self._register(REPOSITORY)
        await self._follower.until(_found_in(REPOSITORY, packages), "Ready", is_ready)
        await self.init(["warm-up"])
        await self.publish(["warm-up"])

    async def _register(self, name: str) -> None:
        spec = {"type": "git", "git": {"repo": f"{self._git_url}/{name}.git", "branch": "main"}}
        metadata = {"name": name, "namespace": NAMESPACE}
        manifest = {"apiVersion": REPOSITORY_API_VERSION, "kind": "Repository", "metadata": metadata, "spec": spec}
        await self._client.create(REPOSITORIES, manifest)

    async def prepare_published(self, packages: list[str]) -> None:
        """Make a repository in which the packages are published already."""
        await asyncio.to_thread(write_published, self._git_root, _registered_as(packages), packages)

    async def prepare_upstream(self) -> None:
        """Publish two revisions of the package that is cloned and upgraded to."""
        if self._upstream:
            return
        self._upstream = True
        for version in (1, 2):
            workspace = f"v{version}"
            source = {"copyFrom": {"name": object_name(UPSTREAM)}} if version > 1 else {"init": {}}
            await self._create([UPSTREAM], source, workspace)
            branch = f"drafts/{UPSTREAM}/{workspace}"
            pushed = await asyncio.to_thread(push_revision, self._url, branch, version)
            name = object_name(UPSTREAM, workspace)
            await self._request_render(name, pushed)
            await self._follower.until([name], "rendered as pushed", partial(_has_rendered, pushed))
            for lifecycle in ("Proposed", "Published"):
                await self._move([UPSTREAM], lifecycle, workspace)

    async def init(self, packages: list[str]) -> Timing:
        """Create drafts by init, all at once; done when the last is Ready and Rendered.

        Raises:
            BenchError: One of them did not get there.
        """
        return await self._create(packages, {"init": {"description": "a package of the benchmark"}}, WORKSPACE)

    async def clone(self, packages: list[str]) -> Timing:
        """Create clones of one published revision, all at once; done when the last is Ready and Rendered.

        Raises:
            BenchError: One of them did not get there.
        """
        return await self._create(packages, {"cloneFrom": {"upstreamRef": {"name": object_name(UPSTREAM)}}}, WORKSPACE)

    async def upgrade(self, packages: list[str]) -> Timing:
        """Bring published clones to their upstream's next revision, all at once; done as for `clone`.

        Raises:
            BenchError: One of them did not get there.
        """
        upstreams = {"oldUpstream": object_name(UPSTREAM), "newUpstream": object_name(UPSTREAM, UPGRADED)}
        named = {field: {"name": name} for field, name in upstreams.items()}
        sources = [{"upgrade": {**named, "currentPackage": {"name": object_name(package)}}} for package in packages]
        return await self._create(packages, sources, UPGRADED)

    async def register(self, packages: list[str]) -> Timing:
        """Register a repository of published packages; done when the last of its objects is Ready.

        Raises:
            BenchError: One of them did not appear.
        """
        started = time.monotonic()
        await self._register(_registered_as(packages))
        await self._follower.until(self.registered(packages), "Ready", is_ready)
        seconds = time.monotonic() - started
        return Timing(seconds, {"registered": seconds})

    @staticmethod
    def registered(packages: list[str]) -> list[str]:
        """Return the names of the objects of a registered repository: the revisions, and the packages on its branch."""
        return _found_in(_registered_as(packages), packages)

    async def _create(self, packages: list[str], source: Object | list[Object], workspace: str) -> Timing:
        sources = source if isinstance(source, list) else [source] * len(packages)
        drafts = [_draft(package, one, workspace) for package, one in zip(packages, sources, strict=True)]
        started = time.monotonic()
        await asyncio.gather(*(self._client.create(PACKAGEREVISIONS, draft) for draft in drafts))
        created = time.monotonic()
        names = [object_name(package, workspace) for package in packages]
        await self._follower.until(names, "Ready and Rendered", is_rendered)
        ended = time.monotonic()
        await self._check_refs({f"refs/heads/drafts/{package}/{workspace}" for package in packages})
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

    async def alone(self, packages: list[str]) -> Timing:
        """Create drafts by init, one after another, each until it is Ready and Rendered.

        Raises:
            BenchError: One of them did not get there.
        """
        started = time.monotonic()
        trips = [(await self.init([package])).seconds for package in packages]
        seconds = time.monotonic() - started
        return Timing(seconds, {"rendered": seconds}, trips)

    async def poison(self, packages: list[str]) -> Timing:
        """Do the same while an author of another namespace has poison in work.

        Raises:
            BenchError: One of the packages did not get there, or the poison was never done with.
        """
        async with self._author.at_work():
            return await self.alone(packages)

    async def prepare_poison(self) -> None:
        """Make the poison, once."""
        if not self._poisoned:
            self._poisoned = True
            await self._author.prepare()

    async def push(self, packages: list[str]) -> Timing:
        """Push a small change to one package and wait until that is rendered, again and again: once for each name.

        Raises:
            BenchError: A push was not rendered.
        """
        name = await self._pushed_package()
        answered, trips = 0.0, []
        started = time.monotonic()
        for package in packages:
            began = time.monotonic()
            commit = await self._push(name, {"deployment-1.yaml": deployment(1, package)})
            answered += time.monotonic() - began
            await self._follower.until([name], "rendered as pushed", partial(_has_rendered, commit))
            trips.append(time.monotonic() - began)
        seconds = time.monotonic() - started
        return Timing(seconds, {"answered": answered, "rendered": seconds - answered}, trips)

    async def _pushed_package(self) -> str:
        """Make the package that is pushed to, with ten resources and a function, unless it is there."""
        name = object_name(PUSHED)
        if self._pushed:
            return name
        self._pushed = True
        await self.init([PUSHED])
        commit = await self._push(name, package_files(PUSHED))
        await self._follower.until([name], "rendered as pushed", partial(_has_rendered, commit))
        return name

    async def _push(self, name: str, files: Mapping[str, str]) -> str:
        patch = {"spec": {"resources": files}}
        answer = await self._client.merge_patch(PACKAGEREVISIONRESOURCES, NAMESPACE, name, patch)
        return str(answer["metadata"]["resourceVersion"])

    async def prepare_render(self, packages: list[str]) -> None:
        """Make drafts whose newest content, ten resources and a function, is still to be rendered."""
        await self.init(packages)
        await self._write({package: package_files(package) for package in packages})

    async def prepare_large(self, packages: list[str]) -> None:
        """Make a draft whose newest content, ten resources for each name and three functions, is to be rendered."""
        await self.init([large_of(packages)])
        name = large_of(packages)
        await self._write({name: large_files(name, RESOURCES * len(packages))})

    async def _write(self, contents: Mapping[str, Mapping[str, str]]) -> None:
        branches = {f"refs/heads/drafts/{package}/{WORKSPACE}": package for package in contents}
        drafts = {branch: (package, contents[package]) for branch, package in branches.items()}
        commits = await asyncio.to_thread(write_contents, self._bare, drafts)
        self._unrendered = {package: commits[branch] for branch, package in branches.items()}

    async def render(self, packages: list[str]) -> Timing:
        """Request the rendering of all drafts, all at once; done when the last reports this very content as rendered.

        Raises:
            BenchError: One of them did not get there.
        """
        return await self._render(packages)

    async def large(self, packages: list[str]) -> Timing:
        """Request the rendering of one large draft; done as for `render`.

        Raises:
            BenchError: It did not get there.
        """
        return await self._render([large_of(packages)])

    async def _render(self, packages: list[str]) -> Timing:
        pushed = {object_name(package): self._unrendered[package] for package in packages}
        started = time.monotonic()
        await asyncio.gather(*(self._request_render(name, commit) for name, commit in pushed.items()))
        asked = time.monotonic()
        for name, commit in pushed.items():
            await self._follower.until([name], "rendered as pushed", partial(_has_rendered, commit))
        ended = time.monotonic()
        return Timing(ended - started, {"asked": asked - started, "rendered": ended - asked})

    async def _request_render(self, name: str, commit: str) -> None:
        annotation = {"metadata": {"annotations": {RENDER_REQUEST_ANNOTATION: commit}}}
        await self._client.merge_patch(PACKAGEREVISIONS, NAMESPACE, name, annotation)

    async def _move(self, packages: list[str], lifecycle: str, workspace: str = WORKSPACE) -> None:
        patch = {"spec": {"lifecycle": lifecycle}}
        names = [object_name(package, workspace) for package in packages]
        await asyncio.gather(*(self._client.merge_patch(PACKAGEREVISIONS, NAMESPACE, name, patch) for name in names))

        def moved(obj: Object) -> bool:
            numbered = lifecycle != "Published" or bool(obj["status"].get("revision"))
            return obj["spec"]["lifecycle"] == lifecycle and is_ready(obj) and numbered

        await self._follower.until(names, lifecycle, moved)

    async def _check_refs(self, wanted: Iterable[str]) -> None:
        """Check that Git holds the refs that the objects name."""
        existing = await asyncio.to_thread(git, "for-each-ref", "--format=%(refname)", cwd=self._bare)
        missing = sorted(set(wanted) - set(existing.splitlines()))
        if missing:
            raise BenchError(f"{len(missing)} refs are missing in Git although the objects are Ready: {missing[0]}")


def large_of(packages: list[str]) -> str:
    """Return the name of the one package that has ten resources for each of the names."""
    return f"large-{len(packages)}"


def _registered_as(packages: list[str]) -> str:
    return f"registered-{len(packages)}"


def _found_in(repository: str, packages: Iterable[str]) -> list[str]:
    return [f"{repository}.{package}.{workspace}" for package in packages for workspace in (PUBLISHED, "main")]


def _has_rendered(pushed: str, obj: Object) -> bool:
    return is_rendered(obj) and obj["status"].get("observedPrrResourceVersion") == pushed


def object_name(package: str, workspace: str = WORKSPACE) -> str:
    """Return the name of a PackageRevision."""
    return f"{REPOSITORY}.{package}.{workspace}"


def _draft(package: str, source: Object, workspace: str) -> Object:
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"name": object_name(package, workspace), "namespace": NAMESPACE},
        "spec": {
            "packageName": package,
            "repository": REPOSITORY,
            "workspaceName": workspace,
            "lifecycle": "Draft",
            "source": source,
        },
    }
