"""Content that people push with plain Git, through the Git server's bad days."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from porchflow.devstack.demo.demo_repository import GitFailed, cloned, git
from soak.places import Key

LABEL = {"team": "soak"}
"""Set by a function of every package that content was pushed to."""
NOTES = "notes"

_PIPELINE = """\
pipeline:
  mutators:
    - image: set-labels:v0.2.0
      configMap:
        team: soak
"""

_NOTE = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {token}
data:
  # a comment that stays
  text: {token} of {user}
"""


def note_path(token: str) -> str:
    """Return the path of a note in its package."""
    return f"{NOTES}/{token}.yaml"


def note(token: str, user: str) -> str:
    """Return the text of a note."""
    return _NOTE.format(token=token, user=user)


def push_note(url: str, key: Key, token: str, user: str, before: list[str]) -> str:
    """Push a note to the draft of an object; the package's first push gives it a pipeline.

    Args:
        url: Of the Git repository.
        key: The object.
        token: The note.
        user: Its author.
        before: Commits of earlier attempts; receives this one.

    Returns:
        The commit that the draft has got.

    Raises:
        GitFailed: The push did not succeed, or nobody knows.
    """

    def change(clone: Path) -> None:
        _write(clone / key.path, token, user)

    return _push(url, key.draft, change, (token, user), before)


def push_readme(url: str, token: str, user: str, before: list[str]) -> str:
    """Push a file beside all packages to the branch of published packages; else as `push_note`.

    Raises:
        GitFailed: The push did not succeed, or nobody knows.
    """

    def change(clone: Path) -> None:
        (clone / f"README-{token}.md").write_text(f"{token} of {user}\n", encoding="utf-8")

    return _push(url, "refs/heads/main", change, (token, user), before)


def _push(url: str, ref: str, change: Callable[[Path], None], by: tuple[str, str], before: list[str]) -> str:
    (token, user), branch = by, ref.removeprefix("refs/heads/")
    with cloned(url) as clone:
        git("switch", "--quiet", branch, cwd=clone)
        for commit in before:
            if contains(clone, "HEAD", commit):
                return commit
        tip = git("rev-parse", "HEAD", cwd=clone)
        change(clone)
        git("add", "--all", cwd=clone)
        git("-c", f"user.name={user}", "commit", "--quiet", "--message", f"Add {token}", cwd=clone)
        commit = git("rev-parse", "HEAD", cwd=clone)
        before.append(commit)
        # With a lease: a branch that has just been proposed is not made again.
        git("push", "--quiet", f"--force-with-lease={branch}:{tip}", "origin", f"HEAD:{ref}", cwd=clone)
        return commit


def _write(package: Path, token: str, user: str) -> None:
    path = package / note_path(token)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(note(token, user), encoding="utf-8")
    kptfile = package / "Kptfile"
    text = kptfile.read_text(encoding="utf-8")
    if "pipeline:" not in text:
        kptfile.write_text(f"{text.rstrip()}\n{_PIPELINE}", encoding="utf-8")


def contains(repository: Path, ref: str, commit: str) -> bool:
    """Return whether a commit is in the history of a ref."""
    command = ["git", "-C", str(repository), "merge-base", "--is-ancestor", commit, ref]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def tip_of(bare: Path, ref: str) -> str:
    """Return the commit of a ref on disk; empty where there is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", ref, cwd=bare)
    except GitFailed:
        return ""
