"""The three kinds of error, and the one table that sorts every library's errors into them."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.git_address import without_secrets
from porchflow.api.models.conditions import MESSAGE_LIMIT, Reason
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.functions.function_errors import IMAGES_RUN, FunctionUnavailable, RegistryUnavailable, RunnerUnavailable
from porchflow.gitrepo.errors import (
    GitAddressDenied,
    GitAuthError,
    GitBranchMissing,
    GitCertificateError,
    GitConflict,
    GitError,
    GitHookDeclined,
    GitHostKeyError,
    GitNotFound,
    GitPackageExists,
    GitPackageOverlap,
    GitQuotaExceeded,
    GitRefusedBefore,
    GitUnavailable,
    GitUnsupported,
)
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.trees import InvalidContent
from porchflow.kpt.package_errors import CONTENT_ERRORS, FunctionFailed, LocalChanges
from porchflow.kube.errors import (
    Forbidden,
    Invalid,
    KubeConfigError,
    KubeError,
    KubeUnavailable,
    NotServed,
    TooManyRequests,
    Unauthorized,
)
from porchflow.kube.webhooks import webhook_mend

logger = logging.getLogger(__name__)

WAITING_DELAY = timedelta(seconds=15)
"""Time until a waiting phase is tried again; a signal usually ends the wait sooner."""


class PhaseError(Exception):
    """Ends a phase. Its class is the kind of the error; its attributes are what the status and the Event show."""

    kind = ErrorKind.TRANSIENT

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        event: str = "",
        fields: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        """Create the error.

        Args:
            reason: Of the condition.
            message: Of the condition: what failed, on what, what to do.
            event: Message of the Event, where it is longer than the condition's; empty repeats `message`.
            fields: Status fields that the phase found or made true before it failed; None removes one.
            files: The resource files of a draft that were committed before the failure, by path in the package.
        """
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.event = event
        self.fields = fields or {}
        self.files = files


class Transient(PhaseError):  # noqa: N818 - the kinds carry the design's names
    """A peer failed: the network, a server, a lock. Temporal retries with backoff and without limit."""


class Waiting(PhaseError):  # noqa: N818 - the kinds carry the design's names
    """Another object or event must come first. Temporal retries after `WAITING_DELAY`."""

    kind = ErrorKind.WAITING


class Stalled(PhaseError):  # noqa: N818 - the kinds carry the design's names
    """A person must act. Temporal does not retry."""

    kind = ErrorKind.STALLED


class Superseded(PhaseError):  # noqa: N818 - the kinds carry the design's names
    """The object asks for something newer. Nothing is written, and the next pass reports."""

    kind = ErrorKind.SUPERSEDED

    def __init__(self) -> None:
        """Create the error. Only logs show its message."""
        super().__init__(Reason.SUPERSEDED, "the object asks for something newer")


class HandedOver(PhaseError):  # noqa: N818 - the kinds carry the design's names
    """A local first attempt takes too long. The phase continues as an activity of its own, which reports."""

    kind = ErrorKind.HANDED_OVER

    def __init__(self) -> None:
        """Create the error. Only logs show its message."""
        super().__init__(Reason.PROGRESSING, "goes on as an activity of its own")


class Lost(PhaseError):  # noqa: N818 - the kinds carry the design's names
    """The phase ended its process, or may have ended one before. The workflow runs it isolated from then on."""

    kind = ErrorKind.LOST


def out_of_memory() -> Lost:
    """Return the failure for a MemoryError. The process lives, by luck: another allocation would have ended it."""
    return Lost(Reason.PHASE_CRASHED, "it needed more memory than its process has")


@dataclass(frozen=True)
class _Row:
    error: type[Exception]
    kind: type[PhaseError]
    reason: str
    mend: str = ""
    """How to mend it, where the library's message only says what happened."""

    def message(self, error: Exception) -> str:
        """Return what is shown: an error of the Git server that says what to do needs no second advice."""
        text = str(error)
        if isinstance(error, KubeError) and (mend := webhook_mend(error.message)):
            return f"{text}; {_WAIT}: {mend}"
        said = issubclass(self.error, GitError) and _ADVICE.search(text) is not None and self.error not in _TWO_PARTS
        return f"{text}; {self.mend}" if self.mend and not said else text


_ADVICE = re.compile(r"; (?:[^;]*, )?(?:complete|correct|name|give|create|move) ")
"""How advice begins in the words of an error."""

_TWO_PARTS = (GitPackageExists, GitPackageOverlap)
"""Errors whose advice is for what comes next; the table's is for the object that stalled."""

_SECRET = "the Secret that the Repository, or spec.source, names"  # noqa: S105 - no secret
_AGAIN = f"then set the annotation {RECONCILE_NOW_ANNOTATION} to a new value"
_WAIT = "it is tried again until it works"

_TABLE = (
    _Row(GitAuthError, Stalled, Reason.GIT_AUTH_FAILED, f"correct {_SECRET}, or what its account may do there"),
    _Row(GitHookDeclined, Stalled, Reason.GIT_REJECTED, f"change what the server asks for, {_AGAIN}"),
    _Row(
        GitQuotaExceeded, Stalled, Reason.GIT_QUOTA_EXCEEDED, f"make the package smaller or the limit larger, {_AGAIN}"
    ),
    _Row(
        GitCertificateError,
        Stalled,
        Reason.GIT_CERTIFICATE_INVALID,
        f"put the certificate of its authority as ca.crt into {_SECRET}, or correct the server's",
    ),
    _Row(GitAddressDenied, Stalled, Reason.GIT_ADDRESS_DENIED, f"or have the setting changed, {_AGAIN}"),
    _Row(GitHostKeyError, Stalled, Reason.GIT_HOST_KEY_UNTRUSTED, f"correct known_hosts in {_SECRET}"),
    _Row(
        GitBranchMissing,
        Stalled,
        Reason.GIT_NOT_FOUND,
        "push a first commit to it or set spec.git.createBranch; the branch of a Repository cannot be changed: for"
        f" another branch, delete the Repository and create it again; {_AGAIN}",
    ),
    _Row(
        GitNotFound,
        Stalled,
        Reason.GIT_NOT_FOUND,
        f"correct the Repository or spec.source, or make what is missing, {_AGAIN}",
    ),
    _Row(
        GitUnsupported,
        Stalled,
        Reason.GIT_UNSUPPORTED,
        "register a repository in SHA-1 format on a server that speaks the smart protocol",
    ),
    _Row(
        GitPackageExists,
        Stalled,
        Reason.PACKAGE_EXISTS,
        f"delete this object and create it again so; or remove what is there, {_AGAIN}",
    ),
    _Row(
        GitPackageOverlap,
        Stalled,
        Reason.PACKAGE_OVERLAP,
        f"delete this object and create it again with another spec.packageName; or delete the other package, {_AGAIN}",
    ),
    _Row(GitConflict, Transient, Reason.GIT_CONFLICT),
    _Row(GitUnavailable, Transient, Reason.GIT_UNAVAILABLE, f"{_WAIT}: look at the Git server"),
    _Row(GitError, Transient, Reason.GIT_FAILED, f"{_WAIT}: look at the Git server"),
    _Row(InvalidContent, Stalled, Reason.INVALID_PACKAGE),
    _Row(InvalidName, Stalled, Reason.INVALID_SPEC),
    _Row(LocalChanges, Stalled, Reason.LOCAL_CHANGES),
    *(
        _Row(error, Stalled, Reason.INVALID_PACKAGE, f"mend the package that it is made from, {_AGAIN}")
        for error in CONTENT_ERRORS
    ),
    _Row(FunctionFailed, Stalled, Reason.RENDER_FAILED),
    _Row(RunnerUnavailable, Transient, Reason.FUNCTION_RUNNER_UNAVAILABLE, f"{_WAIT}: look at the function runner"),
    _Row(RegistryUnavailable, Transient, Reason.REGISTRY_UNAVAILABLE, f"{_WAIT}: look at the registry"),
    _Row(FunctionUnavailable, Transient, Reason.FUNCTION_RUNNER_UNAVAILABLE, f"{_WAIT}: look at the function runner"),
    # The administrator mends these: RBAC, a token that expired, a CRD that is not installed yet. They are Transient, so
    # that no user has to touch the object afterwards.
    _Row(Forbidden, Transient, Reason.KUBERNETES_FORBIDDEN, f"{_WAIT}: give the worker its permissions, with deploy/"),
    _Row(Unauthorized, Transient, Reason.KUBERNETES_FORBIDDEN, f"{_WAIT}: give the worker credentials"),
    _Row(KubeConfigError, Transient, Reason.KUBERNETES_FORBIDDEN),
    _Row(NotServed, Transient, Reason.KUBERNETES_UNAVAILABLE),
    _Row(KubeUnavailable, Transient, Reason.KUBERNETES_UNAVAILABLE, f"{_WAIT}: look at the API server"),
    _Row(TooManyRequests, Transient, Reason.KUBERNETES_UNAVAILABLE),
    # The API server refuses the content, such as what a Kptfile says of the package. It would refuse it again.
    _Row(Invalid, Stalled, Reason.KUBERNETES_FAILED, "mend what the Kptfile says of the package, and push it"),
    _Row(KubeError, Transient, Reason.KUBERNETES_FAILED, f"{_WAIT}: look at the API server"),
)


MEND_PACKAGE = "; mend the package and push it again"
_MEND_IMAGE = "; run images so, or name a built-in tag in the package and push it"


def with_mend(message: str) -> str:
    """Return the message of a failed rendering, cut to fit, with how to mend it at its end."""
    mend = _MEND_IMAGE if IMAGES_RUN in message else MEND_PACKAGE
    if message.endswith(mend):
        return message
    room = MESSAGE_LIMIT - len(mend)
    return (message if len(message) <= room else message[: room - 1] + "…") + mend


def classify(error: Exception, *, since: datetime | None = None) -> PhaseError:
    """Sort any error into one of the kinds. An unknown error is Transient, and its traceback is logged.

    Args:
        error: What happened.
        since: When the work came up. A server's refusal from before says nothing of it: what was wrong may be mended.
    """
    if isinstance(error, PhaseError):
        return error
    if isinstance(error, GitRefusedBefore) and since is not None and error.refused_at < since.timestamp():
        return Transient(Reason.GIT_AUTH_FAILED, f"{error}; then it is tried again")
    for row in _TABLE:
        if isinstance(error, row.error):
            return row.kind(row.reason, row.message(error))
    logger.error("unexpected %s", type(error).__name__, exc_info=error)
    return Transient(
        Reason.INTERNAL_ERROR,
        without_secrets(f"unexpected {type(error).__name__}: {error}; {_WAIT}: report it, with the log of the worker"),
    )


def to_application_error(error: PhaseError) -> ApplicationError:
    """Return the error for Temporal: its retry behaviour, and message and reason as the condition has them."""
    benign = error.kind in {ErrorKind.WAITING, ErrorKind.SUPERSEDED, ErrorKind.HANDED_OVER}
    long = len(error.message) > MESSAGE_LIMIT
    return ApplicationError(
        error.message[: MESSAGE_LIMIT - 1] + "…" if long else error.message,
        error.reason,
        type=error.kind,
        non_retryable=error.kind in {ErrorKind.STALLED, ErrorKind.SUPERSEDED},
        next_retry_delay=WAITING_DELAY if error.kind is ErrorKind.WAITING else None,
        category=ApplicationErrorCategory.BENIGN if benign else ApplicationErrorCategory.UNSPECIFIED,
    )
