"""Who approved and who suspended: written down by the API server, forged by nobody."""

from typing import Final

from porchflow.api.names import (
    APPROVED_BY_ANNOTATION,
    RECORDS_POLICY,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
)
from porchflow.api.policies.expressions import (
    MAY_RECONCILE,
    NEW,
    OLD_LIFECYCLE,
    PUBLISHES,
    WANTED_LIFECYCLE,
    annotation,
    before,
)
from porchflow.api.policy import Check, Mutation, Policy

_APPROVED_BY: Final = annotation("object", APPROVED_BY_ANNOTATION)
_OLD_APPROVED_BY: Final = before(annotation("oldObject", APPROVED_BY_ANNOTATION))
_SUSPENDED_BY: Final = annotation("object", SUSPENDED_BY_ANNOTATION)
_OLD_SUSPENDED_BY: Final = before(annotation("oldObject", SUSPENDED_BY_ANNOTATION))
_UNTIL: Final = annotation("object", SUSPEND_UNTIL_ANNOTATION)
_OLD_UNTIL: Final = before(annotation("oldObject", SUSPEND_UNTIL_ANNOTATION))
_SUSPENSION: Final = (SUSPEND_ANNOTATION, SUSPEND_UNTIL_ANNOTATION)
_RECORDED: Final = (APPROVED_BY_ANNOTATION, SUSPENDED_BY_ANNOTATION, *_SUSPENSION)
_RFC3339: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"


def _optional(holder: str, key: str) -> str:
    return f"{holder}.?metadata.?annotations['{key}']"


def _becomes(key: str) -> str:
    """Return an expression that is true where the request gives an annotation another value, or removes it."""
    return f"{_optional('object', key)} != {before(_optional('oldObject', key), 'optional.none()')}"


_TOUCHES_RECORDS: Final = " || ".join(_becomes(key) for key in _RECORDED)

RECORDS: Final = Policy(
    name=RECORDS_POLICY,
    operations=("CREATE", "UPDATE"),
    everywhere=True,
    only_if={"touches-records": _TOUCHES_RECORDS},
    variables={"lifecycle": WANTED_LIFECYCLE, "oldLifecycle": OLD_LIFECYCLE, "mayReconcile": MAY_RECONCILE},
    checks=(
        Check(
            f"{_APPROVED_BY} == {_OLD_APPROVED_BY} || ({PUBLISHES} && {_APPROVED_BY} == request.userInfo.username)"
            f" || ({NEW} && variables.mayReconcile)",
            f"'the annotation {APPROVED_BY_ANNOTATION} is written by the API server, when somebody approves: leave it"
            " as it is'",
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


def _record(key: str, variable: str) -> str:
    """Return the patches that let an annotation be what a variable says; an empty one is none."""
    value, path = f"variables.{variable}", f"'/metadata/annotations/' + jsonpatch.escapeKey('{key}')"
    found = annotation("object", key)
    there = f"object.?metadata.?annotations['{key}'].hasValue()"
    return (
        f"({value} != '' && {found} != {value} ? [JSONPatch{{op: 'add', path: {path}, value: {value}}}] : [])"
        f" + ({value} == '' && {there} ? [JSONPatch{{op: 'remove', path: {path}}}] : [])"
    )


# Who suspends brings annotations along; who approves may not.
_ANNOTATIONS: Final = (
    "(variables.approvedBy != '' && !has(object.metadata.annotations)"
    " ? [JSONPatch{op: 'add', path: '/metadata/annotations', value: {}}] : [])"
)

# Written out, because conditions come before variables.
_PUBLISHES_NOW: Final = f"({WANTED_LIFECYCLE} == 'Published' && {OLD_LIFECYCLE} in ['Draft', 'Proposed'])"

MUTATION: Final = Mutation(
    name=RECORDS_POLICY,
    operations=("CREATE", "UPDATE"),
    # To look at a request is cheap, to patch it is not: the object is taken apart and put together again.
    only_if={"has-to-be-recorded": f"{_PUBLISHES_NOW} || {_TOUCHES_RECORDS}"},
    variables={
        "lifecycle": WANTED_LIFECYCLE,
        "oldLifecycle": OLD_LIFECYCLE,
        # What is restored from a backup keeps its approver; nobody else brings one along.
        "restores": f"{NEW} && variables.lifecycle in ['Published', 'DeletionProposed'] && {MAY_RECONCILE}",
        "approvedBy": f"{PUBLISHES} ? request.userInfo.username : variables.restores ? {_APPROVED_BY}"
        f" : {_OLD_APPROVED_BY}",
        "suspended": " || ".join(f"{_optional('object', key)}.hasValue()" for key in _SUSPENSION),
        "suspendedAnew": before(
            " || ".join(f"{_optional('object', key)} != {_optional('oldObject', key)}" for key in _SUSPENSION), "true"
        ),
        "suspendedBy": "!variables.suspended ? '' : variables.suspendedAnew ? request.userInfo.username"
        f" : {_OLD_SUSPENDED_BY}",
    },
    patch=" + ".join(
        (
            _ANNOTATIONS,
            _record(APPROVED_BY_ANNOTATION, "approvedBy"),
            _record(SUSPENDED_BY_ANNOTATION, "suspendedBy"),
        )
    ),
)
