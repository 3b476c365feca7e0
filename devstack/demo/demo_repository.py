"""The demo's Git repository, used as a person would use it: with git."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from porchflow.devstack.git.gitserver import create_bare_repository

_AUTHOR = "porchflow demo"
_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{who}_NAME": _AUTHOR for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "demo@example.com" for who in ("AUTHOR", "COMMITTER")},
}


class GitFailed(Exception):  # noqa: N818 - says what happened
    """A git command failed; the message holds its output."""


def git(*arguments: str, cwd: Path) -> str:
    """Run git without the user's configuration and return what it prints.

    Raises:
        GitFailed: It ended with an error.
    """
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env={**os.environ, **_ENVIRONMENT}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GitFailed(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.rstrip()


def ensure_repository(root: Path, url: str, name: str) -> Path:
    """Make a bare repository with a first commit on main, unless it exists.

    Args:
        root: Folder that the Git server serves.
        url: Address of the Git server.
        name: Name of the repository.

    Returns:
        The folder of the bare repository.
    """
    bare = root / f"{name}.git"
    if not bare.exists():
        create_bare_repository(root, name)
    if not git("for-each-ref", "refs/heads/main", cwd=bare):
        with cloned(f"{url}/{name}.git") as clone:
            (clone / "README.md").write_text("Packages of the porchflow demo.\n")
            git("add", "README.md", cwd=clone)
            git("commit", "--quiet", "--message", "Start the repository", cwd=clone)
            git("push", "--quiet", "origin", "HEAD:refs/heads/main", cwd=clone)
    return bare


@contextmanager
def cloned(url: str) -> Iterator[Path]:
    """Clone a repository; the clone exists while the context is open."""
    with tempfile.TemporaryDirectory(prefix="porchflow-demo-") as folder:
        clone = Path(folder) / "clone"
        git("clone", "--quiet", url, str(clone), cwd=Path(folder))
        yield clone
