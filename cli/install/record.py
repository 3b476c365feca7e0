"""What is installed, as a ConfigMap beside the processes says it: the next run begins with it."""

import json
from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

from pydantic import BaseModel, ValidationError

from porchflow.cli.install.choice import Choice
from porchflow.cli.manifests.shipped import SETTINGS
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import CONFIGMAPS

FIELD_MANAGER: Final = "porchflow-install"
_NAME: Final = "porchflow-installation"
_ENTRY: Final = "installation"


class RecordError(Exception):
    """The record cannot be read; the message says how to go on."""


class Place(BaseModel, frozen=True):
    """Which object is meant."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} " + (f"{self.namespace}/{self.name}" if self.namespace else self.name)

    @property
    def is_settings(self) -> bool:
        """Whether it is a ConfigMap with settings: pods that are being replaced still need the one before."""
        return self.kind == "ConfigMap" and self.name.startswith(f"{SETTINGS}-")

    @classmethod
    def of(cls, manifest: Object) -> "Place":
        """Return the place of an object."""
        metadata = manifest["metadata"]
        return cls(
            api_version=manifest["apiVersion"],
            kind=manifest["kind"],
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
        )


class Record(BaseModel, frozen=True):
    """What is installed."""

    version: str = ""
    """Version of porchflow that installed it."""
    choice: Choice
    objects: tuple[Place, ...] = ()
    """All that was applied, without Namespaces and CRDs; after an interrupted run also what was to be applied."""


def new_record(choice: Choice, objects: Iterable[Place]) -> Record:
    """Return the record of an installation by this version."""
    return Record(version=version("porchflow"), choice=choice, objects=tuple(objects))


async def read_record(kube: KubeClient, namespace: str) -> Record | None:
    """Return what is installed in a namespace; None where nothing was installed by this command.

    Raises:
        RecordError: The record is there and cannot be read.
        KubeError: The API server does not answer, or forbids it.
    """
    try:
        found = await kube.get(CONFIGMAPS, namespace, _NAME)
    except NotFound:
        return None
    try:
        return Record.model_validate_json((found.get("data") or {}).get(_ENTRY) or "")
    except ValidationError as error:
        where = f"ConfigMap {namespace}/{_NAME}"
        raise RecordError(
            f"{where}: {error.errors()[0]['msg']}; delete it, and name components, settings and image again"
        ) from None


async def write_record(kube: KubeClient, record: Record) -> None:
    """Write what is installed.

    Raises:
        KubeError: The API server does not answer, or forbids it.
    """
    await kube.apply(CONFIGMAPS, record_manifest(record), field_manager=FIELD_MANAGER)


async def delete_record(kube: KubeClient, namespace: str) -> None:
    """Delete the record, where there is one.

    Raises:
        KubeError: The API server does not answer, or forbids it.
    """
    try:
        await kube.delete(CONFIGMAPS, namespace, _NAME)
    except NotFound:
        return


def record_manifest(record: Record) -> Object:
    """Return the ConfigMap."""
    return {
        "apiVersion": CONFIGMAPS.api_version,
        "kind": CONFIGMAPS.kind,
        "metadata": {
            "name": _NAME,
            "namespace": record.choice.namespace,
            "labels": {"app.kubernetes.io/part-of": "porchflow"},
        },
        "data": {_ENTRY: json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True)},
    }
