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

from porchflow.api.base import INT64, ApiModel

CONDITIONS_BY_TYPE: Final[JsonDict] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
"""Schema of a list of conditions that several field managers share: each owns the conditions of its types."""

MESSAGE_LIMIT: Final = 1024
"""Characters of a condition's message; longer ones are cut."""


class ConditionType(StrEnum):
    """The conditions of a PackageRevision and of a Repository."""

    READY = "Ready"
    RENDERED = "Rendered"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"
    SHARED = "Shared"
    """On a Repository: a Repository of another namespace has the same packages."""


class ConditionStatus(StrEnum):
    """Status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Reasons of conditions. `docs/concepts.md` says how to mend each."""

    READY = "Ready"
    PENDING = "Pending"
    RENDERED = "Rendered"
    RENDER_FAILED = "RenderFailed"
    PROGRESSING = "Progressing"
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
    WAITING = "Waiting"
    SUPERSEDED = "Superseded"
    SUSPENDED = "Suspended"
    INVALID_SUSPENSION = "InvalidSuspension"
    INVALID_SPEC = "InvalidSpec"
    INVALID_PACKAGE = "InvalidPackage"
    INVALID_REPOSITORY = "InvalidRepository"
    INVALID_SECRET = "InvalidSecret"  # noqa: S105 - a reason, not a secret
    CREDENTIALS_UNENCRYPTED = "CredentialsUnencrypted"
    PACKAGE_EXISTS = "PackageExists"
    PACKAGE_OVERLAP = "PackageOverlap"
    REPOSITORY_NOT_FOUND = "RepositoryNotFound"
    REPOSITORY_NOT_MIGRATED = "RepositoryNotMigrated"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_NOT_PUBLISHED = "SourceNotPublished"
    SOURCE_MOVES = "SourceMoves"
    UPSTREAM_FROM_LOCK = "UpstreamFromLock"
    MERGE_CONFLICT = "MergeConflict"
    LOCAL_CHANGES = "LocalChanges"
    NOT_IN_GIT = "NotInGit"
    NOT_READY = "NotReady"
    NOT_PROPOSED = "NotProposed"
    PROPOSAL_CHANGED = "ProposalChanged"
    COMMIT_NOT_APPROVED = "CommitNotApproved"
    CONTENT_CHANGED = "ContentChanged"
    ILLEGAL_TRANSITION = "IllegalTransition"
    DELETION_REFUSED = "DeletionRefused"
    DELETING = "Deleting"
    GIT_CONTENT_ORPHANED = "GitContentOrphaned"
    DUPLICATE_REPOSITORY = "DuplicateRepository"
    REGISTERED_ELSEWHERE = "RegisteredElsewhere"
    INVALID_SCHEDULE = "InvalidSchedule"
    TAG_MOVED = "TagMoved"
    REMOVED_FROM_GIT = "RemovedFromGit"
    BRANCH_REWRITTEN = "BranchRewritten"
    LABEL_NOT_SHOWN = "LabelNotShown"
    REGISTERED_IN_PART = "RegisteredInPart"
    FUNCTION_RUNNER_UNAVAILABLE = "FunctionRunnerUnavailable"
    REGISTRY_UNAVAILABLE = "RegistryUnavailable"
    GIT_AUTH_FAILED = "GitAuthFailed"
    GIT_REJECTED = "GitRejected"
    GIT_CONFLICT = "GitConflict"
    GIT_NOT_FOUND = "GitNotFound"
    GIT_UNAVAILABLE = "GitUnavailable"
    GIT_QUOTA_EXCEEDED = "GitQuotaExceeded"
    GIT_CERTIFICATE_INVALID = "GitCertificateInvalid"
    GIT_HOST_KEY_UNTRUSTED = "GitHostKeyUntrusted"
    GIT_UNSUPPORTED = "GitUnsupported"
    GIT_FAILED = "GitFailed"
    KUBERNETES_UNAVAILABLE = "KubernetesUnavailable"
    KUBERNETES_FORBIDDEN = "KubernetesForbidden"
    KUBERNETES_FAILED = "KubernetesFailed"
    INTERNAL_ERROR = "InternalError"


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
