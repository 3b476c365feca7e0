"""Deletion of package revisions: refusals, and a warning where others were made from them."""

from typing import Final

from porchflow.api.names import FINALIZER, UPSTREAM_OF_ANNOTATION
from porchflow.api.policies.expressions import MAY_APPROVE, NO_APPROVER, WANTED_LIFECYCLE, annotation, quoted_list
from porchflow.api.policies.policy import Check, Policy

CLEANERS: Final = (
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
)
"""Users of the controllers that clean up after a deleted Repository or Namespace.

The last is the account of a controller manager whose controllers share one.
"""

DELETION: Final = Policy(
    name="porchflow-deletion",
    operations=("DELETE",),
    only_if={
        "is-no-clean-up": f"!(request.userInfo.username in {quoted_list(CLEANERS)})",
        # Without our finalizer a deletion does not touch Git: a sync so deletes objects whose content is gone.
        "touches-git": f"'{FINALIZER}' in oldObject.?metadata.?finalizers.orValue([])",
    },
    variables={"lifecycle": "oldObject.?spec.?lifecycle.orValue('')", "mayApprove": MAY_APPROVE},
    checks=(
        Check(
            "variables.lifecycle != 'Published'",
            "oldObject.metadata.name + ' is Published: propose its deletion first, by setting spec.lifecycle to"
            " DeletionProposed (porchctl rpkg propose-delete), and delete it then'",
        ),
        Check(
            "variables.lifecycle != 'DeletionProposed' || variables.mayApprove",
            f"'agreeing to the deletion of what is published is for approvers: ' + {NO_APPROVER}",
            "Forbidden",
        ),
    ),
)

CLONES: Final = Policy(
    name="porchflow-clones",
    operations=("UPDATE", "DELETE"),
    warns=True,
    only_if={
        "is-an-upstream": f"{annotation('oldObject', UPSTREAM_OF_ANNOTATION)} != ''",
        "goes": "request.operation == 'DELETE' || ("
        f"{WANTED_LIFECYCLE} == 'DeletionProposed' && oldObject.?spec.?lifecycle.orValue('') == 'Published')",
    },
    checks=(
        Check(
            "false",
            f"{annotation('oldObject', UPSTREAM_OF_ANNOTATION)} + ' was made from ' + oldObject.metadata.name + ':"
            " what was made from it keeps its content when it is gone, but cannot be upgraded from it any more"
            " (porchflow deps ' + oldObject.metadata.name + ' --dependents shows all)'",
        ),
    ),
)
