"""Declares admission policies on porchflow's objects, and writes their manifests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from porchflow.api.names import (
    ADMISSION_LABEL,
    CONFIG_GROUP,
    CONFIG_VERSION,
    PACKAGE_REVISION_PLURAL,
    PACKAGE_REVISION_VERSION,
    PORCH_GROUP,
    REPOSITORY_PLURAL,
)

Operation = Literal["CREATE", "UPDATE", "DELETE"]
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Guarded:
    """A kind of object that policies check.

    Attributes:
        group: Its API group.
        version: Of the group.
        plural: Name of the resource.
    """

    group: str
    version: str
    plural: str


PACKAGE_REVISIONS: Final = Guarded(PORCH_GROUP, PACKAGE_REVISION_VERSION, PACKAGE_REVISION_PLURAL)
REPOSITORIES: Final = Guarded(CONFIG_GROUP, CONFIG_VERSION, REPOSITORY_PLURAL)


@dataclass(frozen=True)
class Check:
    """One CEL expression that must be true.

    Attributes:
        expression: True when the request is valid.
        message: CEL that makes the message: what is refused, and how to mend it.
        reason: Of the answer; `Forbidden` where a permission is missing.
    """

    expression: str
    message: str
    reason: Literal["Invalid", "Forbidden"] = "Invalid"


@dataclass(frozen=True)
class Policy:
    """Checks that belong together.

    Attributes:
        name: Of the policy and of its binding.
        operations: Operations that it checks.
        checks: All must hold.
        variables: Named CEL expressions; each is computed only where it is used, and may use those before it.
        only_if: Named CEL expressions; where one is false, the policy does not apply to the request.
        warns: The request is admitted with the message as a warning.
        everywhere: No Namespace can be exempted.
        on: The kind of object.
        where: Labels of the Namespaces that opt in; none means that it applies to all.
    """

    name: str
    operations: tuple[Operation, ...]
    checks: tuple[Check, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    only_if: Mapping[str, str] = field(default_factory=dict)
    warns: bool = False
    everywhere: bool = False
    on: Guarded = PACKAGE_REVISIONS
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mutation:
    """A policy that writes into PackageRevisions.

    Attributes:
        name: Of the policy and of its binding.
        operations: Operations that it checks.
        only_if: As in a `Policy`.
        variables: As in a `Policy`.
        patch: A CEL expression: a list of JSONPatch.
    """

    name: str
    operations: tuple[Operation, ...]
    only_if: Mapping[str, str]
    variables: Mapping[str, str]
    patch: str


def policy_manifests(policy: Policy) -> list[Manifest]:
    """Return the ValidatingAdmissionPolicy and its binding."""
    spec = _spec(policy.on, policy.operations, policy.variables, policy.only_if)
    spec["validations"] = [
        {"expression": check.expression, "messageExpression": check.message, "reason": check.reason}
        for check in policy.checks
    ]
    binding: Manifest = {"policyName": policy.name, "validationActions": ["Warn" if policy.warns else "Deny"]}
    if selector := _namespaces(policy):
        binding["matchResources"] = {"namespaceSelector": selector}
    return [
        _manifest("ValidatingAdmissionPolicy", policy.name, spec),
        _manifest("ValidatingAdmissionPolicyBinding", policy.name, binding),
    ]


def _namespaces(policy: Policy) -> Manifest:
    selector: Manifest = {}
    if not policy.everywhere:
        outside = {"key": ADMISSION_LABEL, "operator": "NotIn", "values": ["disabled"]}
        selector["matchExpressions"] = [outside]
    if policy.where:
        selector["matchLabels"] = dict(policy.where)
    return selector


def mutation_manifests(mutation: Mutation) -> list[Manifest]:
    """Return the MutatingAdmissionPolicy and its binding."""
    spec = _spec(PACKAGE_REVISIONS, mutation.operations, mutation.variables, mutation.only_if)
    # If another webhook or policy changes the object afterwards, this one runs again and has the last word.
    spec["reinvocationPolicy"] = "IfNeeded"
    spec["mutations"] = [{"patchType": "JSONPatch", "jsonPatch": {"expression": mutation.patch}}]
    return [
        _manifest("MutatingAdmissionPolicy", mutation.name, spec),
        _manifest("MutatingAdmissionPolicyBinding", mutation.name, {"policyName": mutation.name}),
    ]


def _spec(
    on: Guarded, operations: Sequence[Operation], variables: Mapping[str, str], only_if: Mapping[str, str]
) -> Manifest:
    rule = {
        "apiGroups": [on.group],
        "apiVersions": [on.version],
        "operations": list(operations),
        "resources": [on.plural],
    }
    spec: Manifest = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}}
    if only_if:
        spec["matchConditions"] = [{"name": name, "expression": cel} for name, cel in only_if.items()]
    if variables:
        spec["variables"] = [{"name": name, "expression": cel} for name, cel in variables.items()]
    return spec


def _manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "porchflow"}},
        "spec": spec,
    }
