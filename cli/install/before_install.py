"""All checks before an installation; `porchflow install` and `porchflow doctor --before-install` run the same."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any

from porchflow.cli.doctor.findings import Check, Finding, Level, all_of, worst
from porchflow.cli.doctor.kubernetes_version import check_version
from porchflow.cli.doctor.reaching import check_reached
from porchflow.cli.install.choice import RECORD_APPROVERS, Choice, ChoiceError
from porchflow.cli.install.object_checks import check_fields, check_kinds, check_rights, check_secrets
from porchflow.cli.install.place_checks import check_installation, check_namespaces, check_served_versions
from porchflow.cli.install.porch_beside import check_porch
from porchflow.cli.install.record import Record, RecordError, new_record, read_record, record_manifest
from porchflow.cli.trouble import Trouble
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import CUSTOMRESOURCEDEFINITIONS, MUTATINGADMISSIONPOLICIES


async def chosen(kube: KubeClient, namespace: str, wanted: Mapping[str, Any]) -> tuple[Choice, Record | None]:
    """Return what is to be installed, and what is: an installation keeps what it was given.

    Args:
        kube: The API server.
        namespace: Namespace of the processes.
        wanted: Arguments of `Choice.changed`.

    Raises:
        Trouble: The choice cannot be installed, or the record cannot be read.
        KubeError: The API server does not answer.
    """
    try:
        record = await read_record(kube, namespace)
        before = record.choice if record else Choice(namespace=namespace)
        return await _with_what_is_served(kube, before.changed(**wanted)), record
    except (ChoiceError, RecordError) as error:
        raise Trouble(str(error)) from None


async def _with_what_is_served(kube: KubeClient, choice: Choice) -> Choice:
    """Return a choice with the component that records approvers where the API server serves its kinds.

    Raises:
        KubeError: The API server does not answer.
    """
    if RECORD_APPROVERS in choice.without or not await kube.serves(MUTATINGADMISSIONPOLICIES):
        return choice
    return choice.changed(components=[RECORD_APPROVERS])


async def check_before_install(
    kube: KubeClient, choice: Choice, record: Record | None, *, force_conflicts: bool = False
) -> list[Finding]:
    """Check that a choice can be installed, and that it would do no harm. Changes nothing.

    Args:
        kube: The API server.
        choice: What is to be installed.
        record: What is installed; None for nothing.
        force_conflicts: Whether fields of other owners will be taken over.
    """
    reached = await check_reached(kube)
    if worst(reached) != Level.OK:
        return reached
    foundations, manifests = choice.foundations(), choice.manifests()
    everything = [*foundations, record_manifest(new_record(choice, ())), *manifests]
    crds = [one for one in foundations if one["kind"] == CUSTOMRESOURCEDEFINITIONS.kind]
    return [
        *reached,
        *await all_of(
            _told("version", kube, check_version(kube)),
            _told("rights", kube, check_rights(kube, everything)),
            _told("kinds", kube, check_kinds(kube, choice)),
            _told("porch", kube, check_porch(kube, beside_porch=choice.beside_porch)),
            _told("installation", kube, check_installation(kube, choice)),
            _told("namespace", kube, check_namespaces(kube, choice)),
            _told("crds", kube, check_served_versions(kube, crds)),
            _told("fields", kube, check_fields(kube, everything, force=force_conflicts)),
            _told("secrets", kube, check_secrets(kube, choice)),
            _image(choice, record),
        ),
    ]


async def _told(name: str, kube: KubeClient, work: Awaitable[list[Finding]]) -> list[Finding]:
    """Return the findings of a check; that the API server does not answer is one."""
    try:
        return await work
    except KubeError as error:
        return [Check(name, kube.host).failure(str(error), "see whether the API server is well")]


async def _image(choice: Choice, record: Record | None) -> list[Finding]:
    """Check that nodes can pull the image, and that it is not the one of the version before."""
    await asyncio.sleep(0)
    check = Check("image", choice.image or "that of the manifests")
    if not choice.image:
        told = "is in no registry: nodes need it already"
        return [check.warning(told, "push it to a registry of yours, and name it with --image")]
    this = new_record(choice, ()).version
    if record and record.version != this and record.choice.image == choice.image:
        told = f"was installed by version {record.version}, and this is {this}"
        return [check.failure(told, "name the image of this version with --image")]
    return [check.ok("is named")]
