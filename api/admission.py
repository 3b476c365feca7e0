"""The admission policies in `deploy/admission/`, and what makes the files: `python -m api.admission [--check]`.

They refuse at once, with words for people, what porchflow would otherwise have to refuse later in a condition, and they
write down who approved and who suspended. CEL of Kubernetes 1.36: `object` and `oldObject` as the API server has them.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from api.conditions import ConditionType
from api.definition import SPEC_STAYS, Rule
from api.names import (
    APPROVAL_SUBRESOURCE,
    APPROVED_BY_ANNOTATION,
    FINALIZER,
    PACKAGE_REVISION_PLURAL,
    PORCH_GROUP,
    RECONCILE_NOW_ANNOTATION,
    RECONCILE_VERB,
    RECORDS_POLICY,
    RENDER_REQUEST_ANNOTATION,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
    UPSTREAM_OF_ANNOTATION,
)
from api.packagerevision import NEXT_LIFECYCLES, SPEC_RULES
from api.policy import Check, Mutation, Policy, mutation_manifests, policy_manifests

FOLDER: Final = Path(__file__).parent.parent / "deploy" / "admission"

CLEANERS: Final = (
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:kube-controller-manager",
)
"""Who deletes what a deleted Repository or Namespace leaves behind; the last is for controllers with one account."""

_MIRRORED: Final = ("readinessGates", "packageMetadata")
"""Fields of the spec that porchflow copies from the Kptfile."""


def _annotation(holder: str, key: str) -> str:
    return f"{holder}.?metadata.?annotations['{key}'].orValue('')"


def _before(cel: str, otherwise: str = "''") -> str:
    """Return an expression on the object as it was; a new one was nothing."""
    return f"(request.operation == 'CREATE' ? {otherwise} : {cel})"


def _may(verb: str, subresource: str = "") -> str:
    resource = f"authorizer.group('{PORCH_GROUP}').resource('{PACKAGE_REVISION_PLURAL}')"
    if subresource:
        resource += f".subresource('{subresource}')"
    return f"{resource}.namespace(request.namespace).name(request.name).check('{verb}').allowed()"


_NEW: Final = "request.operation == 'CREATE'"
_LIFECYCLE: Final = "object.?spec.?lifecycle.orValue('')"
_OLD_LIFECYCLE: Final = _before("oldObject.?spec.?lifecycle.orValue('')")
_PUBLISHES: Final = "(variables.lifecycle == 'Published' && variables.oldLifecycle in ['Draft', 'Proposed'])"
_MAY_APPROVE: Final = f"{_may('update', APPROVAL_SUBRESOURCE)} || {_may('patch', APPROVAL_SUBRESOURCE)}"
_MAY_RECONCILE: Final = _may(RECONCILE_VERB)

_NO_APPROVER: Final = (
    f"request.userInfo.username + ' may not update {PACKAGE_REVISION_PLURAL}/{APPROVAL_SUBRESOURCE} in namespace '"
    " + request.namespace + '; ask an approver to do it, or an administrator to bind you the ClusterRole"
    " porchflow-approver'"
)

_STATUS: Final = "oldObject.?status"
_RENDER_DUE: Final = (
    f"({_annotation('object', RENDER_REQUEST_ANNOTATION)} != ''"
    f" && {_annotation('object', RENDER_REQUEST_ANNOTATION)}"
    f" != {_STATUS}.?observedPrrResourceVersion.orValue(''))"
    f" || ({_annotation('object', RECONCILE_NOW_ANNOTATION)} != {_STATUS}.?observedReconcileNow.orValue(''))"
)
_UNRENDERED: Final = (
    f"{_STATUS}.?conditions.orValue([]).filter(c, c.type == '{ConditionType.RENDERED}' && c.status == 'False')"
)
_UNMET_GATES: Final = (
    "object.?spec.?readinessGates.orValue([]).map(g, g.?conditionType.orValue(''))"
    f".filter(t, !{_STATUS}.?packageConditions.orValue([]).exists(c, c.type == t && c.status == 'True'))"
)


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"


_STEPS: Final = "{" + ", ".join(f"'{old}': {_list((old, *new))}" for old, new in NEXT_LIFECYCLES.items()) + "}"
_STEPS_TOLD: Final = "{" + ", ".join(f"'{old}': '{' or '.join(new)}'" for old, new in NEXT_LIFECYCLES.items()) + "}"

LIFECYCLE: Final = Policy(
    name="porchflow-lifecycle",
    operations=("CREATE", "UPDATE"),
    only_if={"asks-for-another-lifecycle": f"{_LIFECYCLE} != {_OLD_LIFECYCLE}"},
    variables={
        "lifecycle": _LIFECYCLE,
        "oldLifecycle": _OLD_LIFECYCLE,
        "mayApprove": _MAY_APPROVE,
        "mayReconcile": _MAY_RECONCILE,
        "goesOn": "variables.lifecycle in ['Proposed', 'Published'] && variables.oldLifecycle in ['Draft', 'Proposed']",
        "renderDue": _before(_RENDER_DUE, "true"),
        "unrendered": _before(_UNRENDERED, "[]"),
        "unmetGates": _before(_UNMET_GATES, "[]"),
    },
    checks=(
        Check(
            "variables.oldLifecycle != '' || variables.lifecycle in ['', 'Draft'] || variables.mayReconcile",
            "'a package revision starts as Draft, not as ' + variables.lifecycle + ': create it with spec.lifecycle"
            " Draft, and set Proposed when it is Ready'",
        ),
        Check(
            f"variables.oldLifecycle == '' || variables.lifecycle in {_STEPS}[variables.oldLifecycle]",
            "'lifecycle cannot go from ' + variables.oldLifecycle + ' to ' + (variables.lifecycle == '' ? 'nothing' :"
            f" variables.lifecycle) + '; from ' + variables.oldLifecycle + ' it can go to ' +"
            f" {_STEPS_TOLD}[variables.oldLifecycle]",
        ),
        Check(
            f"!{_PUBLISHES} || variables.mayApprove", f"'publishing is for approvers: ' + {_NO_APPROVER}", "Forbidden"
        ),
        # While newer content waits for its rendering nobody knows: porchflow decides when it is rendered.
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

_IDENTITY: Final = ("repository", "packageName", "workspaceName")
# The package's slashes become dots; those at its ends count for nothing. As `api.names.object_name`.
_NAME: Final = (
    "object.spec.repository + '.' + object.spec.packageName.find('[^/].*[^/]|[^/]').replace('/', '.') + '.'"
    " + object.spec.workspaceName"
)


def _stays(rule: Rule) -> Check:
    """Return a rule of the CRD as a check: clusters that have Porch's own CRDs have it too."""

    def of_spec(cel: str) -> str:
        holder = "" if rule is SPEC_STAYS else ".spec"
        return re.sub(r"\b(oldSelf|self)\b", lambda at: {"self": "object", "oldSelf": "oldObject"}[at[1]] + holder, cel)

    asks = of_spec(rule.rule)
    if rule is not SPEC_STAYS:
        asks = f"!has(object.spec) || !has(oldObject.spec) || ({asks})"
    return Check(f"{_NEW} || {asks}", rule.message_expression or f"'{rule.message}'")


def _frozen(field: str) -> str:
    return f"object.?spec.?{field} == oldObject.?spec.?{field}"


# All of the spec but the lifecycle, which has a policy of its own and changes most often.
_ASKED: Final = (*_IDENTITY, "source", *_MIRRORED)

IDENTITY: Final = Policy(
    name="porchflow-identity",
    operations=("CREATE", "UPDATE"),
    only_if={
        "asks-for-something-else": f"{_NEW} || has(object.spec) != has(oldObject.spec) || "
        + " || ".join(f"!({_frozen(field)})" for field in _ASKED)
    },
    variables={
        "complete": " && ".join(f"object.?spec.?{field}.orValue('') != ''" for field in _IDENTITY),
        "renamed": f"{_NEW} || " + " || ".join(f"!({_frozen(field)})" for field in _IDENTITY),
        "published": _before("oldObject.?spec.?lifecycle.orValue('') in ['Published', 'DeletionProposed']", "false"),
        "mayReconcile": _MAY_RECONCILE,
        "lostGates": _before(
            "oldObject.?spec.?readinessGates.orValue([]).filter(g, !(g in object.?spec.?readinessGates.orValue([])))"
            ".map(g, g.?conditionType.orValue(''))",
            "[]",
        ),
    },
    checks=(
        *(_stays(rule) for rule in (SPEC_STAYS, *SPEC_RULES) if rule.field != ".lifecycle"),
        Check(
            f"!({_NEW}) || variables.complete",
            "'spec.repository, spec.packageName and spec.workspaceName must say which package revision this is'",
        ),
        Check(
            f"!variables.complete || !variables.renamed || object.metadata.name == {_NAME}",
            "'the name of a package revision says what it is: ' + object.metadata.name + ' has to be '"
            f" + {_NAME} + ' (repository.package.workspace)'",
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
            "variables.published || variables.mayReconcile || size(variables.lostGates) == 0",
            "'the readiness gate ' + variables.lostGates.join(', ') + ' comes from the Kptfile: remove it there, from"
            " info.readinessGates, and push the package'",
        ),
    ),
)

DELETION: Final = Policy(
    name="porchflow-deletion",
    operations=("DELETE",),
    only_if={
        "is-no-clean-up": f"!(request.userInfo.username in {_list(CLEANERS)})",
        # Without our finalizer nothing happens to Git: so a sync lets objects go whose content is gone already.
        "touches-git": f"'{FINALIZER}' in oldObject.?metadata.?finalizers.orValue([])",
    },
    variables={"lifecycle": "oldObject.?spec.?lifecycle.orValue('')", "mayApprove": _MAY_APPROVE},
    checks=(
        Check(
            "variables.lifecycle != 'Published'",
            "oldObject.metadata.name + ' is Published: propose its deletion first, by setting spec.lifecycle to"
            " DeletionProposed (porchctl rpkg propose-delete), and delete it then'",
        ),
        Check(
            "variables.lifecycle != 'DeletionProposed' || variables.mayApprove",
            f"'agreeing to the deletion of what is published is for approvers: ' + {_NO_APPROVER}",
            "Forbidden",
        ),
    ),
)

CLONES: Final = Policy(
    name="porchflow-clones",
    operations=("UPDATE", "DELETE"),
    warns=True,
    only_if={
        "is-an-upstream": f"{_annotation('oldObject', UPSTREAM_OF_ANNOTATION)} != ''",
        "goes": "request.operation == 'DELETE' || ("
        f"{_LIFECYCLE} == 'DeletionProposed' && oldObject.?spec.?lifecycle.orValue('') == 'Published')",
    },
    checks=(
        Check(
            "false",
            f"{_annotation('oldObject', UPSTREAM_OF_ANNOTATION)} + ' was made from ' + oldObject.metadata.name + ':"
            " what was made from it keeps its content when it is gone, but cannot be upgraded from it any more'",
        ),
    ),
)

_APPROVED_BY: Final = _annotation("object", APPROVED_BY_ANNOTATION)
_OLD_APPROVED_BY: Final = _before(_annotation("oldObject", APPROVED_BY_ANNOTATION))
_SUSPENDED_BY: Final = _annotation("object", SUSPENDED_BY_ANNOTATION)
_OLD_SUSPENDED_BY: Final = _before(_annotation("oldObject", SUSPENDED_BY_ANNOTATION))
_UNTIL: Final = _annotation("object", SUSPEND_UNTIL_ANNOTATION)
_OLD_UNTIL: Final = _before(_annotation("oldObject", SUSPEND_UNTIL_ANNOTATION))
_SUSPENSION: Final = (SUSPEND_ANNOTATION, SUSPEND_UNTIL_ANNOTATION)
_RECORDED: Final = (APPROVED_BY_ANNOTATION, SUSPENDED_BY_ANNOTATION, *_SUSPENSION)
_RFC3339: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"


def _optional(holder: str, key: str) -> str:
    return f"{holder}.?metadata.?annotations['{key}']"


def _becomes(key: str) -> str:
    """Return an expression that is true where the request gives an annotation another value, or removes it."""
    return f"{_optional('object', key)} != {_before(_optional('oldObject', key), 'optional.none()')}"


_TOUCHES_RECORDS: Final = " || ".join(_becomes(key) for key in _RECORDED)

RECORDS: Final = Policy(
    name=RECORDS_POLICY,
    operations=("CREATE", "UPDATE"),
    everywhere=True,
    only_if={"touches-records": _TOUCHES_RECORDS},
    variables={"lifecycle": _LIFECYCLE, "oldLifecycle": _OLD_LIFECYCLE, "mayReconcile": _MAY_RECONCILE},
    checks=(
        Check(
            f"{_APPROVED_BY} == {_OLD_APPROVED_BY} || ({_PUBLISHES} && {_APPROVED_BY} == request.userInfo.username)"
            f" || ({_NEW} && variables.mayReconcile)",
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
    found = _annotation("object", key)
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
_PUBLISHES_NOW: Final = f"({_LIFECYCLE} == 'Published' && {_OLD_LIFECYCLE} in ['Draft', 'Proposed'])"

MUTATION: Final = Mutation(
    name=RECORDS_POLICY,
    operations=("CREATE", "UPDATE"),
    # To look at a request is cheap, to patch it is not: the object is taken apart and put together again.
    only_if={"has-to-be-recorded": f"{_PUBLISHES_NOW} || {_TOUCHES_RECORDS}"},
    variables={
        "lifecycle": _LIFECYCLE,
        "oldLifecycle": _OLD_LIFECYCLE,
        # What is restored from a backup keeps its approver; nobody else brings one along.
        "restores": f"{_NEW} && variables.lifecycle in ['Published', 'DeletionProposed'] && {_MAY_RECONCILE}",
        "approvedBy": f"{_PUBLISHES} ? request.userInfo.username : variables.restores ? {_APPROVED_BY}"
        f" : {_OLD_APPROVED_BY}",
        "suspended": " || ".join(f"{_optional('object', key)}.hasValue()" for key in _SUSPENSION),
        "suspendedAnew": _before(
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

POLICIES: Final = (LIFECYCLE, IDENTITY, DELETION, CLONES, RECORDS)

_HEADER: Final = "# Made by `python -m api.admission`. Change api/admission.py, not this.\n"


def manifests() -> dict[str, list[dict[str, Any]]]:
    """Return what is in each file of `deploy/admission/`, by file name."""
    return {
        **{f"{policy.name}.yaml": policy_manifests(policy) for policy in POLICIES},
        f"{MUTATION.name}-mutation.yaml": mutation_manifests(MUTATION),
    }


def _texts() -> dict[str, str]:
    return {
        name: _HEADER + yaml.safe_dump_all(documents, sort_keys=False, width=110)
        for name, documents in manifests().items()
    }


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the files of a folder that are not what the policies say: other text, missing, or nobody's."""
    wanted = _texts()
    found = {path.name: path.read_text() for path in folder.glob("*.yaml")}
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> None:
    """Write the files of a folder; one that is no policy's any more goes."""
    wanted = _texts()
    folder.mkdir(parents=True, exist_ok=True)
    for name in stale(folder):
        if name in wanted:
            (folder / name).write_text(wanted[name])
        else:
            (folder / name).unlink()


def main(arguments: Sequence[str]) -> int:
    """Write the files, or check them with `--check`; returns the exit code."""
    if "--check" not in arguments:
        write()
        return 0
    names = stale()
    if names:
        sys.stderr.write(
            f"deploy/admission: {', '.join(names)} not as in api/admission.py; run `python -m api.admission`\n"
        )
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
