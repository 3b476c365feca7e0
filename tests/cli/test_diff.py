"""`porchflow diff` as a user runs it, on a real API server and real Git."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from porchflow.cli.diff.sides import previous_of
from porchflow.cli.main import main
from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import BasicAuth, Remote
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.trees import File, Files
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES, SECRETS
from tests.gitrepo.steps import publish
from tests.servers.control_plane import ControlPlane
from tests.servers.faulty import FaultyGitServer
from tests.servers.git import GitRepository

ROOT = Path(__file__).parents[2]


@dataclass
class World:
    """A namespace with Repositories, and packages in their Git."""

    kube: KubeClient
    store: GitStore
    namespace: str
    kubeconfig: Path
    cache: Path

    async def register(self, name: str, url: str, **git: Any) -> None:
        body = {
            "apiVersion": "config.porch.kpt.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"type": "git", "git": {"repo": url, "branch": "main", **git}},
        }
        await self.kube.create(REPOSITORIES, body)

    async def draft(self, url: str, workspace: str, files: Mapping[str, bytes], **status: Any) -> str:
        """Make a draft in Git and its object; returns the object's name."""
        location = PackageLocation("", "web", workspace)
        content: Files = {name: File(data) for name, data in files.items()}
        # The first revision is a beginning, as one is; the next are copies.
        task = TaskType.INIT if workspace == "v1" else TaskType.COPY
        await self.store.create_draft(Remote(url), "main", location, content, task=task, create_branch=True)
        return await self.object_of(workspace, **status)

    async def published(self, url: str, workspace: str, files: Mapping[str, bytes]) -> str:
        name = await self.draft(url, workspace, files)
        state = await publish(self.store, Remote(url), PackageLocation("", "web", workspace))
        await self._status(name, revision=state.revision)
        return name

    async def object_of(self, workspace: str, **status: Any) -> str:
        name = f"blueprints.web.{workspace}"
        body = {
            "apiVersion": "porch.kpt.dev/v1alpha2",
            "kind": "PackageRevision",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "packageName": "web",
                "repository": "blueprints",
                "workspaceName": workspace,
                "lifecycle": "Draft",
                "source": {"init": {}},
            },
        }
        await self.kube.create(PACKAGEREVISIONS, body)
        if status:
            await self._status(name, **status)
        return name

    async def _status(self, name: str, **status: Any) -> None:
        await self.kube.merge_patch(PACKAGEREVISIONS, self.namespace, name, {"status": status}, subresource="status")

    async def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run the command; returns exit code, stdout and stderr."""
        invoked = await asyncio.to_thread(self._run, arguments, environment)
        assert invoked.exc_info is None or invoked.exc_info[0] is SystemExit, invoked.exc_info
        return invoked.exit_code, invoked.stdout, invoked.stderr

    def _run(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Result:
        # In this process, on a thread with a loop of its own: a process for each would take most of the tests' time.
        arguments = ("diff", *arguments, "--namespace", self.namespace)
        return CliRunner().invoke(main, arguments, env={**self.environment, **environment})

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "porchflow.cli.main", "diff"]

    @property
    def environment(self) -> dict[str, str]:
        return {"PORCHFLOW_KUBECONFIG": str(self.kubeconfig), "GIT_CACHE_DIR": str(self.cache)}


@pytest.fixture
async def world(kube: KubeClient, namespace: str, control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[World]:
    async with GitStore(tmp_path / "seed") as store:
        yield World(kube, store, namespace, control_plane.kubeconfig, tmp_path / "cache")


@pytest.fixture
async def private_repository(tmp_path: Path) -> AsyncIterator[Remote]:
    """An empty repository on a server that asks for a password."""
    root = tmp_path / "private-git"
    root.mkdir()
    create_bare_repository(root, "private", durable=False)
    basic = BasicAuth("porchflow", "the-right-word")
    async with FaultyGitServer(root, username=basic.username, password=basic.password) as server:
        yield Remote(server.repository_url("private"), basic)


ONE = {"Kptfile": b"kind: Kptfile\n", "a.yaml": b"replicas: 1\n"}
TWO = {**ONE, "a.yaml": b"replicas: 2\n"}


async def test_two_revisions(world: World, git_repository: GitRepository) -> None:
    await world.register("blueprints", git_repository.url)
    first = await world.published(git_repository.url, "v1", ONE)
    second = await world.draft(git_repository.url, "v2", TWO)
    assert await world.run(first, second) == (
        1,
        "diff --git a/a.yaml b/a.yaml\n--- a/a.yaml\n+++ b/a.yaml\n@@ -1 +1 @@\n-replicas: 1\n+replicas: 2\n",
        "",
    )
    assert await world.run(first, second, "--name-only") == (1, "a.yaml\n", "")
    assert await world.run(second, first, "--stat") == (
        1,
        " a.yaml | 2 +-\n 1 file changed, 1 line added, 1 line removed\n",
        "",
    )
    # As `kubectl get --output name` prints it.
    assert await world.run(f"packagerevision.porch.kpt.dev/{first}", first) == (0, "", "")
    code, out, _ = await world.run(first, second, "--color", "always")
    assert (code, "\x1b[31m-replicas: 1\x1b[0m\n\x1b[32m+replicas: 2\x1b[0m" in out) == (1, True)


async def test_one_revision_is_compared_with_what_it_follows(world: World, git_repository: GitRepository) -> None:
    await world.register("blueprints", git_repository.url)
    first = await world.published(git_repository.url, "v1", ONE)
    code, out, told = await world.run(first, "--stat")
    assert (code, told) == (
        1,
        f"{first} compared with nothing: it is the first revision of a package without upstream\n",
    )
    assert out.endswith(" 2 files changed, 2 lines added, 0 lines removed\n")
    second = await world.published(git_repository.url, "v2", TWO)
    third = await world.draft(git_repository.url, "v3", TWO)
    assert await world.run(second, "--name-only") == (1, "a.yaml\n", f"{second} compared with {first}\n")
    assert await world.run(third) == (0, "", f"{third} compared with {second}\n")


async def test_a_clone_is_compared_with_its_upstream(
    world: World, git_repository: GitRepository, git_server: Any
) -> None:
    upstream = git_server.create()
    location = PackageLocation("", "base/web", "v1")
    files: Files = {name: File(data) for name, data in ONE.items()}
    await world.store.create_draft(
        Remote(upstream.url), "main", location, files, task=TaskType.INIT, create_branch=True
    )
    published = await publish(world.store, Remote(upstream.url), location)
    await world.register("blueprints", git_repository.url)
    lock = {"repo": upstream.url, "directory": "base/web", "ref": "base/web/v1", "commit": published.commit}
    clone = await world.draft(git_repository.url, "v1", TWO, upstreamLock={"type": "git", "git": lock})
    code, out, told = await world.run(clone, "--name-only")
    assert (code, out) == (1, "a.yaml\n")
    assert told == f"{clone} compared with upstream base/web at base/web/v1 in {upstream.url}\n"
    assert (await world.run(clone, "--upstream", "--name-only"))[:2] == (1, "a.yaml\n")


async def test_credentials_come_from_the_repositorys_secret(world: World, private_repository: Remote) -> None:
    basic = private_repository.credentials
    assert isinstance(basic, BasicAuth)
    await world.store.create_draft(
        private_repository,
        "main",
        PackageLocation("", "web", "v1"),
        {"Kptfile": File(b"kind: Kptfile\n")},
        task=TaskType.INIT,
        create_branch=True,
    )
    await world.register("blueprints", private_repository.url, secretRef={"name": "blueprints-auth"})
    name = await world.object_of("v1")
    code, _, told = await world.run(name, name)
    assert (code, "Secret 'blueprints-auth'" in told) == (2, True)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "blueprints-auth", "namespace": world.namespace},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"username": basic.username, "password": "wrong-word"},
    }
    await world.kube.create(SECRETS, secret)
    code, _, told = await world.run(name, name)
    assert (code, "wrong-word" in told, private_repository.display in told) == (2, False, True)
    right = {"stringData": {"password": basic.password}}
    await world.kube.merge_patch(SECRETS, world.namespace, "blueprints-auth", right)
    assert await world.run(name, name) == (0, "", "")


async def test_trouble_is_no_difference(world: World, git_repository: GitRepository) -> None:
    code, _, told = await world.run("blueprints.web.v1")
    assert (code, "there is no PackageRevision 'blueprints.web.v1'" in told) == (2, True)
    await world.register("blueprints", git_repository.url)
    name = await world.object_of("v1")
    code, _, told = await world.run(name, name)
    assert (code, f"{name} has no content yet" in told) == (2, True)
    await world.draft(git_repository.url, "v2", ONE)
    code, _, told = await world.run("blueprints.web.v2", "--upstream")
    assert (code, "has no upstream" in told) == (2, True)
    assert (await world.run(name, name, "--upstream"))[0] == 2
    code, _, told = await world.run(name, PORCHFLOW_KUBECONFIG="/nowhere")
    assert (code, "/nowhere" in told) == (2, True)


async def test_colour_is_for_terminals(world: World, git_repository: GitRepository) -> None:
    await world.register("blueprints", git_repository.url)
    old = await world.draft(git_repository.url, "v1", {**ONE, "bell": b"x\n"})
    new = await world.draft(git_repository.url, "v2", {**ONE, "bell": b"\a\x1b[2J\n"})
    shown = await asyncio.to_thread(_on_terminal, world, old, new, {"TERM": "xterm", "NO_COLOR": ""})
    assert b"\x1b[32m+^G^[[2J\x1b[0m" in shown
    plain = await asyncio.to_thread(_on_terminal, world, old, new, {"TERM": "xterm", "NO_COLOR": "1"})
    assert b"\x1b[3" not in plain
    assert b"+x" not in plain


def _on_terminal(world: World, old: str, new: str, environment: dict[str, str]) -> bytes:
    reading, writing = pty.openpty()
    env = {**os.environ, **world.environment, **environment}
    with subprocess.Popen(
        [*world.command, old, new, "--namespace", world.namespace], cwd=ROOT, env=env, stdout=writing
    ) as process:
        os.close(writing)
        shown = b"".join(_chunks(reading))
    os.close(reading)
    assert process.returncode == 1
    return shown


def _chunks(descriptor: int) -> Any:
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # Linux says EIO when the other end is closed.
            return
        if not chunk:
            return
        yield chunk


def _numbered(name: str, revision: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"revision": revision} if revision else {}}


@pytest.mark.parametrize(
    ("own", "siblings", "previous"),
    [
        (0, [], None),
        (0, [1, 2, 10], 10),
        (10, [1, 2, 10, 11], 2),
        (1, [1, 2], None),
        (-1, [1, 2], 2),
        (2, [0, -1], None),
    ],
)
def test_what_a_revision_follows(own: int, siblings: list[int], previous: int | None) -> None:
    found = previous_of(_numbered("own", own), [_numbered(f"other-{n}", n) for n in siblings if n != own])
    assert (found["status"]["revision"] if found else None) == previous
