"""Records in annotations and labels: approver, proposer, suspender, and findings of syncs.

The mutating policy writes them. The validating one refuses requests that forge them.
"""

from typing import Final, Literal

from porchflow.api.names import (
    APPROVED_BY_ANNOTATION,
    DISCOVERED_ANNOTATION,
    LATEST_REVISION_LABEL,
    PROPOSED_BY_ANNOTATION,
    RECORDS_POLICY,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
)
from porchflow.api.policies.expressions import (
    HAS_SOURCE,
    MAY_RECONCILE,
    NEW,
    NO_RECONCILER,
    OLD_LIFECYCLE,
    PUBLISHES,
    PUBLISHES_NOW,
    WANTED_LIFECYCLE,
    annotation,
    before,
    label,
)
from porchflow.api.policies.policy import Check, Mutation, Policy

_APPROVED_BY: Final = annotation("object", APPROVED_BY_ANNOTATION)
_OLD_APPROVED_BY: Final = before(annotation("oldObject", APPROVED_BY_ANNOTATION))
_PROPOSED_BY: Final = annotation("object", PROPOSED_BY_ANNOTATION)
_OLD_PROPOSED_BY: Final = before(annotation("oldObject", PROPOSED_BY_ANNOTATION))
_SUSPENDED_BY: Final = annotation("object", SUSPENDED_BY_ANNOTATION)
_OLD_SUSPENDED_BY: Final = before(annotation("oldObject", SUSPENDED_BY_ANNOTATION))
_DISCOVERED: Final = annotation("object", DISCOVERED_ANNOTATION)
_OLD_DISCOVERED: Final = before(annotation("oldObject", DISCOVERED_ANNOTATION))
_LATEST: Final = label("object", LATEST_REVISION_LABEL)
_OLD_LATEST: Final = before(label("oldObject", LATEST_REVISION_LABEL))
_UNTIL: Final = annotation("object", SUSPEND_UNTIL_ANNOTATION)
_OLD_UNTIL: Final = before(annotation("oldObject", SUSPEND_UNTIL_ANNOTATION))
_SUSPENSION: Final = (SUSPEND_ANNOTATION, SUSPEND_UNTIL_ANNOTATION)
_RECORDED: Final = (APPROVED_BY_ANNOTATION, PROPOSED_BY_ANNOTATION, SUSPENDED_BY_ANNOTATION, *_SUSPENSION)
_RFC3339: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"
# An object that a sync makes of a proposal in Git has no source, and its proposer is not known.
_PROPOSES: Final = (
    "(variables.lifecycle == 'Proposed' && (variables.oldLifecycle == 'Draft'"
    f" || (variables.oldLifecycle == '' && (!variables.mayReconcile || {HAS_SOURCE}))))"
)
# Without variables, because match conditions are evaluated before them.
_PROPOSES_NOW: Final = f"({WANTED_LIFECYCLE} == 'Proposed' && {OLD_LIFECYCLE} in ['', 'Draft'])"


def _optional(holder: str, key: str) -> str:
    return f"{holder}.?metadata.?annotations['{key}']"


def _becomes(key: str) -> str:
    """Return an expression that is true where the request gives an annotation another value, or removes it."""
    return f"{_optional('object', key)} != {before(_optional('oldObject', key), 'optional.none()')}"


_TOUCHES_RECORDS: Final = " || ".join(_becomes(key) for key in _RECORDED)
# Set by a sync on each object that it makes. Requests of other users get the old value back.
_TOUCHES_FINDINGS: Final = f"{_DISCOVERED} != {_OLD_DISCOVERED} || {_LATEST} != {_OLD_LATEST}"

RECORDS: Final = Policy(
    name=RECORDS_POLICY,
    operations=("CREATE", "UPDATE"),
    everywhere=True,
    only_if={"touches-records": f"{_TOUCHES_RECORDS} || {_TOUCHES_FINDINGS}"},
    variables={"lifecycle": WANTED_LIFECYCLE, "oldLifecycle": OLD_LIFECYCLE, "mayReconcile": MAY_RECONCILE},
    checks=(
        Check(
            f"{_APPROVED_BY} == {_OLD_APPROVED_BY} || ({PUBLISHES} && {_APPROVED_BY} == request.userInfo.username)"
            f" || ({NEW} && variables.mayReconcile)",
            f"'the annotation {APPROVED_BY_ANNOTATION} is written by the API server, when somebody approves: leave it"
            " as it is'",
        ),
        Check(
            f"{_PROPOSED_BY} == {_OLD_PROPOSED_BY} || ({_PROPOSES} && {_PROPOSED_BY} == request.userInfo.username)"
            f" || ({NEW} && variables.mayReconcile)",
            f"'the annotation {PROPOSED_BY_ANNOTATION} is written by the API server, when somebody proposes: leave it"
            " as it is'",
        ),
        Check(
            f"{_DISCOVERED} == {_OLD_DISCOVERED} || variables.mayReconcile",
            f"'the annotation {DISCOVERED_ANNOTATION} says that a sync found the package revision in Git: leave it as"
            f" it is; ' + {NO_RECONCILER}",
            "Forbidden",
        ),
        Check(
            f"{_LATEST} == {_OLD_LATEST} || ({_OLD_LATEST} == '' && {_LATEST} == 'false') || variables.mayReconcile",
            f"'the label {LATEST_REVISION_LABEL} says which revision is the newest that was published: leave it as it"
            f" is; ' + {NO_RECONCILER}",
            "Forbidden",
        ),
        Check(
            f"{_SUSPENDED_BY} in ['', {_OLD_SUSPENDED_BY}, request.userInfo.username]",
            f"'the annotation {SUSPENDED_BY_ANNOTATION} is written by the API server, when somebody suspends: leave it"
            " as it is'",
        ),
        Check(
            f"{_UNTIL} in ['', {_OLD_UNTIL}] || {_UNTIL}.matches('{_RFC3339}')",
            f"'the annotation {SUSPEND_UNTIL_ANNOTATION} must be a time such as 2030-01-31T18:00:00Z, not \"'"
            f" + {_UNTIL} + '\"'",
        ),
    ),
)


def _record(key: str, variable: str, kind: Literal["annotations", "labels"] = "annotations") -> str:
    """Return the patches that set an annotation or label to the value of a variable, or remove it if that is empty."""
    value, path = f"variables.{variable}", f"'/metadata/{kind}/' + jsonpatch.escapeKey('{key}')"
    found = f"object.?metadata.?{kind}['{key}']"
    return (
        f"({value} != '' && {found}.orValue('') != {value}"
        f" ? [JSONPatch{{op: 'add', path: {path}, value: {value}}}] : [])"
        f" + ({value} == '' && {found}.hasValue() ? [JSONPatch{{op: 'remove', path: {path}}}] : [])"
    )


def _room(kind: Literal["annotations", "labels"], *variables: str) -> str:
    """Return the patch that adds an empty map of annotations or labels where one is needed and the object has none."""
    needed = " || ".join(f"variables.{variable} != ''" for variable in variables)
    return (
        f"(({needed}) && !has(object.metadata.{kind})"
        f" ? [JSONPatch{{op: 'add', path: '/metadata/{kind}', value: {{}}}}] : [])"
    )


MUTATION: Final = Mutation(
    name=RECORDS_POLICY,
    operations=("CREATE", "UPDATE"),
    # Evaluating conditions is cheap. Patching is not, because the API server decodes and encodes the whole object.
    only_if={
        "has-to-be-recorded": f"{PUBLISHES_NOW} || {_PROPOSES_NOW} || {_TOUCHES_RECORDS}"
        f" || (({_TOUCHES_FINDINGS}) && !{MAY_RECONCILE})"
    },
    variables={
        "lifecycle": WANTED_LIFECYCLE,
        "oldLifecycle": OLD_LIFECYCLE,
        "mayReconcile": MAY_RECONCILE,
        # Only users with the verb `reconcile` may restore an object with its approver from a backup.
        "restores": f"{NEW} && variables.lifecycle in ['Published', 'DeletionProposed'] && variables.mayReconcile",
        "approvedBy": f"{PUBLISHES} ? request.userInfo.username : variables.restores ? {_APPROVED_BY}"
        f" : {_OLD_APPROVED_BY}",
        "proposedBy": f"{_PROPOSES} ? request.userInfo.username : variables.restores ? {_PROPOSED_BY}"
        f" : {_OLD_PROPOSED_BY}",
        "suspended": " || ".join(f"{_optional('object', key)}.hasValue()" for key in _SUSPENSION),
        "suspendedAnew": before(
            " || ".join(f"{_optional('object', key)} != {_optional('oldObject', key)}" for key in _SUSPENSION), "true"
        ),
        "suspendedBy": "!variables.suspended ? '' : variables.suspendedAnew ? request.userInfo.username"
        f" : {_OLD_SUSPENDED_BY}",
        "discovered": f"variables.mayReconcile ? {_DISCOVERED} : {_OLD_DISCOVERED}",
        "latest": f"variables.mayReconcile || ({_OLD_LATEST} == '' && {_LATEST} == 'false') ? {_LATEST}"
        f" : {_OLD_LATEST}",
    },
    patch=" + ".join(
        (
            _room("annotations", "approvedBy", "proposedBy", "discovered"),
            _room("labels", "latest"),
            _record(APPROVED_BY_ANNOTATION, "approvedBy"),
            _record(PROPOSED_BY_ANNOTATION, "proposedBy"),
            _record(SUSPENDED_BY_ANNOTATION, "suspendedBy"),
            _record(DISCOVERED_ANNOTATION, "discovered"),
            _record(LATEST_REVISION_LABEL, "latest", "labels"),
        )
    ),
)
