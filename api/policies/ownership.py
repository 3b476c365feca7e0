"""Protection of a published revision's finalizer and owners, without which its object could be deleted."""

from typing import Final

from porchflow.api.names import FINALIZER
from porchflow.api.policies.deletion import CLEANERS
from porchflow.api.policies.expressions import MAY_RECONCILE, NO_RECONCILER, quoted_list
from porchflow.api.policies.policy import Check, Policy

_OWNERS: Final = "{holder}.?metadata.?ownerReferences.orValue([])"
_HELD: Final = f"'{FINALIZER}' in {{holder}}.?metadata.?finalizers.orValue([])"
_LET_GO: Final = f"({_HELD.format(holder='oldObject')} && !({_HELD.format(holder='object')}))"
_OWNED_BY_OTHERS: Final = f"({_OWNERS.format(holder='object')} != {_OWNERS.format(holder='oldObject')})"

OWNERSHIP: Final = Policy(
    name="porchflow-ownership",
    operations=("UPDATE",),
    only_if={
        "is-published": "oldObject.?spec.?lifecycle.orValue('') in ['Published', 'DeletionProposed']",
        "is-let-go": f"{_LET_GO} || {_OWNED_BY_OTHERS}",
    },
    variables={"mayReconcile": MAY_RECONCILE},
    checks=(
        Check(
            f"!{_LET_GO} || variables.mayReconcile",
            f"'the finalizer {FINALIZER} keeps what is published: propose the deletion instead, and an approver agrees"
            f" to it by deleting; ' + {NO_RECONCILER}",
            "Forbidden",
        ),
        # The garbage collector removes references to deleted owners, and deletes objects that have no others.
        Check(
            f"!{_OWNED_BY_OTHERS} || variables.mayReconcile || request.userInfo.username in {quoted_list(CLEANERS)}",
            "'the owners of what is published stay, because it is deleted with them: leave metadata.ownerReferences as"
            f" it is; ' + {NO_RECONCILER}",
            "Forbidden",
        ),
    ),
)
