"""Packages to clone, as somebody with git makes them: with a program, a link, a subpackage, and a binary."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from porchflow.api.names import SECRET_HOSTS_ANNOTATION
from porchflow.api.work.needs import Phase
from porchflow.kube.client import Object
from porchflow.kube.kinds import SECRETS
from tests.activities.world import World
from tests.e2e.packages import git

UPSTREAM_KPTFILE = """\
# What a web app needs.
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: app   # upstream's name
info:
  description: a web app
"""

CONTEXT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: kptfile.kpt.dev
  annotations:
    config.kubernetes.io/local-config: "true"
data:
  name: example # whoever it is
"""

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: blue}\n"

BINARY = bytes(range(256)) * 4

FILES: dict[str, str | bytes] = {
    "Kptfile": UPSTREAM_KPTFILE,
    "package-context.yaml": CONTEXT,
    "settings.yaml": CONFIG,
    "logo.png": BINARY,
    "db/Kptfile": UPSTREAM_KPTFILE.replace("app ", "db "),
    "db/package-context.yaml": CONTEXT,
}


def fill(folder: Path, files: Mapping[str, str | bytes] = FILES) -> None:
    """Write files to a folder, with a program and a link to it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "start").symlink_to("run.sh")


async def push_tree(url: str, branch: str, change: Callable[[Path], object], work: Path, tag: str = "") -> str:
    """Change a clone, commit, push and tag. Returns the new commit."""

    def push() -> str:
        clone = work / f"clone-{os.urandom(4).hex()}"
        git("clone", "-q", url, str(clone), cwd=work)
        exists = git("ls-remote", "--heads", "origin", branch, cwd=clone)
        git("switch", "-q", *(() if exists else ("--orphan",)), branch, cwd=clone)
        change(clone)
        git("add", "--all", cwd=clone)
        git("commit", "-q", "-m", "content", cwd=clone)
        git("push", "-q", "origin", branch, cwd=clone)
        if tag:
            git("tag", "-a", "-m", "released", tag, cwd=clone)
            git("push", "-q", "origin", tag, cwd=clone)
        return git("rev-parse", "HEAD", cwd=clone)

    return await asyncio.to_thread(push)


def tree(bare: Path, revision: str) -> dict[str, str]:
    """Mode and object id of each file of a revision's directory (`commit:path`)."""
    lines = git("ls-tree", "-r", revision, cwd=bare).splitlines()
    parts = [line.replace("\t", " ").split(" ", 3) for line in lines]
    return {name: f"{mode} {oid}" for mode, _, oid, name in parts}


def raw(bare: Path, revision: str, path: str) -> bytes:
    """The bytes of a file in a revision."""
    return subprocess.run(
        ["git", "-C", str(bare), "cat-file", "blob", f"{revision}:{path}"], capture_output=True, check=True
    ).stdout


async def create_secret(world: World, name: str, username: str, password: str, *, hosts: str) -> None:
    """Make a Secret with credentials for some Git servers."""
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": world.namespace, "annotations": {SECRET_HOSTS_ANNOTATION: hosts}},
        "type": "kubernetes.io/basic-auth",
        "stringData": {"username": username, "password": password},
    }
    await world.kube.create(SECRETS, body)


def clone_of(name: str) -> dict[str, Any]:
    """A source that clones a PackageRevision."""
    return {"cloneFrom": {"upstreamRef": {"name": name}}}


def clone_from_git(url: str, ref: str, directory: str, secret: str = "") -> dict[str, Any]:
    """A source that clones from a Git repository."""
    named = {"secretRef": {"name": secret}} if secret else {}
    return {"cloneFrom": {"type": "git", "git": {"repo": url, "ref": ref, "directory": directory, **named}}}


async def publish_upstream(world: World, workspace: str = "v1", fill: Callable[[Path], object] = fill) -> str:
    """Publish `blueprints.web.<workspace>` with the content of `fill`."""
    name = await world.draft(workspace)
    await publish(world, name, world.git.url, f"drafts/web/{workspace}", lambda clone: fill(clone / "web"))
    return name


async def publish(
    world: World, name: str, url: str, branch: str, change: Callable[[Path], object] | None = None
) -> None:
    """Change a draft in Git, render, propose and publish it."""
    if change is not None:
        pushed = await push_tree(url, branch, change, world.folder)
        await world.annotate(name, render_request=pushed)
        await world.run(Phase.RENDER, name)
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)


async def create_clone(world: World, source: dict[str, Any], package: str = "shop/web", workspace: str = "v1") -> str:
    name = f"deployments.{package.replace('/', '.')}.{workspace}"
    return await world.create(workspace, name=name, repository="deployments", packageName=package, source=source)


def git_of(obj: Object, lock: str) -> dict[str, str]:
    found: dict[str, str] = obj["status"][lock]["git"]
    return found
