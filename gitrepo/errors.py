"""Errors of remote Git repositories, and the sorting of libgit2's errors into them."""

import re

import pygit2

from porchflow.api.git_address import without_secrets

_STATUS = re.compile(r"status code: (\d{3})")

# libgit2's error classes (git_error_t in git2/errors.h). pygit2 has only the numbers.
_CLASS_OS = 2
_CLASS_NET = 12
_CLASS_SSL = 16
_CLASS_SSH = 23
_CLASS_HTTP = 34
_LOCAL_CLASSES = {4, 5, 6, 9, 11, 14, 15}
"""References, zlib, repository, object database, objects, trees, pack indexer."""
_NETWORK_CLASSES = {_CLASS_OS, _CLASS_NET, _CLASS_SSL}

_HTTP_TOO_LARGE = 413
_HTTP_REFUSED = {401, 403}
_HTTP_ABSENT = {404, 410}

# Git has no code for a full or limited server. These are words of Git's receive-pack and index-pack and common hosts.
_QUOTA_WORDS = ("quota", "no space left", "maximum allowed size", "exceeds maximum", "too large", "size limit")

_DUMB_TYPES = ("text/plain", "application/octet-stream")
"""Types that file servers give `info/refs`, which has no ending."""

# Words of libssh2, and of Git and common hosts over SSH.
_SSH_REFUSED = ("authenticat", "public key", "publickey", "permission denied", "access denied", "passphrase")
_SSH_ABSENT = ("does not appear to be a git repository", "repository not found", "no such repository", "not found")


class GitError(Exception):
    """An operation on a remote failed; the message names the operation and the repository or ref."""


class GitAuthError(GitError):
    """The server refused the credentials, or requires some and there are none."""


class GitCertificateError(GitError):
    """The server's certificate is not trusted."""


class GitHostKeyError(GitError):
    """The host key of an SSH server is not among the known ones."""


class GitHookDeclined(GitError):  # noqa: N818 - named for what happened
    """The server refused an update by a rule or hook; the message contains its words."""


class GitConflict(GitError):  # noqa: N818 - named for what happened
    """The repository is not in the state that the change starts from: a ref moved, exists, or blocks another one."""


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


_BY_TYPE: dict[type[Exception], type[GitError]] = {
    pygit2.AuthError: GitAuthError,
    pygit2.CertificateError: GitCertificateError,
}


def speaks_of_quota(text: str) -> bool:
    """Return whether a server's words mean that something is too large or full."""
    return any(word in text.lower() for word in _QUOTA_WORDS)


def is_local(error: Exception) -> bool:
    """Return whether an error of a network operation comes from the local repository, which is damaged then."""
    return isinstance(error, pygit2.NotFoundError) or getattr(error, "error_class", None) in _LOCAL_CLASSES


def from_network(error: Exception, url: str, doing: str) -> GitError:
    """Return the error for a failed network operation.

    Args:
        error: The error from pygit2. libgit2's error class decides, and its words only where it has no class.
        url: Address of the repository; may contain a password.
        doing: The operation, for the message, such as `list the refs`.
    """
    if isinstance(error, GitError):
        return error
    text = str(error).strip()
    message = without_secrets(f"cannot {doing} of {url}: {text}")
    for library, ours in _BY_TYPE.items():
        if isinstance(error, library):
            return ours(message)
    unsupported = _unsupported(text)
    return GitUnsupported(f"{message}: {unsupported}") if unsupported else _by_class(error, text, message)


def _unsupported(text: str) -> str:
    """Say which form of repository a library's words mean; empty where they mean another failure."""
    if "object format" in text:
        return "it stores its objects in another format than SHA-1, the only one that is supported"
    if any(f"invalid content-type: '{kind}" in text for kind in _DUMB_TYPES):
        return (
            "the server answers with a file in place of Git's protocol: the dumb HTTP protocol is not supported, only"
            " the smart one (git http-backend)"
        )
    return ""


def _by_class(error: Exception, text: str, message: str) -> GitError:
    if "cannot redirect" in text:
        return GitNotFound(f"{message}; give the address it redirects to as the repository's (spec.git.repo)")
    error_class = getattr(error, "error_class", None)
    if error_class == _CLASS_HTTP:
        return _from_status(text, message)
    if speaks_of_quota(text):
        return GitQuotaExceeded(message)
    if error_class == _CLASS_SSH or _said_by_server(text):
        return _from_ssh(text, message)
    if error_class in _NETWORK_CLASSES or isinstance(error, OSError):
        return _from_connection(text, message)
    return GitError(message)


def _from_connection(text: str, message: str) -> GitError:
    if "certificate" in text.lower():
        return GitCertificateError(message)
    return GitUnavailable(message)


def _said_by_server(text: str) -> bool:
    return text.startswith(("ERR ", "remote error", "ERROR: "))


def _from_ssh(text: str, message: str) -> GitError:
    """Return the error for words of libssh2 or of the Git server over SSH, which have no codes."""
    words = text.lower()
    if any(phrase in words for phrase in _SSH_REFUSED):
        return GitAuthError(message)
    if any(phrase in words for phrase in _SSH_ABSENT):
        return GitNotFound(message)
    return GitUnavailable(message)


def _from_status(text: str, message: str) -> GitError:
    found = _STATUS.search(text)
    status = int(found[1]) if found else 0
    if status in _HTTP_REFUSED:
        return GitAuthError(message)
    if status in _HTTP_ABSENT:
        return GitNotFound(f"{message}: there is no repository, or these credentials do not show it")
    if status == _HTTP_TOO_LARGE:
        return GitQuotaExceeded(message)
    return GitUnavailable(message)
