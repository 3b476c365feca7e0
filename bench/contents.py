"""New content for drafts, written into Git at once: the state that a push to each of them would leave."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.published import data_of
from porchflow.devstack.demo.demo_repository import git

_WHO = "bench <bench@example.com> 1700000000 +0000"
_MESSAGE = "a push of the benchmark"


def write_contents(bare: Path, drafts: Mapping[str, tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Replace the content of drafts by other content, one commit each.

    Args:
        bare: The repository.
        drafts: For each draft branch the path of its package, and the package's files.

    Returns:
        The new commit of each branch.
    """
    stream = b"".join(_commit(branch, path, files) for branch, (path, files) in drafts.items())
    subprocess.run(["git", "-C", str(bare), "fast-import", "--quiet"], input=stream, check=True)
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=bare)
    commits = dict(line.split() for line in listed.splitlines())
    return {branch: commits[branch] for branch in drafts}


def _commit(branch: str, path: str, files: Mapping[str, str]) -> bytes:
    head = f"commit {branch}\nauthor {_WHO}\ncommitter {_WHO}\n".encode() + data_of(_MESSAGE)
    # A commit that names the branch's own tip as its parent continues the branch.
    changes = [f"M 100644 inline {path}/{name}\n".encode() + data_of(text) for name, text in files.items()]
    return head + f"from {branch}^0\ndeleteall\n".encode() + b"".join(changes) + b"\n"
