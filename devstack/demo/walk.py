"""Takes a sample package from nothing to Published, and reports each step."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

import click

from porchflow.api.models.conditions import raw_condition, raw_holding
from porchflow.cli.stack_state import StackRecord, StateFolder
from porchflow.devstack.demo.demo_repository import ensure_repository, git
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONRESOURCES, PACKAGEREVISIONS
from porchflow.workflows.ids import Attributes

REPOSITORY = "demo"
PACKAGE = "storefront"
CLONE = "storefront-eu"
NAMESPACE = "default"
CONTENT = Path(__file__).parent / PACKAGE

_POLL_SECONDS = 0.05
_STEP_SECONDS = 120.0


class DemoError(Exception):
    """The demo failed; the message names the step and the cause."""


class Demo:
    """One walk through the life of a package revision."""

    def __init__(self, folder: StateFolder, stack: StackRecord, client: KubeClient) -> None:
        """Create the walk; nothing is done yet.

        Args:
            folder: The state of the stack.
            stack: The running stack.
            client: The stack's API server.
        """
        self._folder = folder
        self._stack = stack
        self._client = client
        self._began = time.monotonic()
        self._workspace = ""
        self._draft = ""
        self._rendered = ""

    @property
    def name(self) -> str:
        """Name of the PackageRevision."""
        return f"{REPOSITORY}.{PACKAGE}.{self._workspace}"

    async def run(self) -> None:
        """Run all steps.

        Raises:
            DemoError: A step failed, or took too long.
            GitFailed: Git failed.
        """
        bare = await self._register()
        await self._create()
        await self._fill()
        await self._change()
        for lifecycle in ("Proposed", "Published"):
            await self._move(lifecycle)
        await self._clone()
        await self._show(bare)

    async def _register(self) -> Path:
        url = f"{self._stack.git}/{REPOSITORY}.git"
        bare = await asyncio.to_thread(ensure_repository, self._folder.git, self._stack.git, REPOSITORY)
        await self._apply(
            {
                "apiVersion": "config.porch.kpt.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"name": REPOSITORY, "namespace": NAMESPACE},
                "spec": {"type": "git", "git": {"repo": url, "branch": "main"}},
            }
        )
        self._say(f"registered Repository {REPOSITORY}, which is {url}")
        return bare

    async def _create(self) -> None:
        number, published = await self._made_before()
        self._workspace = f"v{number + 1}"
        source: Object = {"init": {"description": "A web shop front end", "keywords": ["shop", "web"]}}
        what = "an empty package, to be made by init"
        if published:
            source, what = {"copyFrom": {"name": published}}, f"the next revision, to be a copy of {published}"
        await self._apply(_package_revision(PACKAGE, self._workspace, source))
        self._say(f"created PackageRevision {self.name}: {what}")
        draft = await self._until("the draft is made and rendered", _is_ready)
        self._draft = _lock(draft)["commit"]
        self._say(f"it is a draft now, on branch {_lock(draft)['ref']} at {_lock(draft)['commit'][:12]}")

    async def _fill(self) -> None:
        files = {str(path.relative_to(CONTENT)): path.read_text() for path in CONTENT.rglob("*") if path.is_file()}
        made = await self._client.get(PACKAGEREVISIONRESOURCES, NAMESPACE, self.name)
        others = dict.fromkeys(made["spec"]["resources"].keys() - files.keys())
        commit = await self._push({**others, **files})
        self._say(f"pushed its content, {len(files)} files, by kubectl patch packagerevisionresources: {commit[:12]}")
        self._rendered = await self._until_rendered(commit)
        self._say(f"apply-setters and set-namespace have rendered it: {self._rendered[:12]}")

    async def _change(self) -> None:
        before = (CONTENT / "setters.yaml").read_text()
        began = time.monotonic()
        commit = await self._push({"setters.yaml": before.replace('replicas: "3"', 'replicas: "5"')})
        rendered = await self._until_rendered(commit)
        seconds = time.monotonic() - began
        self._say(f"changed one line of setters.yaml; {seconds:.2f} s later it is rendered: {rendered[:12]}")

    async def _push(self, files: Mapping[str, str | None]) -> str:
        """Change files of the package; None removes one. Returns the commit that has them."""
        patch = json.dumps({"spec": {"resources": files}})
        arguments = ("packagerevisionresources", self.name, "--type=merge", f"--patch={patch}")
        return await self._kubectl("patch", *arguments, "--output=jsonpath={.metadata.resourceVersion}")

    async def _until_rendered(self, commit: str) -> str:
        """Wait until a pushed commit is rendered; return the draft's commit after that."""
        before, self._draft = self._draft, ""

        def rendered(obj: Object) -> bool:
            # The status shows the lock a moment after the rendering.
            self._draft = _lock(obj)["commit"]
            return (
                _is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == commit and self._draft != before
            )

        await self._until("the content is rendered", rendered)
        return self._draft

    async def _move(self, lifecycle: str) -> None:
        patch = json.dumps({"spec": {"lifecycle": lifecycle}})
        await self._kubectl("patch", "packagerevisions", self.name, "--type=merge", f"--patch={patch}")
        moved = await self._until(f"it is {lifecycle}", _is_ready)
        revision = moved["status"].get("revision")
        number = f" as revision {revision}" if revision else ""
        self._say(f"it is {lifecycle}{number}: {_lock(moved)['ref']} at {_lock(moved)['commit'][:12]}")

    async def _clone(self) -> None:
        clone = _package_revision(CLONE, self._workspace, {"cloneFrom": {"upstreamRef": {"name": self.name}}})
        await self._apply(clone)
        name = clone["metadata"]["name"]
        made = await self._until("the clone is made and rendered", _is_ready, name)
        upstream = made["status"]["upstreamLock"]["git"]["ref"]
        self._say(f"cloned it as {name}: a package of its own that knows its upstream, {upstream}")

    async def _show(self, bare: Path) -> None:
        branch = await asyncio.to_thread(git, "log", "--graph", "--oneline", "--decorate", "-12", "--all", cwd=bare)
        tags = await asyncio.to_thread(
            git, "for-each-ref", "--format=%(refname) %(objectname:short)", "refs/tags", cwd=bare
        )
        changed = await asyncio.to_thread(git, "show", "--format=", self._rendered, cwd=bare)
        _section("Objects (kubectl get packagerevisions)", await self._kubectl("get", "packagerevisions"))
        _section("What the functions changed (git show)", changed)
        _section("Git log of all branches", branch)
        _section("Tags", tags)
        named = Attributes()
        identity = quote(
            f'{named.repository.name} = "{REPOSITORY}" AND {named.package.name} = "{PACKAGE}"'
            f' AND {named.workspace.name} = "{self._workspace}"'
        )
        _section(
            "Look around",
            f"Temporal UI, the runs of this object:  {self._stack.ui}/namespaces/default/workflows?query={identity}\n"
            f"kubectl:  export KUBECONFIG={self._folder.kubeconfig}\n"
            f"content:  kubectl edit packagerevisionresources (of a draft)\n"
            f"git:      git clone {self._stack.git}/{REPOSITORY}.git",
        )

    async def _made_before(self) -> tuple[int, str]:
        """Return the highest number of a workspace, 0 for none, and the newest published revision, empty for none."""
        prefix = f"{REPOSITORY}.{PACKAGE}.v"
        number, newest = 0, (0, "")
        async for obj in self._client.list_all(PACKAGEREVISIONS, NAMESPACE):
            name = obj["metadata"]["name"]
            if name.startswith(prefix) and name.removeprefix(prefix).isdigit():
                number = max(number, int(name.removeprefix(prefix)))
                newest = max(newest, ((obj.get("status") or {}).get("revision") or 0, name))
        return number, newest[1] if newest[0] > 0 else ""

    async def _until(self, what: str, holds: Callable[[Object], bool], name: str = "") -> Object:
        deadline = time.monotonic() + _STEP_SECONDS
        while True:
            obj = await self._client.get(PACKAGEREVISIONS, NAMESPACE, name or self.name)
            if holds(obj):
                return obj
            stalled = raw_condition(obj, "Stalled")
            if stalled or time.monotonic() > deadline:
                why = (stalled or raw_condition(obj, "Ready")).get("message", "the object has no status yet")
                raise DemoError(f"waited until {what}, but: {why}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _apply(self, manifest: Object) -> None:
        await self._kubectl("apply", "--filename=-", stdin=json.dumps(manifest))

    async def _kubectl(self, *arguments: str, stdin: str = "") -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            ["kubectl", f"--kubeconfig={self._folder.kubeconfig}", f"--namespace={NAMESPACE}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.rstrip()

    def _say(self, line: str) -> None:
        click.echo(f"{time.monotonic() - self._began:7.2f} s  {line}")


def _package_revision(package: str, workspace: str, source: Object) -> Object:
    return {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {"name": f"{REPOSITORY}.{package}.{workspace}", "namespace": NAMESPACE},
        "spec": {
            "packageName": package,
            "repository": REPOSITORY,
            "workspaceName": workspace,
            "lifecycle": "Draft",
            "source": source,
        },
    }


def _section(title: str, text: str) -> None:
    click.echo(f"\n{title}\n{'-' * len(title)}\n{text}")


def _is_ready(obj: Object) -> bool:
    fresh = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return fresh and bool(raw_holding(obj, "Ready"))


def _lock(obj: Object) -> dict[str, str]:
    lock: dict[str, str] = obj["status"]["selfLock"]["git"]
    return lock
