"""Paths, branches and tags of package revisions. Pure.

Source: docs/reference/porch-git-layout.md, "Branches and tags".
"""

import re
from dataclasses import dataclass

HEADS = "refs/heads/"
TAGS = "refs/tags/"
DRAFTS = HEADS + "drafts/"
PROPOSED = HEADS + "proposed/"
DELETION_PROPOSED = HEADS + "deletionProposed/"

UNNUMBERED = -1
"""Revision number of a tag that is no number, and of the package on the Repository's branch."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_LENGTH = 63
_OBJECT_ID = re.compile("[0-9a-f]{40}")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")
_NUMBER = re.compile(r"v?(0|[1-9][0-9]{0,8})")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")


class InvalidName(ValueError):  # noqa: N818 - named for what happened
    """A name or path that cannot be used in Git or as part of a package's name."""


@dataclass(frozen=True)
class PackageLocation:
    """One revision of one package, by its names.

    Construction refuses only unsafe names and invalid refs, because a revision that is found in Git may have a name
    that `check_new` refuses.

    Raises:
        InvalidName: A name is unsafe, or Git does not allow it.
    """

    directory: str
    """The Repository's directory; empty for its root."""
    package: str
    """Package path below the directory; may contain slashes."""
    workspace: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", self.directory.strip("/"))
        if self.directory:
            _check_path("repository directory", self.directory)
        _check_path("package name", self.package)
        _check_path("workspace name", self.workspace)

    @property
    def path(self) -> str:
        """The package's directory in the repository."""
        return f"{self.directory}/{self.package}" if self.directory else self.package

    @property
    def draft_ref(self) -> str:
        """Branch of the draft."""
        return f"{DRAFTS}{self.path}/{self.workspace}"

    @property
    def proposed_ref(self) -> str:
        """Branch of the proposal."""
        return f"{PROPOSED}{self.path}/{self.workspace}"

    @property
    def tag_prefix(self) -> str:
        """Prefix of the package's tags."""
        return f"{TAGS}{self.path}/"

    def tag_ref(self, revision: int) -> str:
        """Lightweight tag of a published revision."""
        return f"{self.tag_prefix}v{revision}"

    def deletion_proposed_ref(self, revision: int | None = None) -> str:
        """Branch that marks a published revision for deletion.

        Args:
            revision: Its number; below 1 or None for a revision without number, whose branch has its workspace's name.
        """
        suffix = f"v{revision}" if revision is not None and revision > 0 else self.workspace
        return f"{DELETION_PROPOSED}{self.path}/{suffix}"

    def check_new(self) -> None:
        """Refuse names that porchflow does not create.

        Raises:
            InvalidName: A part is no DNS-1123 label: the names become part of an object's name
                (docs/reference/porch-api.md, "Object names").
        """
        for part in self.package.split("/"):
            _check_label("package name", self.package, part)
        _check_label("workspace name", self.workspace, self.workspace)


@dataclass(frozen=True)
class ParsedRef:
    """The parts of a ref of a package revision."""

    path: str
    """Full path of the package in the repository."""
    suffix: str
    """Last part of the ref: the workspace of a branch, `vN` or another word of a tag."""
    revision: int
    """0 for drafts and proposals; a tag's number, or -1."""

    def location(self, directory: str, workspace: str | None = None) -> PackageLocation | None:
        """Return the location of the revision below a Repository's directory; None if it lies outside.

        Args:
            directory: The Repository's directory.
            workspace: The revision's workspace if the suffix is another.
        """
        directory = directory.strip("/")
        prefix = f"{directory}/" if directory else ""
        if not self.path.startswith(prefix) or self.path == prefix:
            return None
        return PackageLocation(directory, self.path.removeprefix(prefix), workspace or self.suffix)


def parse_draft_ref(ref: str) -> ParsedRef | None:
    """Parse a draft's branch; None for another ref."""
    return _parse(ref, DRAFTS)


def parse_proposed_ref(ref: str) -> ParsedRef | None:
    """Parse a proposal's branch; None for another ref."""
    return _parse(ref, PROPOSED)


def parse_tag_ref(ref: str) -> ParsedRef | None:
    """Parse a tag; None for another ref, and for a tag without a slash, which belongs to no package."""
    parsed = _parse(ref, TAGS)
    return ParsedRef(parsed.path, parsed.suffix, revision_of(parsed.suffix)) if parsed else None


def revision_of(suffix: str) -> int:
    """Parse a revision number, `vN` or `N`; -1 for another word.

    Source: docs/reference/porch-git-layout.md, "Revision numbers and workspaces".
    """
    match = _NUMBER.fullmatch(suffix)
    return int(match[1]) if match else UNNUMBERED


def branch_workspace(branch: str) -> str:
    """Return the workspace of the packages on a Repository's branch: its name, as far as an object's name can hold it.

    Source: docs/reference/porch-git-layout.md, "Revision numbers and workspaces".
    """
    return _NOT_IN_NAMES.sub("-", branch.lower()).strip("-.") or "branch"


def is_object_id(text: str) -> bool:
    """Return whether a text is the whole id of an object: 40 hexadecimal digits, in lower case."""
    return _OBJECT_ID.fullmatch(text) is not None


def short_ref(ref: str) -> str:
    """Return the short form of a ref, as in locks: `drafts/P/w`, `P/v1`, `main`."""
    return ref.removeprefix(HEADS).removeprefix(TAGS)


def branch_ref(branch: str) -> str:
    """Return the ref of a branch.

    Raises:
        InvalidName: No branch can have this name.
    """
    _check_path("branch", branch)
    return HEADS + branch


def _parse(ref: str, prefix: str) -> ParsedRef | None:
    path, slash, suffix = ref.removeprefix(prefix).rpartition("/")
    if not ref.startswith(prefix) or not slash or not path:
        return None
    return ParsedRef(path, suffix, 0)


def _check_path(what: str, path: str) -> None:
    """Refuse paths that git-check-ref-format refuses, or that leave the repository or enter its `.git`."""
    if not path:
        raise InvalidName(f"the {what} is empty")
    if _FORBIDDEN.search(path):
        raise InvalidName(f"{what} {path!r} holds a space, '..', '//' or a character that Git does not allow")
    for part in path.split("/"):
        if not part:
            raise InvalidName(f"{what} {path!r} must not start or end with a slash")
        if part.startswith((".", "-")) or part.endswith((".", ".lock")) or part.lower() == ".git":
            raise InvalidName(f"{what} {path!r}: Git does not allow {part!r} as a part of a name")


def _check_label(what: str, name: str, part: str) -> None:
    if len(part) > _LABEL_LENGTH or not _LABEL.fullmatch(part):
        raise InvalidName(
            f"{what} {name!r}: {part!r} must be a DNS label: at most 63 lower case letters, digits and '-',"
            " starting and ending with a letter or digit"
        )
