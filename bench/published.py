"""A repository full of published packages, written at once as if Porch had published one after another."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from porchflow.devstack.git.gitserver import create_bare_repository

WORKSPACE = "v1"
_WHO = "Package Orchestration Service <porch@kpt.dev>"
_START = 1_700_000_000


def write_published(root: Path, name: str, packages: Sequence[str]) -> None:
    """Make a bare repository in which each package has one published revision.

    Args:
        root: Folder that the Git server serves.
        name: Name of the repository.
        packages: Their paths.
    """
    bare = create_bare_repository(root, name)
    stream = b"".join(_published(number, package) for number, package in enumerate(packages))
    for arguments, data in ((("fast-import", "--quiet"), stream), (("update-ref", "-d", "refs/heads/content"), b"")):
        subprocess.run(["git", "-C", str(bare), *arguments], input=data, check=True)


def _published(number: int, package: str) -> bytes:
    """Return a content commit and the approval that merges and tags it."""
    content, approval, before = 2 * number + 1, 2 * number + 2, 2 * number
    annotation = f'"package":"{package}","workspaceName":"{WORKSPACE}"'
    drafted = (
        "Creating new revision by copying previous revision\n\n\n"
        f'kpt:{{{annotation},"revision":"0","task":{{"type":"edit"}}}}\n'
    )
    approved = f'Approving package revision {package}/1\n\nkpt:{{{annotation},"revision":"1"}}\n'
    first = [before] if before else []
    return (
        _commit("refs/heads/content", content, drafted, first, package)
        + _commit("refs/heads/main", approval, approved, [*first, content], package)
        + f"reset refs/tags/{package}/v1\nfrom :{approval}\n\n".encode()
    )


def _commit(ref: str, mark: int, message: str, parents: Sequence[int], package: str) -> bytes:
    when = f"{_WHO} {_START + mark} +0000"
    head = f"commit {ref}\nmark :{mark}\nauthor {when}\ncommitter {when}\n"
    lines = "".join(f"{'merge' if number else 'from'} :{parent}\n" for number, parent in enumerate(parents))
    kptfile = f"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: {package}\ninfo:\n  description: a package\n"
    file = f"M 100644 inline {package}/Kptfile\n".encode() + data_of(kptfile)
    return head.encode() + data_of(message) + lines.encode() + file + b"\n"


def data_of(text: str) -> bytes:
    """Return text in the form of `git fast-import`."""
    encoded = text.encode()
    return b"data %d\n%s\n" % (len(encoded), encoded)
