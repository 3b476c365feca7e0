"""Approval of a commit, for Namespaces with the label that requires it."""

from typing import Final

from porchflow.api.names import APPROVAL_LABEL, APPROVED_COMMIT_ANNOTATION
from porchflow.api.policies.expressions import PUBLISHES_NOW, REPORTED_COMMIT, annotation
from porchflow.api.policies.policy import Check, Policy

APPROVAL: Final = Policy(
    name="porchflow-approval",
    operations=("UPDATE",),
    where={APPROVAL_LABEL: "commit"},
    only_if={"publishes": PUBLISHES_NOW},
    checks=(
        # The policy porchflow-lifecycle compares the commit with the proposed one, in all namespaces.
        Check(
            f"{annotation('object', APPROVED_COMMIT_ANNOTATION)} != ''",
            "'namespace ' + request.namespace + ' publishes nothing but a commit that was reviewed: set the annotation"
            f" {APPROVED_COMMIT_ANNOTATION} to the commit that you have reviewed; proposed is ' + {REPORTED_COMMIT}",
        ),
    ),
)
