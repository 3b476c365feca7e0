from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

_LONGEST_PATH = 1000


class PackageError(Exception):
    """A package cannot be processed until a person changes its content."""


class InvalidPackage(PackageError):  # noqa: N818 - says what is the matter, like the names of the other kinds
    """A file of the package is wrong.

    Attributes:
        path: the file, relative to the package root.
        reason: what is wrong with it.
        hint: how to mend it; may be empty.
    """

    def __init__(self, path: str, reason: str, hint: str = "") -> None:
        super().__init__(path, reason, hint)
        self.path = path
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        text = f"{shown(self.path, _LONGEST_PATH)}: {self.reason}" if self.path else self.reason
        return f"{text}; {self.hint}" if self.hint else text


class LocalChanges(PackageError):  # noqa: N818 - says what is the matter, like the names of the other kinds
    """A package was changed where only an unchanged one can be updated.

    Attributes:
        files: the files that differ from the upstream the package was made from, sorted.
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
"""What is raised for content that a person has to change."""


@dataclass
class FunctionFailed(Exception):  # noqa: N818 - an outcome more than an error
    """A function ran and failed, or answered with something unusable. Data for the render outcome, never retried.

    Attributes:
        image: the resolved image name.
        message: what failed, for people.
        stderr: what the function wrote to its log.
        exit_code: of the function; 1 when it did not report one.
        resource_list: what it answered, which may hold results; None when it answered nothing.
        ran: False when the function could not even be started, and never will be for this input.
    """

    image: str
    message: str
    stderr: str = ""
    exit_code: int = 1
    resource_list: bytes | None = field(default=None, repr=False)
    ran: bool = True

    def __str__(self) -> str:
        return self.message
