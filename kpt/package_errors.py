from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

_LONGEST_PATH = 1000


class PackageError(Exception):
    """A package cannot be processed until a user changes its content."""


class InvalidPackage(PackageError):  # noqa: N818 - the name states the problem, like those of the other kinds
    """A file of the package is wrong.

    Attributes:
        path: Path of the file, relative to the package root; empty for the package as a whole.
        reason: The problem.
        hint: How to mend it; may be empty.
    """

    def __init__(self, path: str, reason: str, hint: str = "") -> None:
        super().__init__(path, reason, hint)
        self.path = path
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        text = f"{shown(self.path, _LONGEST_PATH)}: {self.reason}" if self.path else self.reason
        return f"{text}; {self.hint}" if self.hint else text


class LocalChanges(PackageError):  # noqa: N818 - the name states the problem, like those of the other kinds
    """A package has local changes, and its update strategy requires that it has none.

    Attributes:
        files: Paths of the files that differ from the upstream that the package was made from, sorted.
    """

    _TOLD = 10

    def __init__(self, files: Sequence[str]) -> None:
        super().__init__(files)
        self.files = tuple(sorted(files))

    def __str__(self) -> str:
        told = ", ".join(self.files[: self._TOLD])
        more = f" and {len(self.files) - self._TOLD} more" if len(self.files) > self._TOLD else ""
        return (
            "fast-forward needs a package without local changes, but these files differ from its upstream:"
            f" {told}{more}; use resource-merge to keep the changes, or force-delete-replace to drop them"
        )


CONTENT_ERRORS: Final = (PackageError, YamlError)
"""Errors about content that a user has to change."""


@dataclass
class FunctionFailed(Exception):  # noqa: N818 - it is an outcome more than an error
    """A function ran and failed, or its answer cannot be used. It becomes the outcome of the rendering: no retries.

    Attributes:
        image: Full name of the image.
        message: The failure, for users.
        stderr: Log of the function.
        exit_code: Exit code of the function; 1 if it reported none.
        resource_list: Its answer, a serialised ResourceList that may hold results; None without an answer.
        ran: False if the function could not be started, and another attempt with this input could not either.
    """

    image: str
    message: str
    stderr: str = ""
    exit_code: int = 1
    resource_list: bytes | None = field(default=None, repr=False)
    ran: bool = True

    def __str__(self) -> str:
        return self.message
