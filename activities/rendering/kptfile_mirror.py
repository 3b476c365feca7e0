"""Copies of what the Kptfile says in the object, where `kubectl` shows it: readiness gates, metadata, conditions."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.objects import change_object
from porchflow.activities.rendering.kptfile_labels import kptfile_labels, show_labels
from porchflow.api.limits import KPTFILE_BYTES
from porchflow.api.models.conditions import Reason
from porchflow.api.names import KPTFILE_FIELD_MANAGER
from porchflow.api.work.package_metadata import asked_metadata, maps_of, recorded_metadata
from porchflow.kpt.format.files import decode
from porchflow.kpt.format.kptfile import Kptfile, parse
from porchflow.kpt.format.metadata import KptfileMetadata, MetadataWish, read_metadata
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.kube.changes import apply_part
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.failures import Stalled


class KptfileMirror:
    """Makes a PackageRevision agree with its Kptfile: readiness gates, metadata, labels and conditions."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube

    async def reflect(
        self, obj: dict[str, Any], text: bytes | None, wish: MetadataWish | None = None, *, stays: bool = False
    ) -> dict[str, Any]:
        """Apply the fields that differ; write nothing where none does.

        Args:
            obj: The raw object as last read.
            text: The Kptfile; None where the package has none.
            wish: Labels and annotations of the spec that are in the Kptfile, or were overruled. Later wishes of a
                user stay in the spec, for the next rendering. None where that is not known.
            stays: Whether nothing that a user asks for can reach the Kptfile, because the content is no draft.

        Returns:
            The object as it is now.

        Raises:
            InvalidPackage: The Kptfile cannot be read.
            Superseded: The live object asks for something newer.
            KubeError: The API server cannot be reached or refuses.
        """
        if text is None:
            return obj
        kptfile = parse(decode("Kptfile", text))

        async def apply(current: dict[str, Any]) -> dict[str, Any]:
            metadata = KptfileMetadata.of(kptfile) if stays else _still_asked(current, kptfile, wish)
            return await self._apply_spec(current, _spec(kptfile, metadata))

        # A superseded attempt that has not heard of it must not overwrite newer values.
        obj = await change_object(self._kube, obj, apply)
        obj = await show_labels(self._kube, obj, kptfile_labels(kptfile.metadata.labels).labels)
        conditions = mirrored_conditions(kptfile)
        if (obj.get("status") or {}).get("packageConditions", []) != conditions:
            part = {"status": {"packageConditions": conditions}}
            obj = await change_object(self._kube, obj, lambda current: self._apply(current, part, "status"))
        return obj

    async def _apply_spec(self, current: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """Apply the whole part of the spec, and remove keys that another field manager put beside it."""
        if _differs(current, spec):
            current = await self._apply(current, {"spec": spec})
        wanted, found = maps_of(spec.get("packageMetadata", {})), asked_metadata(current)
        others = {
            name: extra
            for name, values in maps_of(found).items()
            if (extra := dict.fromkeys(values.keys() - wanted.get(name, {}).keys()))
        }
        if not others:
            return current
        metadata = current["metadata"]
        return await self._kube.merge_patch(
            PACKAGEREVISIONS,
            metadata["namespace"],
            metadata["name"],
            {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"packageMetadata": others}},
            field_manager=KPTFILE_FIELD_MANAGER,
        )

    async def _apply(
        self, current: dict[str, Any], part: dict[str, Any], subresource: str | None = None
    ) -> dict[str, Any]:
        return await apply_part(
            self._kube,
            PACKAGEREVISIONS,
            current,
            part,
            field_manager=KPTFILE_FIELD_MANAGER,
            subresource=subresource,
        )


def wish_of(obj: Mapping[str, Any]) -> MetadataWish:
    """Return the labels and annotations that the spec of a raw PackageRevision asks for."""
    asked = asked_metadata(obj)
    return MetadataWish(asked.get("labels"), asked.get("annotations"))


def check_size(kptfile: bytes) -> None:
    """Refuse a Kptfile that the wish of a user has made too large to be read again.

    Raises:
        Stalled: It is larger than the limit.
    """
    if len(kptfile) > KPTFILE_BYTES:
        raise Stalled(
            Reason.INVALID_SPEC,
            f"with the labels and annotations of spec.packageMetadata the Kptfile would have {len(kptfile)} bytes, and"
            f" {KPTFILE_BYTES} are the limit; remove some of them",
        )


def recorded_of(obj: Mapping[str, Any]) -> KptfileMetadata | None:
    """Return the labels and annotations that were copied from the Kptfile last; None where the status lacks them."""
    recorded = recorded_metadata(obj)
    return KptfileMetadata(**maps_of(recorded)) if recorded is not None else None


def record_of(text: bytes | None) -> dict[str, Any]:
    """Return the status field that records labels and annotations of a Kptfile; empty where there is none to read."""
    metadata = _readable(text)
    return {"packageMetadata": _maps(metadata)} if metadata is not None else {}


def is_readable(text: bytes | None) -> bool:
    """Whether there is a Kptfile, and it can be decoded."""
    return _readable(text) is not None


def _readable(text: bytes | None) -> KptfileMetadata | None:
    try:
        return read_metadata(text) if text is not None else None
    except InvalidPackage:
        return None


def _still_asked(current: Mapping[str, Any], kptfile: Kptfile, wish: MetadataWish | None) -> KptfileMetadata:
    """Return the labels and annotations of a spec after a rendering: those of the Kptfile, and what was asked since."""
    theirs, now = KptfileMetadata.of(kptfile), wish_of(current)
    if wish is None:
        return now.merged(recorded_of(current) or theirs, theirs)
    return KptfileMetadata(
        _since(wish.labels, now.labels, theirs.labels),
        _since(wish.annotations, now.annotations, theirs.annotations),
    )


def _since(
    before: Mapping[str, str] | None, now: Mapping[str, str] | None, theirs: Mapping[str, str]
) -> dict[str, str]:
    before, now = before or {}, now or {}
    changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    sides = {key: now if key in changed else theirs for key in (*theirs, *now)}
    return {key: side[key] for key, side in sides.items() if key in side}


def _maps(metadata: KptfileMetadata) -> dict[str, Any]:
    return maps_of({"labels": metadata.labels, "annotations": metadata.annotations})


def _spec(kptfile: Kptfile, metadata: KptfileMetadata) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if gates := [{"conditionType": gate} for gate in kptfile.readiness_gates]:
        spec["readinessGates"] = gates
    if maps := _maps(metadata):
        spec["packageMetadata"] = maps
    return spec


def _differs(obj: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    gates = (obj.get("spec") or {}).get("readinessGates", [])
    metadata = bool(maps_of(asked_metadata(obj)) != spec.get("packageMetadata", {}))
    return metadata or bool(gates != spec.get("readinessGates", []))


def hidden_labels(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return messages about labels of a package's Kptfile that no label of the object can show."""
    text = files.get("Kptfile")
    return kptfile_labels(parse(decode("Kptfile", text)).metadata.labels).problems if text is not None else ()


def is_rendered(files: Mapping[str, bytes]) -> bool:
    """Whether the Kptfile has a condition `Rendered` with status True."""
    text = files.get("Kptfile")
    if text is None:
        return False
    conditions = parse(decode("Kptfile", text)).conditions
    return any(condition.type == "Rendered" and condition.truth == "True" for condition in conditions)


def mirrored_spec(kptfile: Kptfile) -> dict[str, Any]:
    """Return `readinessGates` and `packageMetadata` of the spec, as the Kptfile says them; empty ones are left out."""
    return _spec(kptfile, KptfileMetadata.of(kptfile))


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
