"""Commit messages, with the `kpt:{...}` line that states the purpose of a commit. Pure.

Source: docs/reference/porch-git-layout.md, "Commit messages".
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_PREFIX = "kpt:"
_NUMBER = re.compile("[0-9]{1,9}")
# Go's encoding/json escapes these characters in strings. The line is equal to Porch's byte for byte.
_GO_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class TaskType(StrEnum):
    """Task that a content commit was made for."""

    INIT = "init"
    CLONE = "clone"
    COPY = "edit"
    UPGRADE = "upgrade"
    RENDER = "render"
    SUBPACKAGE = "subpackage"
    """A subpackage of the draft that was cloned or upgraded."""
    PUSH = "patch"
    """Content that a user pushed through the content API; `render` means only porchflow's renderings."""


_SUBJECTS = {
    TaskType.INIT: "Creating new empty revision",
    TaskType.CLONE: "Creating new revision by cloning",
    TaskType.COPY: "Creating new revision by copying previous revision",
    TaskType.UPGRADE: "Upgrading revision",
    TaskType.RENDER: "Rendering package",
    TaskType.SUBPACKAGE: "Changing subpackage",
    TaskType.PUSH: "Changing package content",
}

_RENDERED = ", rendered"

_OPERATION = "Subpackage-operation: "
_APPROVED_BY = "Approved-by: "
_NAME_LIMIT = 256
"""Characters of a user's name in a commit at most."""

BRANCH_MESSAGE = "Initial commit: Creating main branch"


@dataclass(frozen=True)
class Annotation:
    """The `kpt:` line of a commit message. Empty strings mean absent."""

    package: str
    """Full path of the package in the repository."""
    workspace: str = ""
    revision: str = ""
    task: str = ""
    """Type of the task."""

    @property
    def number(self) -> int:
        """The revision as a number; 0 if it is no number."""
        return int(self.revision) if _NUMBER.fullmatch(self.revision) else 0

    @property
    def is_approval(self) -> bool:
        """Whether the commit published a revision."""
        return not self.task and self.number > 0


def format_annotation(annotation: Annotation) -> str:
    """Write the line, without line end."""
    fields: dict[str, Any] = {
        "package": annotation.package,
        "workspaceName": annotation.workspace,
        "revision": annotation.revision,
        "task": {"type": annotation.task} if annotation.task else None,
    }
    present = {key: value for key, value in fields.items() if value}
    return _PREFIX + json.dumps(present, separators=(",", ":"), ensure_ascii=False).translate(_GO_ESCAPES)


def parse_annotations(message: str) -> list[Annotation]:
    """Read every line that starts with `kpt:`; lines that are no JSON object are skipped."""
    return list(_parse(message)) if _PREFIX in message else []


def _parse(message: str) -> Iterator[Annotation]:
    for line in message.split("\n"):
        text = line.strip()
        if not text.startswith(_PREFIX):
            continue
        try:
            fields = json.loads(text.removeprefix(_PREFIX))
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict):
            yield _from_fields(fields)


def _from_fields(fields: dict[str, Any]) -> Annotation:
    task = fields.get("task")
    return Annotation(
        package=_text(fields, "package"),
        workspace=_text(fields, "workspaceName"),
        revision=_text(fields, "revision"),
        task=_text(task, "type") if isinstance(task, dict) else "",
    )


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def content_message(
    task: TaskType, package: str, workspace: str, *, rendered: bool = False, operation: str = ""
) -> str:
    """Return the message of a commit that makes or changes a draft.

    Args:
        task: Task that the commit is made for.
        package: Full path of the package in the repository.
        workspace: Workspace of the draft.
        rendered: Whether the task's content was rendered before the commit.
        operation: Digest of the subpackage operation that the commit is made for; empty for none.
    """
    line = format_annotation(Annotation(package, workspace, "0", task))
    trailer = f"\n{_OPERATION}{operation}\n" if operation else ""
    return f"{_SUBJECTS[task]}{_RENDERED if rendered else ''}\n\n\n{line}\n{trailer}"


def operation_of(message: str) -> str:
    """Return the digest of the subpackage operation that a commit was made for; empty for another commit."""
    last = message.rstrip("\n").rpartition("\n")[2]
    return last.removeprefix(_OPERATION) if last.startswith(_OPERATION) else ""


def says_rendered(message: str) -> bool:
    """Return whether a message states that the task's content was rendered before the commit."""
    return message.partition("\n")[0].endswith(_RENDERED)


def approval_message(package: str, workspace: str, revision: int, approver: str = "") -> str:
    """Return the message of the merge commit that publishes: Porch's, with a trailer if the approver is known."""
    line = format_annotation(Annotation(package, workspace, str(revision)))
    trailer = f"\n{_APPROVED_BY}{approver}\n" if _is_name(approver) else ""
    return f"Approving package revision {package}/{revision}\n\n{line}\n{trailer}"


def approver_of(message: str) -> str:
    """Return the approver in the message of a merge commit that publishes; empty if there is none."""
    if not any(annotation.is_approval for annotation in parse_annotations(message)):
        return ""
    last = message.rstrip("\n").rpartition("\n")[2]
    name = last.removeprefix(_APPROVED_BY)
    return name if last.startswith(_APPROVED_BY) and _is_name(name) else ""


def _is_name(text: str) -> bool:
    """Return whether a user's name can be written on a line of its own without looking like another line."""
    return 0 < len(text) <= _NAME_LIMIT and text.isprintable() and text == text.strip()


def delete_message(package: str) -> str:
    """Return the message of the commit that removes a package from the branch."""
    return f"Delete {package}"
