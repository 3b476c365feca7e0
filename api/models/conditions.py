"""Conditions: types, reasons, and the rules by which a new set replaces an old one.

The rules are those of kstatus and Flux: `Ready` is always present; `Reconciling`, `Stalled`, `Suspended` and `Shared`
exist only while True. `lastTransitionTime` changes only when the status does.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from porchflow.api.models.base import INT64, ApiModel

CONDITIONS_BY_TYPE: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
"""Schema of a list of conditions that several field managers share: each owns the conditions of its types."""

MESSAGE_LIMIT: Final = 1024
"""Characters of a condition's message; longer ones are cut."""


class ConditionType(StrEnum):
    """The conditions of a PackageRevision and of a Repository."""

    READY = "Ready"
    """Whether Git is where the object wants it; always there."""
    RENDERED = "Rendered"
    """Whether the newest requested content of a package revision is rendered."""
    RECONCILING = "Reconciling"
    """Only while True: work is under way, is tried again, or waits for something else."""
    STALLED = "Stalled"
    """Only while True: a person must act, and nothing is tried again before."""
    SUSPENDED = "Suspended"
    """Only while True: a person asked that nothing be done."""
    SHARED = "Shared"
    """Only while True, on a Repository: a Repository of another namespace has the same packages."""


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons of conditions and Events, with what each means. `docs/troubleshooting.md` says how to mend each."""

    READY = "Ready"
    """Git is where `spec.lifecycle` wants it."""
    PENDING = "Pending"
    """The next phase is about to run."""
    RENDERED = "Rendered"
    """The newest requested content is rendered."""
    RENDER_FAILED = "RenderFailed"
    """A function failed or the package is malformed; the message names the function or the file, and the Event each
    function that ran with its exit code, seconds and results, and the first errors.
    """
    PROGRESSING = "Progressing"
    """A phase is at work."""
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
    """An attempt failed, and there will be another; `Ready` has the reason."""
    WAITING = "Waiting"
    """Something must come first; `Ready` has the reason."""
    SUPERSEDED = "Superseded"
    """In the Temporal UI only: a phase ended because the object asks for something newer."""
    SUSPENDED = "Suspended"
    """Somebody suspended it; the message says who, why and until when."""
    INVALID_SUSPENSION = "InvalidSuspension"
    """It is suspended, and the time of `porchflow.dev/suspend-until` cannot be read."""
    INVALID_SPEC = "InvalidSpec"
    """The object contradicts itself; the message names the field."""
    INVALID_PACKAGE = "InvalidPackage"
    """The Kptfile cannot be read."""
    INVALID_REPOSITORY = "InvalidRepository"
    """The Repository holds no packages in Git, or its address, branch or directory cannot be one; the message says
    why.
    """
    INVALID_SECRET = "InvalidSecret"  # noqa: S105 - a reason, not a secret
    """The Secret has the wrong type or keys, or is not for this address."""
    CREDENTIALS_UNENCRYPTED = "CredentialsUnencrypted"
    """An Event only, of a Repository: its credentials are sent over `http://`."""
    PACKAGE_EXISTS = "PackageExists"
    """`init` or `cloneFrom` names a package that exists, or a directory that holds files; publishing would drop them.
    Or a subpackage is to be cloned into a folder that is taken.
    """
    PACKAGE_OVERLAP = "PackageOverlap"
    """The package would lie below or above another package of the repository, or a subpackage in another one; the
    message names it.
    """
    REPOSITORY_NOT_FOUND = "RepositoryNotFound"
    """`spec.repository` names no Repository in the namespace."""
    REPOSITORY_NOT_MIGRATED = "RepositoryNotMigrated"
    """The Repository is left to the Porch that runs besides."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    """The Repository, or `spec.source.cloneFrom.git`, names a Secret that does not exist."""
    SOURCE_NOT_FOUND = "SourceNotFound"
    """The PackageRevision that `spec.source` or `spec.subpackageOperation` names does not exist."""
    SOURCE_NOT_PUBLISHED = "SourceNotPublished"
    """The PackageRevision that `spec.source` or `spec.subpackageOperation` names is not published."""
    SOURCE_MOVES = "SourceMoves"
    """An Event only: `cloneFrom`, `copyFrom` or `upgrade` names a revision without a number (-1), such as what the
    branch holds; it says which commit was taken.
    """
    UPSTREAM_FROM_LOCK = "UpstreamFromLock"
    """An Event only: the old upstream of an upgrade is gone, and the commit in the package's `upstreamLock` was taken
    in its place.
    """
    UPSTREAM_IN_USE = "UpstreamInUse"
    """Other package revisions depend on one whose deletion is proposed; an Event, and Stalled where the Namespace
    protects upstreams.
    """
    MERGE_CONFLICT = "MergeConflict"
    """An Event only: upstream and the package both changed the same place; it says where, and which side was taken."""
    LOCAL_CHANGES = "LocalChanges"
    """An upgrade by `fast-forward` met files that the package changed; the message names them."""
    NOT_IN_GIT = "NotInGit"
    """The repository has no such package revision."""
    NOT_READY = "NotReady"
    """A readiness gate of the package is not met."""
    NOT_PROPOSED = "NotProposed"
    """The object is Published without ever having been Proposed: created so, or edited from Draft at once, where the
    admission policies are not installed.
    """
    PROPOSAL_CHANGED = "ProposalChanged"
    """An Event only: other content is proposed than was before; it names both commits."""
    COMMIT_NOT_APPROVED = "CommitNotApproved"
    """An approver named another commit than the one that would be published; the message has both."""
    CONTENT_CHANGED = "ContentChanged"
    """The branch holds commits that porchflow has not rendered, or that came after the proposal."""
    ILLEGAL_TRANSITION = "IllegalTransition"
    """There is no way from one lifecycle to the other."""
    DELETION_REFUSED = "DeletionRefused"
    """A Published revision was deleted."""
    DELETING = "Deleting"
    """The Repository is being deleted; on a Repository: the message names the objects that keep it."""
    GIT_CONTENT_ORPHANED = "GitContentOrphaned"
    """An Event only: a deleted object went, and what Git holds of it stayed, because somebody asked for that, or its
    Repository does not own it, or its Namespace went; a sync registers it again.
    """
    DUPLICATE_REPOSITORY = "DuplicateRepository"
    """An older Repository of the namespace is for the same branch of the same remote, and their directories overlap;
    the message names it.
    """
    REGISTERED_ELSEWHERE = "RegisteredElsewhere"
    """Of the condition `Shared`: another namespace has registered the same packages."""
    INVALID_SCHEDULE = "InvalidSchedule"
    """`spec.sync.schedule` of the Repository is no cron expression."""
    TAG_MOVED = "TagMoved"
    """The tag of a Published revision marks another commit than the one that was published."""
    REMOVED_FROM_GIT = "RemovedFromGit"
    """The branch or tag of the revision is gone."""
    BRANCH_REWRITTEN = "BranchRewritten"
    """The branch of the Repository no longer holds the commit it was at; objects show what it holds now."""
    LABEL_NOT_SHOWN = "LabelNotShown"
    """An Event only: a label of the Kptfile cannot be a label of the object; it says why."""
    REGISTERED_IN_PART = "RegisteredInPart"
    """The Repository is synced. What the message names as left out has no object; what it names as shown without its
    Kptfile has one.
    """
    FUNCTION_RUNNER_UNAVAILABLE = "FunctionRunnerUnavailable"
    """The function runner does not answer."""
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    """The registry that knows the versions of a function does not answer."""
    GIT_AUTH_FAILED = "GitAuthFailed"
    """The server refuses the credentials."""
    GIT_REJECTED = "GitRejected"
    """A hook or a protected branch refused the push; the message has the server's words."""
    GIT_CONFLICT = "GitConflict"
    """Somebody else moved the branch at the same time; Stalled where what is in Git is not this object's."""
    GIT_NOT_FOUND = "GitNotFound"
    """The URL, branch, tag, commit or directory does not exist, a ref marks no commit, or the repository has moved to
    another server.
    """
    GIT_UNAVAILABLE = "GitUnavailable"
    """The Git server does not answer, or answers with an error of its own."""
    GIT_QUOTA_EXCEEDED = "GitQuotaExceeded"
    """The package or the repository is too large."""
    GIT_CERTIFICATE_INVALID = "GitCertificateInvalid"
    """The server's certificate is not trusted; the message says why."""
    GIT_HOST_KEY_UNTRUSTED = "GitHostKeyUntrusted"
    """The SSH server shows a host key that `known_hosts` in the Secret does not have."""
    GIT_ADDRESS_DENIED = "GitAddressDenied"
    """`spec.source` names a server whose address packages may not be made from."""
    GIT_UNSUPPORTED = "GitUnsupported"
    """The repository has SHA-256 objects or is shallow, or its server speaks the dumb HTTP protocol only."""
    GIT_FAILED = "GitFailed"
    """The Git server did something that porchflow cannot sort: it is tried again."""
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    """The API server does not answer, or answers with an error of its own."""
    KUBERNETES_FORBIDDEN = "KubernetesForbidden"
    """A worker lacks a permission."""
    KUBERNETES_FAILED = "KubernetesFailed"
    """The API server refused a request in a way that is not sorted; Stalled where it refuses what the Kptfile says of
    the package.
    """
    PHASE_CRASHED = "PhaseCrashed"
    """Work on the object, or a sync of the Repository, ended three processes in a row, for want of memory or by a
    crash; the message says which work, and how the last one ended.
    """
    INTERNAL_ERROR = "InternalError"
    """Something porchflow does not know; it is retried, and logged with a trace."""


ACCESS_REASONS: Final = frozenset(
    {
        Reason.INVALID_REPOSITORY,
        Reason.INVALID_SECRET,
        Reason.REPOSITORY_NOT_FOUND,
        Reason.SECRET_NOT_FOUND,
        Reason.GIT_AUTH_FAILED,
        Reason.GIT_NOT_FOUND,
        Reason.GIT_UNSUPPORTED,
        Reason.GIT_CERTIFICATE_INVALID,
        Reason.GIT_HOST_KEY_UNTRUSTED,
    }
)
"""Reasons that a change of a Repository or of its Secret may mend."""


_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_TYPE_SCHEMA: Final[JsonDict] = {
    "maxLength": 316,
    "pattern": rf"^({_DNS_LABEL}(\.{_DNS_LABEL})*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
}
_REASON_SCHEMA: Final[JsonDict] = {
    "minLength": 1,
    "maxLength": 1024,
    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
}


class Condition(ApiModel):
    """A condition, as Kubernetes' metav1.Condition."""

    # Only the schema has Kubernetes' rules for the values: a stored object must be readable whatever it holds.
    model_config = ConfigDict(
        json_schema_extra={"required": ["type", "status", "lastTransitionTime", "reason", "message"]}
    )

    type: str = Field(description="What the condition is about, in CamelCase.", json_schema_extra=_TYPE_SCHEMA)
    status: ConditionStatus = Field(description="Whether it holds: True, False or Unknown.")
    observed_generation: int | None = Field(
        None, description="The metadata.generation the condition was set for.", json_schema_extra=INT64 | {"minimum": 0}
    )
    last_transition_time: datetime | None = Field(None, description="When the status last changed.")
    reason: str = Field("", description="Why, in one CamelCase word.", json_schema_extra=_REASON_SCHEMA)
    message: str = Field(
        "",
        description="For people: what happened, to what, and what to do.",
        json_schema_extra={"maxLength": 32768},
    )


def condition(kind: ConditionType, status: ConditionStatus, reason: str, message: str = "") -> Condition:
    """Return a condition without generation and time, which are set when it is applied."""
    return Condition(type=kind, status=status, reason=reason, message=message)


def not_ready(
    reason: str, message: str, abnormal: ConditionType, *, because: tuple[str, str] | None = None
) -> tuple[Condition, Condition]:
    """Return `Ready`, which is False, and the condition that says why.

    Args:
        reason: Of `Ready`.
        message: Of `Ready`.
        abnormal: `Reconciling`, `Stalled` or `Suspended`, which becomes True.
        because: Reason and message of `abnormal`; None repeats those of `Ready`.
    """
    return (
        condition(ConditionType.READY, ConditionStatus.FALSE, reason, message),
        condition(abnormal, ConditionStatus.TRUE, *(because or (reason, message))),
    )


def of_type(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of a type; None where there is none."""
    return next((each for each in conditions if each.type == kind), None)


def holding(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of a type whose status is True; None where there is none."""
    found = of_type(conditions, kind)
    return found if found is not None and found.status is ConditionStatus.TRUE else None


def raw_condition(obj: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the condition of a type from `status.conditions` of a raw object; empty where there is none."""
    conditions: list[dict[str, Any]] = (obj.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def raw_holding(obj: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the condition of a type of a raw object whose status is True; empty where there is none."""
    found = raw_condition(obj, kind)
    return found if found.get("status") == "True" else {}


def merge_conditions(
    existing: Iterable[Condition], wanted: Iterable[Condition], owned: Iterable[str], now: datetime
) -> list[Condition]:
    """Return the conditions that a field manager applies next, with times, and messages cut to `MESSAGE_LIMIT`.

    Args:
        existing: The conditions of the object, of all field managers.
        wanted: The conditions that hold now, of the owned types.
        owned: The types that the field manager owns. An owned type that is not wanted disappears.
        now: The time of a status that changes; cut to seconds.
    """
    mine = set(owned)
    before = {condition.type: condition for condition in existing if condition.type in mine}
    return [_with_transition(condition, before.get(condition.type), now) for condition in wanted]


def _with_transition(condition: Condition, before: Condition | None, now: datetime) -> Condition:
    kept = before is not None and before.status is condition.status and before.last_transition_time is not None
    moment = before.last_transition_time if before is not None and kept else now.replace(microsecond=0)
    message = condition.message
    if len(message) > MESSAGE_LIMIT:
        message = message[: MESSAGE_LIMIT - 1] + "…"
    return condition.model_copy(update={"last_transition_time": moment, "message": message})
