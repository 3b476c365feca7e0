"""CEL expressions that several policies share, on the API server's variables `object`, `oldObject` and `request`."""

from collections.abc import Sequence
from typing import Final

from porchflow.api.names import APPROVAL_SUBRESOURCE, PACKAGE_REVISION_PLURAL, PORCH_GROUP, RECONCILE_VERB

NEW: Final = "request.operation == 'CREATE'"


def annotation(holder: str, key: str) -> str:
    """Return an expression for the value of an annotation; the empty text without it.

    Args:
        holder: `object` or `oldObject`.
        key: Of the annotation.
    """
    return f"{holder}.?metadata.?annotations['{key}'].orValue('')"


def label(holder: str, key: str) -> str:
    """Return an expression for the value of a label; the empty text without it.

    Args:
        holder: `object` or `oldObject`.
        key: Of the label.
    """
    return f"{holder}.?metadata.?labels['{key}'].orValue('')"


def before(cel: str, otherwise: str = "''") -> str:
    """Return an expression on the old object.

    Args:
        cel: The expression.
        otherwise: The expression for a request that creates the object.
    """
    return f"({NEW} ? {otherwise} : {cel})"


def _may(verb: str, subresource: str = "") -> str:
    """Return an expression that is true where the user has a verb on the package revision, or on its subresource."""
    resource = f"authorizer.group('{PORCH_GROUP}').resource('{PACKAGE_REVISION_PLURAL}')"
    if subresource:
        resource += f".subresource('{subresource}')"
    return f"{resource}.namespace(request.namespace).name(request.name).check('{verb}').allowed()"


def quoted_list(values: Sequence[str]) -> str:
    """Return an expression for a list of texts, none of which may hold a quote."""
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


WANTED_LIFECYCLE: Final = "object.?spec.?lifecycle.orValue('')"
OLD_LIFECYCLE: Final = before("oldObject.?spec.?lifecycle.orValue('')")
HAS_SOURCE: Final = "object.?spec.?source.hasValue()"
PUBLISHES: Final = "(variables.lifecycle == 'Published' && variables.oldLifecycle in ['Draft', 'Proposed'])"
"""Whether a request publishes, in a policy with the variables `lifecycle` and `oldLifecycle`."""
PUBLISHES_NOW: Final = f"({WANTED_LIFECYCLE} == 'Published' && {OLD_LIFECYCLE} in ['Draft', 'Proposed'])"
"""As `PUBLISHES`, without variables: match conditions are evaluated before them."""
REPORTED_COMMIT: Final = "oldObject.?status.?selfLock.?git.?commit.orValue('')"
"""The commit of the content in the last report."""
MAY_APPROVE: Final = f"{_may('update', APPROVAL_SUBRESOURCE)} || {_may('patch', APPROVAL_SUBRESOURCE)}"
MAY_RECONCILE: Final = _may(RECONCILE_VERB)

NO_RECONCILER: Final = (
    f"request.userInfo.username + ' has no verb {RECONCILE_VERB} on {PACKAGE_REVISION_PLURAL} in namespace '"
    " + request.namespace"
)
NO_APPROVER: Final = (
    f"request.userInfo.username + ' may not update {PACKAGE_REVISION_PLURAL}/{APPROVAL_SUBRESOURCE} in namespace '"
    " + request.namespace + '; ask an approver to do it, or an administrator to bind you the ClusterRole"
    " porchflow-approver'"
)
