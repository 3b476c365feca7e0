"""Changes of `spec.lifecycle`: they need a legal step, an approver, and content that is rendered and ready."""

from typing import Final

from porchflow.api.models.conditions import ConditionType
from porchflow.api.models.packagerevision import NEXT_LIFECYCLES
from porchflow.api.names import APPROVED_COMMIT_ANNOTATION, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.api.policies.expressions import (
    MAY_APPROVE,
    MAY_RECONCILE,
    NO_APPROVER,
    OLD_LIFECYCLE,
    PUBLISHES,
    REPORTED_COMMIT,
    WANTED_LIFECYCLE,
    annotation,
    before,
    quoted_list,
)
from porchflow.api.policies.policy import Check, Policy

_STATUS: Final = "oldObject.?status"


def _newer(name: str, echo: str) -> str:
    """Return an expression that is true where an annotation has a value that the status does not echo.

    It is the same rule as in `porchflow.api.work.needs.newer`.

    Args:
        name: The annotation.
        echo: The field of the status.
    """
    asked = annotation("object", name)
    return f"({asked} != '' && {asked} != {_STATUS}.?{echo}.orValue(''))"


_RENDER_DUE: Final = (
    f"{_newer(RENDER_REQUEST_ANNOTATION, 'observedPrrResourceVersion')}"
    f" || {_newer(RECONCILE_NOW_ANNOTATION, 'observedReconcileNow')}"
)
_UNRENDERED: Final = (
    f"{_STATUS}.?conditions.orValue([]).filter(c, c.type == '{ConditionType.RENDERED}' && c.status == 'False')"
)
_UNMET_GATES: Final = (
    "object.?spec.?readinessGates.orValue([]).map(g, g.?conditionType.orValue(''))"
    f".filter(t, !{_STATUS}.?packageConditions.orValue([]).exists(c, c.type == t && c.status == 'True'))"
)
_STEPS: Final = "{" + ", ".join(f"'{old}': {quoted_list((old, *new))}" for old, new in NEXT_LIFECYCLES.items()) + "}"
_STEPS_TOLD: Final = "{" + ", ".join(f"'{old}': '{' or '.join(new)}'" for old, new in NEXT_LIFECYCLES.items()) + "}"

LIFECYCLE: Final = Policy(
    name="porchflow-lifecycle",
    operations=("CREATE", "UPDATE"),
    only_if={"asks-for-another-lifecycle": f"{WANTED_LIFECYCLE} != {OLD_LIFECYCLE}"},
    variables={
        "lifecycle": WANTED_LIFECYCLE,
        "oldLifecycle": OLD_LIFECYCLE,
        "mayApprove": MAY_APPROVE,
        "mayReconcile": MAY_RECONCILE,
        "goesOn": "variables.lifecycle in ['Proposed', 'Published'] && variables.oldLifecycle in ['Draft', 'Proposed']",
        "approvedCommit": annotation("object", APPROVED_COMMIT_ANNOTATION),
        "reportedCommit": before(REPORTED_COMMIT),
        "renderDue": before(_RENDER_DUE, "true"),
        "unrendered": before(_UNRENDERED, "[]"),
        "unmetGates": before(_UNMET_GATES, "[]"),
    },
    checks=(
        Check(
            "variables.oldLifecycle != '' || !(variables.lifecycle in ['Published', 'DeletionProposed'])"
            " || variables.mayReconcile",
            "'a package revision starts as Draft or Proposed, not as ' + variables.lifecycle + ': create it with"
            " spec.lifecycle Draft, and set Proposed when it is Ready'",
        ),
        Check(
            f"variables.oldLifecycle == '' || variables.lifecycle in {_STEPS}[variables.oldLifecycle]",
            "'lifecycle cannot go from ' + variables.oldLifecycle + ' to ' + (variables.lifecycle == '' ? 'nothing' :"
            f" variables.lifecycle) + '; from ' + variables.oldLifecycle + ' it can go to ' +"
            f" {_STEPS_TOLD}[variables.oldLifecycle]",
        ),
        Check(f"!{PUBLISHES} || variables.mayApprove", f"'publishing is for approvers: ' + {NO_APPROVER}", "Forbidden"),
        # The object is being deleted, so that proposing the deletion would carry it out at once.
        Check(
            "!(variables.lifecycle == 'DeletionProposed' && variables.oldLifecycle == 'Published'"
            " && oldObject.?metadata.?deletionTimestamp.hasValue()) || variables.mayApprove",
            f"'agreeing to the deletion of what is published is for approvers: ' + {NO_APPROVER}",
            "Forbidden",
        ),
        Check(
            f"!{PUBLISHES} || variables.approvedCommit == ''"
            " || variables.approvedCommit == variables.reportedCommit"
            " || variables.reportedCommit == ''",
            f"'the annotation {APPROVED_COMMIT_ANNOTATION} says that commit ' + variables.approvedCommit + ' was"
            " reviewed, and ' + variables.reportedCommit + ' is what would be published: review that, and name it'",
        ),
        # While newer content waits for its rendering the status is outdated. The lifecycle phase checks again later.
        Check(
            "!variables.goesOn || variables.renderDue || size(variables.unrendered) == 0",
            "'it cannot become ' + variables.lifecycle + ' while its content is not rendered (' +"
            " variables.unrendered[0].?reason.orValue('') + ': ' + variables.unrendered[0].?message.orValue('') +"
            " '); wait until newer content is Rendered'",
        ),
        Check(
            "!variables.goesOn || variables.renderDue || size(variables.unmetGates) == 0",
            "'it cannot become ' + variables.lifecycle + ' before its readiness gates are met: ' +"
            " variables.unmetGates.join(', ') + '; the status.conditions of the Kptfile must have each with status"
            " True'",
        ),
    ),
)
