"""Labels and annotations of a Kptfile: merged three ways with what a user asks for, and written in place.

Source: docs/reference/porch-api.md, "Labels and annotations of the package".
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

from porchflow.kpt.format.files import KPTFILE, decode
from porchflow.kpt.format.kptfile import Kptfile
from porchflow.kpt.format.kptfile import decode as decode_kptfile
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.yaml_error import YamlError


@dataclass(frozen=True)
class KptfileMetadata:
    """Labels and annotations of a package."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, kptfile: Kptfile) -> Self:
        """Return those of a decoded Kptfile."""
        return cls(dict(kptfile.metadata.labels), dict(kptfile.metadata.annotations))


@dataclass(frozen=True)
class MetadataWish:
    """Labels and annotations that a user asks for: each is the complete map, or None for whatever the Kptfile has."""

    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None

    def merged(self, base: KptfileMetadata, theirs: KptfileMetadata) -> KptfileMetadata:
        """Return what the Kptfile is to have.

        A key that the Kptfile changed, added or removed since `base` is as the Kptfile has it; any other is as the user
        asks.

        Args:
            base: What both had when they were the same.
            theirs: What the Kptfile has.
        """
        return KptfileMetadata(
            _merged(base.labels, self.labels, theirs.labels),
            _merged(base.annotations, self.annotations, theirs.annotations),
        )


def _merged(base: Mapping[str, str], ours: Mapping[str, str] | None, theirs: Mapping[str, str]) -> dict[str, str]:
    if ours is None:
        return dict(theirs)
    sides = {key: ours if theirs.get(key) == base.get(key) else theirs for key in (*theirs, *ours)}
    return {key: side[key] for key, side in sides.items() if key in side}


def read_metadata(kptfile: bytes) -> KptfileMetadata:
    """Return the labels and annotations of a Kptfile.

    Raises:
        InvalidPackage: It cannot be decoded.
    """
    return KptfileMetadata.of(_decoded(kptfile)[1])


def with_metadata(kptfile: bytes, wanted: KptfileMetadata) -> bytes:
    """Return a Kptfile with other labels and annotations; every byte stays that need not change.

    Raises:
        InvalidPackage: It cannot be decoded.
    """
    document, decoded = _decoded(kptfile)
    before = KptfileMetadata.of(decoded)
    value: Any = deepcopy(document.value)
    metadata: dict[str, Value] = value.get("metadata") or {}
    for name, old, new in (
        ("labels", before.labels, wanted.labels),
        ("annotations", before.annotations, wanted.annotations),
    ):
        if dict(old) == dict(new):
            continue
        written: Any = metadata.get(name) or {}
        # A value such as 1.10 counts as its text, and stays as it is written.
        kept = {key: item if old.get(key) == new[key] else new[key] for key, item in written.items() if key in new}
        metadata[name] = {**kept, **{key: new[key] for key in sorted(new.keys() - kept.keys())}}
        if not new:
            del metadata[name]
    if before == KptfileMetadata(dict(wanted.labels), dict(wanted.annotations)):
        return kptfile
    try:
        return document.edit({**value, "metadata": metadata}).text.encode()
    except YamlError as error:
        raise InvalidPackage(KPTFILE, f"error reading Kptfile: yaml: {error}") from None


def _decoded(kptfile: bytes) -> tuple[Document, Kptfile]:
    try:
        document = Document(decode(KPTFILE, kptfile))
        return document, decode_kptfile(document, KPTFILE)
    except YamlError as error:
        raise InvalidPackage(KPTFILE, f"error reading Kptfile: yaml: {error}") from None
