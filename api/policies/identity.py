"""Identity of a package revision, which does not change, and content, which is final once it is published."""

import re
from typing import Final

from porchflow.api.models.definition import SPEC_STAYS, Rule
from porchflow.api.models.packagerevision import SPEC_RULES
from porchflow.api.names import ACCEPT_COMMIT_ANNOTATION, APPROVED_COMMIT_ANNOTATION
from porchflow.api.policies.expressions import (
    MAY_APPROVE,
    MAY_RECONCILE,
    NEW,
    NO_APPROVER,
    WANTED_LIFECYCLE,
    annotation,
    before,
)
from porchflow.api.policies.policy import Check, Policy

_MIRRORED: Final = ("readinessGates", "packageMetadata")
"""Fields of the spec that porchflow copies from the Kptfile."""

_IDENTITY: Final = ("repository", "packageName", "workspaceName")
# As `porchflow.api.names.object_name`: slashes in the package become dots, and those at its ends are dropped.
_NAME: Final = (
    "object.spec.repository + '.' + object.spec.packageName.find('[^/].*[^/]|[^/]').replace('/', '.') + '.'"
    " + object.spec.workspaceName"
)


def _stays(rule: Rule) -> Check:
    """Return a rule of our CRD as a check, for clusters that have Porch's CRDs instead."""

    def of_spec(cel: str) -> str:
        holder = "" if rule is SPEC_STAYS else ".spec"
        return re.sub(r"\b(oldSelf|self)\b", lambda at: {"self": "object", "oldSelf": "oldObject"}[at[1]] + holder, cel)

    asks = of_spec(rule.rule)
    if rule is not SPEC_STAYS:
        asks = f"!has(object.spec) || !has(oldObject.spec) || ({asks})"
    return Check(f"{NEW} || {asks}", rule.message_expression or f"'{rule.message}'")


def _frozen(field: str) -> str:
    return f"object.?spec.?{field} == oldObject.?spec.?{field}"


_ACCEPTED: Final = annotation("object", ACCEPT_COMMIT_ANNOTATION)
_OLD_ACCEPTED: Final = before(annotation("oldObject", ACCEPT_COMMIT_ANNOTATION))
_REVIEWED: Final = annotation("object", APPROVED_COMMIT_ANNOTATION)
_OLD_REVIEWED: Final = before(annotation("oldObject", APPROVED_COMMIT_ANNOTATION))

# All of the spec but the lifecycle, which changes most often and has a policy of its own.
_ASKED: Final = (*_IDENTITY, "source", "subpackageOperation", *_MIRRORED)

_NO_OPERATION: Final = "!object.?spec.?subpackageOperation.hasValue()"

IDENTITY: Final = Policy(
    name="porchflow-identity",
    operations=("CREATE", "UPDATE"),
    only_if={
        "asks-for-something-else": f"{NEW} || has(object.spec) != has(oldObject.spec) || "
        + " || ".join(f"!({_frozen(field)})" for field in _ASKED)
        + f" || {_ACCEPTED} != {_OLD_ACCEPTED} || {_REVIEWED} != {_OLD_REVIEWED}"
    },
    variables={
        "complete": " && ".join(f"object.?spec.?{field}.orValue('') != ''" for field in _IDENTITY),
        "renamed": f"{NEW} || " + " || ".join(f"!({_frozen(field)})" for field in _IDENTITY),
        "published": before("oldObject.?spec.?lifecycle.orValue('') in ['Published', 'DeletionProposed']", "false"),
        "proposed": before(
            "oldObject.?spec.?lifecycle.orValue('') == 'Proposed' && object.?spec.?lifecycle.orValue('') != 'Draft'",
            "false",
        ),
        "mayApprove": MAY_APPROVE,
        "mayReconcile": MAY_RECONCILE,
        "lostGates": before(
            "oldObject.?spec.?readinessGates.orValue([]).filter(g, !(g in object.?spec.?readinessGates.orValue([])))"
            ".map(g, g.?conditionType.orValue(''))",
            "[]",
        ),
    },
    checks=(
        *(_stays(rule) for rule in (SPEC_STAYS, *SPEC_RULES) if rule.field != ".lifecycle"),
        Check(
            f"!({NEW}) || variables.complete",
            "'spec.repository, spec.packageName and spec.workspaceName must say which package revision this is'",
        ),
        Check(
            f"!variables.complete || !variables.renamed || object.metadata.name == {_NAME}",
            "'the name of a package revision says what it is: ' + object.metadata.name + ' has to be '"
            f" + {_NAME} + ' (repository.package.workspace)'",
        ),
        Check(
            f"!({NEW}) || {_NO_OPERATION} || variables.mayReconcile",
            "'spec.subpackageOperation changes the content of a Draft that is there: create this without it, and set it"
            " once the Draft is Ready'",
        ),
        # Taking away what was done, or was never to be, changes no content.
        Check(
            f"{NEW} || {_NO_OPERATION} || {_frozen('subpackageOperation')} || variables.mayReconcile"
            f" || {WANTED_LIFECYCLE} in ['Draft', '']",
            "'spec.subpackageOperation changes the content of a Draft, and this is to be '"
            f" + {WANTED_LIFECYCLE} + (variables.published ? ': create a new PackageRevision, with source.copyFrom of"
            " this one, and set it there' : ': set spec.lifecycle to Draft, and propose it again when the operation is"
            " done')",
        ),
        Check(
            f"!variables.published || {_frozen('source')}",
            "'the content of a published revision is final, so spec.source cannot be set any more: create a new"
            " PackageRevision, with source.copyFrom of this one'",
        ),
        Check(
            "!variables.published || variables.mayReconcile || "
            "(" + " && ".join(_frozen(field) for field in _MIRRORED) + ")",
            "'the content of a published revision is final, and spec.readinessGates and spec.packageMetadata say what"
            " its Kptfile says: create a new PackageRevision, with source.copyFrom of this one, and change its"
            " Kptfile'",
        ),
        Check(
            f"!variables.proposed || variables.mayReconcile || {_frozen('packageMetadata')}",
            "'the content of a proposal is under review, and spec.packageMetadata says what its Kptfile says: set"
            " spec.lifecycle to Draft, and change it then'",
        ),
        # Before the publication too, because an annotation that is set then would count after it.
        Check(
            f"{_ACCEPTED} in ['', {_OLD_ACCEPTED}] || variables.mayApprove",
            f"'accepting other content for what is published is for approvers: ' + {NO_APPROVER}",
            "Forbidden",
        ),
        # An author must neither name the commit that counts as reviewed, nor remove it.
        Check(
            f"{_REVIEWED} == {_OLD_REVIEWED} || variables.mayApprove",
            f"'saying which commit was reviewed (annotation {APPROVED_COMMIT_ANNOTATION}) is for approvers: '"
            f" + {NO_APPROVER}",
            "Forbidden",
        ),
        Check(
            "variables.published || variables.mayReconcile || size(variables.lostGates) == 0",
            "'the readiness gate ' + variables.lostGates.join(', ') + ' comes from the Kptfile: remove it there, from"
            " info.readinessGates, and push the package'",
        ),
    ),
)
