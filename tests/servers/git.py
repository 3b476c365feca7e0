"""Git repositories behind a real HTTP server, looked at and changed with git itself."""

import os
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from porchflow.devstack.git.gitserver import GitServer, create_bare_repository
from tests.servers.faulty import Faults


@dataclass
class GitRepository:
    """A bare repository.

    Attributes:
        path: Its folder.
        url: Its address.
    """

    path: Path
    url: str

    def git(self, *arguments: str, stdin: str | None = None) -> str:
        """Run git in the bare repository and return what it printed."""
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments], capture_output=True, text=True, input=stdin, check=False
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def log(self, ref: str) -> list[str]:
        """Subjects of the commits, newest first."""
        return self.git("log", "--format=%s", ref).splitlines()

    def read(self, ref: str, path: str) -> str:
        return self.git("show", f"{ref}:{path}")

    def hook(self, name: str, script: str) -> None:
        """Install a hook; `git/hooks` says which there are."""
        file = self.path / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def remove_hook(self, name: str) -> None:
        (self.path / "hooks" / name).unlink()


class GitRepositories:
    """Makes repositories on one server."""

    def __init__(self, root: Path, server: GitServer, faults: Faults) -> None:
        self._root = root
        self.server = server
        self.faults = faults

    def create(self, name: str = "", default_branch: str = "main") -> GitRepository:
        """Make an empty repository; of a name that no other test has when none is given."""
        name = name or f"repo-{uuid.uuid4().hex[:8]}"
        path = create_bare_repository(self._root, name, default_branch, durable=False)
        return GitRepository(path, self.server.repository_url(name))


def commit_files(repository: GitRepository, branch: str, files: dict[str, str], message: str = "by hand") -> str:
    """Commit files on a branch as somebody with a clone would, over HTTP; return the commit's id."""
    clone = repository.path.parent / f"clone-{uuid.uuid4().hex[:8]}"
    _run("clone", "--quiet", repository.url, str(clone))
    exists = f"refs/heads/{branch}" in repository.refs()
    _run("-C", str(clone), "switch", "--quiet", *(() if exists else ("--orphan",)), branch)
    for name, content in files.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(content)
    _run("-C", str(clone), "add", "--all")
    _run("-C", str(clone), "commit", "--quiet", "--message", message)
    _run("-C", str(clone), "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
    return repository.refs()[f"refs/heads/{branch}"]


def _run(*arguments: str) -> None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"


def isolate_git() -> None:
    """Let git in this process and its children see no configuration of the user or the system."""
    os.environ.update(
        {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **{f"GIT_{who}_NAME": "somebody" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "somebody@example.com" for who in ("AUTHOR", "COMMITTER")},
        }
    )
