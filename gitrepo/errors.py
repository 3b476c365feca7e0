"""What can go wrong with a remote Git repository, in the words of people, and servers' answers sorted into it."""

from http import HTTPStatus
from typing import Final

_HTTP_REFUSED: Final = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_HTTP_ABSENT: Final = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}

# Git has no code for a full or limited server. These are words of Git's receive-pack and index-pack and common hosts.
_QUOTA_WORDS = ("quota", "no space left", "maximum allowed size", "exceeds maximum", "too large", "size limit")

_CHECK_WORDS = ("fsck", "invalid object", "bad object")
"""Words of git and JGit about objects that a check of each (`receive.fsckObjects`) keeps them from storing."""

# Words of ssh, and of git and common hosts over any protocol.
_REFUSED_WORDS = ("authenticat", "public key", "publickey", "permission denied", "access denied", "passphrase")
_ABSENT_WORDS = ("does not appear to be a git repository", "no such repository", "not found", "not our ref")


class GitError(Exception):
    """An operation on a remote failed; the message names the operation and the repository or ref."""


class GitAuthError(GitError):
    """The server refused the credentials, or requires some and there are none."""


class GitRefusedBefore(GitAuthError):  # noqa: N818 - named for what happened
    """The server refused these credentials a moment ago, and was not asked again."""

    def __init__(self, message: str, refused_at: float = 0.0) -> None:
        """Create the error.

        Args:
            message: What happened.
            refused_at: When the server refused, in seconds since the epoch.
        """
        super().__init__(message)
        self.refused_at = refused_at


class GitCertificateError(GitError):
    """The server's certificate is not trusted."""


class GitHostKeyError(GitError):
    """The host key of an SSH server is not among the known ones."""


class GitHookDeclined(GitError):  # noqa: N818 - named for what happened
    """The server refused an update by a rule, hook or check of objects; the message contains its words."""


class GitConflict(GitError):  # noqa: N818 - named for what happened
    """The repository is not in the state that the change starts from: a ref moved, exists, or blocks another one."""


class GitAddressDenied(GitError):  # noqa: N818 - named for what happened
    """The server has an address that the authors of packages may not name."""


class GitPackageExists(GitConflict):
    """Content from init or clone would replace files that its directory holds already."""


class GitPackageOverlap(GitConflict):
    """A package would lie below or above another one, so that their files would mix."""


class GitNotFound(GitError):  # noqa: N818 - named for what happened
    """The repository, ref, commit or directory does not exist."""


class GitBranchMissing(GitNotFound):
    """The Repository's branch does not exist in a repository that is not empty."""


class GitUnavailable(GitError):  # noqa: N818 - named for what happened
    """The server does not answer, or answers with an error of its own; the error is transient."""


class GitUnsupported(GitError):  # noqa: N818 - named for what happened
    """The repository or its server has a form that is not supported; the same call never works."""


class GitNoCommit(GitNotFound):
    """A ref or an id leads to another object than a commit, or to none that can be read as one."""


class GitQuotaExceeded(GitError):  # noqa: N818 - named for what happened
    """A size limit is exceeded: the server's, or one of `porchflow.api.limits`."""


def speaks_of_quota(text: str) -> bool:
    """Return whether a server's words mean that something is too large or full."""
    return any(word in text.lower() for word in _QUOTA_WORDS)


def not_stored(where: str, words: str) -> GitError:
    """Sort what a server says that could not store the objects of a push.

    Args:
        where: The repository.
        words: What the server says.
    """
    message = f"{where} cannot store what was pushed; the server says: {words}"
    if speaks_of_quota(words):
        return GitQuotaExceeded(message)
    checked = any(word in words.lower() for word in _CHECK_WORDS)
    return GitHookDeclined(message) if checked else GitError(message)


def from_words(text: str) -> GitError:
    """Sort a server's refusal in words: there are no codes for it.

    Args:
        text: What the server says.
    """
    words = text.lower()
    if speaks_of_quota(text):
        return GitQuotaExceeded(text)
    if any(phrase in words for phrase in _REFUSED_WORDS):
        return GitAuthError(text)
    if any(phrase in words for phrase in _ABSENT_WORDS):
        return GitNotFound(text)
    return GitUnavailable(text)


def from_status(status: int, words: str) -> GitError:
    """Sort a server's refusal over HTTP.

    Args:
        status: Its code.
        words: What the server says besides; may be empty.
    """
    phrase = next((f" ({known.phrase})" for known in HTTPStatus if known == status), "")
    text = f"the server answers with HTTP status {status}{phrase}{f': {words}' if words else ''}"
    if status in _HTTP_REFUSED:
        return GitAuthError(text)
    if status in _HTTP_ABSENT:
        return GitNotFound(f"{text}; there is no repository, or these credentials do not show it")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return GitQuotaExceeded(text)
    return GitUnavailable(text)
