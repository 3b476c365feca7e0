"""Checks of every object that would be applied: rights, kinds, other owners of fields, Secrets that pods need."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.doctor.permissions import Right, may
from porchflow.cli.install.choice import RECORD_APPROVERS, Choice
from porchflow.cli.install.record import FIELD_MANAGER, Place
from porchflow.cli.manifests.manifest_kinds import resource_of
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound, NotServed
from porchflow.kube.kinds import MUTATINGADMISSIONPOLICIES, NAMESPACES, SECRET_METADATA, SECRETS

_VERBS: Final = ("get", "create", "patch")
"""What server-side apply needs."""
_AT_ONCE: Final = 8


async def check_rights(kube: KubeClient, manifests: Sequence[Object]) -> list[Finding]:
    """Check that the credentials at hand may apply objects.

    Args:
        kube: The API server.
        manifests: The objects.

    Raises:
        KubeError: The API server does not answer.
    """
    check = Check("rights", "these credentials")
    targets = sorted({(one["metadata"].get("namespace", ""), str(resource_of(one))) for one in manifests})
    rights = [Right(namespace, verb, target) for namespace, target in targets for verb in _VERBS]
    answers = await asyncio.gather(*(may(kube, right) for right in rights))
    missing = [str(right) for right, allowed in zip(rights, answers, strict=True) if not allowed]
    if missing:
        told = f"may not: {'; '.join(missing)}"
        return [
            check.failure(told, "run it as an administrator of the cluster, such as with ClusterRole cluster-admin")
        ]
    return [check.ok(f"may do all {len(rights)} things that installing does")]


async def check_kinds(kube: KubeClient, choice: Choice) -> list[Finding]:
    """Check that the API server serves the kinds of the chosen objects.

    Args:
        kube: The API server.
        choice: What is to be installed.

    Raises:
        KubeError: The API server does not answer.
    """
    kinds = {resource_of(one) for one in choice.manifests()}
    found = []
    for kind in sorted(kinds, key=str):
        if not await kube.serves(kind):
            mend = f"install what serves {kind.group}, or leave the component out (--without)"
            found.append(Check("kinds", str(kind)).failure("is not served here", mend))
    if RECORD_APPROVERS not in choice.components and MUTATINGADMISSIONPOLICIES not in kinds:
        served = await kube.serves(MUTATINGADMISSIONPOLICIES)
        told = "left out by choice" if served else f"{MUTATINGADMISSIONPOLICIES.kind} is not served here"
        found.append(
            Check("kinds", RECORD_APPROVERS).warning(
                f"{told}: nobody is recorded as approver",
                "nothing, where that is what you want (docs/guides/approval.md)",
            )
        )
    return found


async def check_fields(kube: KubeClient, manifests: Sequence[Object], *, force: bool) -> list[Finding]:
    """Have the API server judge every object as if it were applied, and name other owners of its fields.

    Objects in namespaces that are not there yet cannot be judged, and have no other owner.

    Args:
        kube: The API server.
        manifests: The objects; those in Namespaces among them need not exist yet.
        force: Whether fields of other owners will be taken over.

    Raises:
        KubeError: The API server does not answer.
    """
    made = {one["metadata"]["name"] for one in manifests if one["kind"] == NAMESPACES.kind}
    slots = asyncio.Semaphore(_AT_ONCE)

    async def judged(one: Object) -> list[Finding]:
        async with slots:
            return await _judge(kube, one, made, force=force)

    found = await asyncio.gather(*(judged(one) for one in manifests))
    return [finding for each in found for finding in each] or [
        Check("fields", kube.host).ok(f"no other owner of a field; all {len(manifests)} objects can be applied")
    ]


async def _judge(kube: KubeClient, one: Object, made: set[str], *, force: bool) -> list[Finding]:
    try:
        await kube.apply(resource_of(one), one, field_manager=FIELD_MANAGER, force=False, dry_run=True)
    except NotServed:
        return []  # `check_kinds` says so.
    except KubeError as error:
        if isinstance(error, NotFound) and one["metadata"].get("namespace") in made:
            return []
        return [_refusal(Check("fields", str(Place.of(one))), error, force=force)]
    return []


def _refusal(check: Check, error: KubeError, *, force: bool) -> Finding:
    if isinstance(error, Conflict) and force:
        return check.warning(f"{_conflict(error)}; they are taken over", "see that the other owner lets go of them")
    if isinstance(error, Conflict):
        mend = "have the other owner leave these fields, or take them over with --force-conflicts"
        return check.failure(_conflict(error), mend)
    if isinstance(error, NotFound):
        return check.failure(error.message, "create the namespace first")
    if isinstance(error, Forbidden | Invalid):
        return check.failure(f"is refused: {error.message}", "see the message; RBAC and admission policies say it")
    return check.failure(f"cannot be judged: {error.message}", "see whether the API server is well")


def _conflict(error: Conflict) -> str:
    """Return the API server's message, which names owners and fields, in one line."""
    return " ".join(error.message.replace("\n- ", " ").split())


async def check_secrets(kube: KubeClient, choice: Choice) -> list[Finding]:
    """Check that the Secrets are there without which pods do not start.

    Args:
        kube: The API server.
        choice: What is to be installed.

    Raises:
        KubeError: The API server does not answer.
    """
    manifests = choice.manifests()
    made = {one["metadata"]["name"] for one in manifests if one["kind"] == SECRETS.kind}
    made |= {one["spec"]["secretName"] for one in manifests if one["kind"] == "Certificate"}
    found = []
    for name in sorted(set(_needed_secrets(manifests)) - made):
        check = Check("secrets", f"{choice.namespace}/{name}")
        try:
            await kube.get(SECRET_METADATA, choice.namespace, name)
        except (NotFound, Forbidden) as error:
            told = "is missing" if isinstance(error, NotFound) else "may not be read"
            mend = "make it; the comment in the component's kustomization.yaml says with which keys"
            found.append(check.warning(f"{told}: pods do not start without it", mend))
    return found


def _needed_secrets(manifests: Sequence[Object]) -> Iterator[str]:
    for one in manifests:
        if one["kind"] != "Deployment":
            continue
        pod = one["spec"]["template"]["spec"]
        for volume in pod.get("volumes", []):
            if "secret" in volume and not volume["secret"].get("optional"):
                yield volume["secret"]["secretName"]
        for container in pod["containers"]:
            for variable in container.get("env", []):
                reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
                if reference:
                    yield reference["name"]
