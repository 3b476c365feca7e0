"""Copies of readiness gates, metadata and conditions of the Kptfile in the object, where `kubectl` shows them."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.objects import change_object
from porchflow.api.names import KPTFILE_FIELD_MANAGER
from porchflow.kpt.format.files import decode
from porchflow.kpt.format.kptfile import Kptfile, parse
from porchflow.kube.changes import apply_part
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS


class KptfileMirror:
    """Writes readiness gates, metadata and conditions of the Kptfile to the PackageRevision, one way."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def reflect(self, obj: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
        """Apply the fields that differ; write nothing where none does.

        Args:
            obj: The raw object as last read.
            files: The rendered resource files, by path in the package.

        Returns:
            The object as it is now.

        Raises:
            InvalidPackage: The Kptfile cannot be read.
            Superseded: The live object asks for something newer.
            KubeError: The API server cannot be reached or refuses.
        """
        text = files.get("Kptfile")
        if text is None:
            return obj
        kptfile = parse(decode("Kptfile", text))
        spec, status = mirrored_spec(kptfile), {"packageConditions": mirrored_conditions(kptfile)}
        if any(
            (obj.get("spec") or {}).get(name, empty) != spec.get(name, empty) for name, empty in _EMPTY_SPEC.items()
        ):
            obj = await self._apply(obj, {"spec": spec})
        if (obj.get("status") or {}).get("packageConditions", []) != status["packageConditions"]:
            obj = await self._apply(obj, {"status": status}, subresource="status")
        return obj

    async def _apply(self, obj: dict[str, Any], part: dict[str, Any], subresource: str | None = None) -> dict[str, Any]:
        async def apply(current: dict[str, Any]) -> dict[str, Any]:
            return await apply_part(
                self._kube,
                PACKAGEREVISIONS,
                current,
                part,
                field_manager=KPTFILE_FIELD_MANAGER,
                subresource=subresource,
            )

        # A superseded attempt that has not heard of it must not overwrite newer values.
        return await change_object(self._kube, obj, apply)


def is_rendered(files: Mapping[str, bytes]) -> bool:
    """Whether the Kptfile has a condition `Rendered` with status True."""
    text = files.get("Kptfile")
    if text is None:
        return False
    conditions = parse(decode("Kptfile", text)).conditions
    return any(condition.type == "Rendered" and condition.truth == "True" for condition in conditions)


_EMPTY_SPEC: dict[str, Any] = {"readinessGates": [], "packageMetadata": {}}


def mirrored_spec(kptfile: Kptfile) -> dict[str, Any]:
    """Return `readinessGates` and `packageMetadata` of the spec, as the Kptfile says them; empty ones are left out."""
    gates = [{"conditionType": gate} for gate in kptfile.readiness_gates]
    metadata = {
        name: dict(values)
        for name, values in (("labels", kptfile.metadata.labels), ("annotations", kptfile.metadata.annotations))
        if values
    }
    spec: dict[str, Any] = {}
    if gates:
        spec["readinessGates"] = gates
    if metadata:
        spec["packageMetadata"] = metadata
    return spec


def mirrored_conditions(kptfile: Kptfile) -> list[dict[str, Any]]:
    """Return `status.packageConditions`, as the Kptfile says them."""
    return [
        {
            key: value
            for key, value in (
                ("type", condition.type),
                ("status", condition.truth),
                ("reason", condition.reason),
                ("message", condition.message),
            )
            if value
        }
        for condition in kptfile.conditions
        if condition.type
    ]
