"""How an admission policy on PackageRevisions is declared, and told to the API server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from porchflow.api.names import ADMISSION_LABEL, PACKAGE_REVISION_PLURAL, PACKAGE_REVISION_VERSION, PORCH_GROUP

Operation = Literal["CREATE", "UPDATE", "DELETE"]
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One CEL expression that must be true.

    Attributes:
        expression: True when the request is good.
        message: CEL that makes the words for people: what is refused, and what to do.
        reason: Of the answer; `Forbidden` where a permission is missing.
    """

    expression: str
    message: str
    reason: Literal["Invalid", "Forbidden"] = "Invalid"


@dataclass(frozen=True)
class Policy:
    """Policies on PackageRevisions that belong together.

    Attributes:
        name: Of the policy and of its binding.
        operations: What it looks at.
        checks: All must hold.
        variables: Named CEL expressions; each is computed only where it is used, and may use those before it.
        only_if: Named CEL expressions; where one is false, the policy leaves the request alone.
        warns: The request is let through with the message as a warning.
        everywhere: No Namespace can be taken out of it.
    """

    name: str
    operations: tuple[Operation, ...]
    checks: tuple[Check, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    only_if: Mapping[str, str] = field(default_factory=dict)
    warns: bool = False
    everywhere: bool = False


@dataclass(frozen=True)
class Mutation:
    """A policy that writes into PackageRevisions.

    Attributes:
        name: Of the policy and of its binding.
        operations: What it looks at.
        only_if: As of a `Policy`.
        variables: As of a `Policy`.
        patch: A CEL expression: a list of JSONPatch.
    """

    name: str
    operations: tuple[Operation, ...]
    only_if: Mapping[str, str]
    variables: Mapping[str, str]
    patch: str


def policy_manifests(policy: Policy) -> list[Manifest]:
    """Return the ValidatingAdmissionPolicy and its binding."""
    spec = _spec(policy.operations, policy.variables, policy.only_if)
    spec["validations"] = [
        {"expression": check.expression, "messageExpression": check.message, "reason": check.reason}
        for check in policy.checks
    ]
    binding: Manifest = {"policyName": policy.name, "validationActions": ["Warn" if policy.warns else "Deny"]}
    if not policy.everywhere:
        outside = {"key": ADMISSION_LABEL, "operator": "NotIn", "values": ["disabled"]}
        binding["matchResources"] = {"namespaceSelector": {"matchExpressions": [outside]}}
    return [
        _manifest("ValidatingAdmissionPolicy", policy.name, spec),
        _manifest("ValidatingAdmissionPolicyBinding", policy.name, binding),
    ]


def mutation_manifests(mutation: Mutation) -> list[Manifest]:
    """Return the MutatingAdmissionPolicy and its binding."""
    spec = _spec(mutation.operations, mutation.variables, mutation.only_if)
    # Whoever else changes the object on its way in, this has the last word.
    spec["reinvocationPolicy"] = "IfNeeded"
    spec["mutations"] = [{"patchType": "JSONPatch", "jsonPatch": {"expression": mutation.patch}}]
    return [
        _manifest("MutatingAdmissionPolicy", mutation.name, spec),
        _manifest("MutatingAdmissionPolicyBinding", mutation.name, {"policyName": mutation.name}),
    ]


def _spec(operations: Sequence[Operation], variables: Mapping[str, str], only_if: Mapping[str, str]) -> Manifest:
    rule = {
        "apiGroups": [PORCH_GROUP],
        "apiVersions": [PACKAGE_REVISION_VERSION],
        "operations": list(operations),
        "resources": [PACKAGE_REVISION_PLURAL],
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
