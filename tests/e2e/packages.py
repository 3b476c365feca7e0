"""Package content as a user would push it: with plain git to the draft branch."""

import asyncio
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

KPTFILE = """\
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: web
  annotations:
    config.kubernetes.io/local-config: "true"
info:
  description: a web app
pipeline:
  mutators:
    # keep this comment
    - image: apply-setters:v0.2.2
      configMap:
        replicas: "3"
    - image: set-namespace:v0.4.5
      configMap:
        namespace: shop
"""

DEPLOYMENT = """\
# The web app.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: example
spec:
  replicas: 1 # kpt-set: ${replicas}
  selector: {matchLabels: {app: web}}
"""

RENDERED_DEPLOYMENT = DEPLOYMENT.replace("namespace: example", "namespace: shop").replace(
    "replicas: 1 #", "replicas: 3 #"
)

_AS_USER = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(*arguments: str, cwd: Path) -> str:
    """Run git as a user and return what it prints."""
    result = subprocess.run(
        ["git", *arguments], cwd=cwd, env={**os.environ, **_AS_USER}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"git {' '.join(arguments)}: {result.stderr}"
    return result.stdout.strip()


async def push_content(url: str, branch: str, path: str, files: Mapping[str, str | bytes], work: Path) -> str:
    """Put files into a package on a branch, over what is there, and push. Returns the new commit."""
    # In a thread: the Git server runs in this event loop.
    return await asyncio.to_thread(_push_content, url, branch, path, files, work)


def _push_content(url: str, branch: str, path: str, files: Mapping[str, str | bytes], work: Path) -> str:
    clone = work / f"clone-{os.urandom(4).hex()}"
    git("clone", "-q", "--branch", branch, url, str(clone), cwd=work)
    for name, content in files.items():
        target = clone / path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    git("add", "--all", cwd=clone)
    git("commit", "-q", "-m", "new content", cwd=clone)
    git("push", "-q", "origin", branch, cwd=clone)
    return git("rev-parse", "HEAD", cwd=clone)


def messages(bare: Path, revision: str) -> list[str]:
    """Subjects of the commits of a revision, newest first."""
    return git("log", "--format=%s", revision, cwd=bare).splitlines()


def refs(bare: Path) -> dict[str, str]:
    """All refs of a repository."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=bare).splitlines()
    return dict(line.split(" ") for line in lines)


def show(bare: Path, revision: str, path: str) -> str:
    """The text of a file in a revision."""
    return git("show", f"{revision}:{path}", cwd=bare) + "\n"
