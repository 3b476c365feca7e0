"""Objects for package revisions that are found in Git, and the summary that a sync keeps of existing ones. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from porchflow.activities.objects import owned_metadata, owner_of
from porchflow.activities.rendering.kptfile_labels import KptfileLabels, kptfile_labels, shown_labels
from porchflow.activities.rendering.kptfile_mirror import mirrored_conditions, mirrored_spec
from porchflow.api.limits import KPTFILE_BYTES
from porchflow.api.models.conditions import ConditionStatus, ConditionType, Reason, raw_holding
from porchflow.api.names import (
    DISCOVERED_ANNOTATION,
    FINALIZER,
    LATEST_REVISION_LABEL,
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RECONCILE_NOW_ANNOTATION,
    REPOSITORY_LABEL,
    object_name,
)
from porchflow.api.timestamps import timestamp
from porchflow.gitrepo.discovery.discover import Discovered
from porchflow.kpt.format.files import decode
from porchflow.kpt.format.kptfile import Kptfile, parse
from porchflow.kpt.package_errors import CONTENT_ERRORS
from porchflow.repositories.access import RepositoryAccess


@dataclass(frozen=True, slots=True)
class Existing:
    """The summary that a sync keeps of an object: small enough to hold tens of thousands in memory."""

    name: str
    uid: str
    resource_version: str
    package: str
    workspace: str
    lifecycle: str
    revision: int
    lock_ref: str
    lock_commit: str
    latest: str
    """Value of the label of the latest revision; empty without the label."""
    owned: bool
    """Whether it has the labels, owner and finalizer of its Repository."""
    shows_labels: bool
    """Whether its labels show those of its Kptfile, as far as its spec holds them."""
    deployment: bool
    deleting: bool
    unfinished: bool
    """Whether it has the annotation of a sync and no status: the sync was interrupted, or a user set the annotation."""
    has_source: bool
    """Whether it has a `spec.source`; objects that a sync makes have none."""
    stalled: str
    """Reason of the `Stalled` condition; empty without it."""
    token: str
    """Value of the reconcile-now annotation; empty without it."""


def existing_of(obj: Mapping[str, Any], repository: RepositoryAccess) -> Existing:
    """Return the summary of a raw PackageRevision of a Repository."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    lock = (status.get("selfLock") or {}).get("git") or {}
    return Existing(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        package=spec.get("packageName", ""),
        workspace=spec.get("workspaceName", ""),
        lifecycle=spec.get("lifecycle", ""),
        revision=status.get("revision") or 0,
        lock_ref=lock.get("ref", ""),
        lock_commit=lock.get("commit", ""),
        latest=labels.get(LATEST_REVISION_LABEL, ""),
        owned=not owned_metadata(metadata, repository),
        shows_labels=shown_labels(obj) == labels_of(obj).labels,
        deployment=bool(status.get("deployment")),
        deleting="deletionTimestamp" in metadata,
        unfinished=DISCOVERED_ANNOTATION in annotations and "observedGeneration" not in status,
        has_source=bool(spec.get("source")),
        stalled=raw_holding(obj, ConditionType.STALLED).get("reason", ""),
        token=annotations.get(RECONCILE_NOW_ANNOTATION, ""),
    )


def labels_of(obj: Mapping[str, Any]) -> KptfileLabels:
    """Return the labels that show those of the Kptfile of a raw PackageRevision, as its spec holds them."""
    return kptfile_labels(((obj.get("spec") or {}).get("packageMetadata") or {}).get("labels") or {})


def name_of(repository: str, revision: Discovered) -> str:
    """Return the name of the object for a revision."""
    return object_name(repository, revision.package, revision.workspace)


def parse_kptfile(data: bytes | None) -> Kptfile | str:
    """Parse a Kptfile; the reason where it cannot be parsed, which does not keep its package from being registered."""
    if data is None:
        return f"Kptfile: it has more than {KPTFILE_BYTES} bytes (the limit)"
    try:
        return parse(decode("Kptfile", data))
    except CONTENT_ERRORS as error:
        return str(error)


def new_object(
    namespace: str, repository: RepositoryAccess, revision: Discovered, kptfile: Kptfile | None, *, latest: bool
) -> dict[str, Any]:
    """Return the manifest of an object for a revision that has none.

    Source: docs/reference/porch-git-layout.md, "Objects for what is found".
    """
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {
            "namespace": namespace,
            "name": name_of(repository.name, revision),
            "labels": {REPOSITORY_LABEL: repository.name, LATEST_REVISION_LABEL: "true" if latest else "false"},
            "annotations": {DISCOVERED_ANNOTATION: "true"},
            "finalizers": [FINALIZER],
            "ownerReferences": [owner_of(repository)],
        },
        "spec": {
            "packageName": revision.package,
            "repository": repository.name,
            "workspaceName": revision.workspace,
            "lifecycle": revision.lifecycle.value,
            **(mirrored_spec(kptfile) if kptfile else {}),
        },
    }


def seed_status(
    repository: RepositoryAccess, revision: Discovered, kptfile: Kptfile | None, size: int | None, generation: int
) -> dict[str, Any]:
    """Return the whole raw status of an object that was made for a revision, so that no workflow has to run."""
    now = timestamp()
    status: dict[str, Any] = {
        "observedGeneration": generation,
        "selfLock": lock_of(repository, revision),
        "conditions": [
            {
                "type": ConditionType.READY.value,
                "status": ConditionStatus.TRUE.value,
                "reason": Reason.READY.value,
                "message": "",
                "observedGeneration": generation,
                "lastTransitionTime": now,
            }
        ],
    }
    if revision.revision:
        status["revision"] = revision.revision
    if size is not None:
        status["resourcesSizeBytes"] = size
    if repository.deployment:
        status["deployment"] = True
    if revision.touched is not None and revision.lifecycle.is_published:
        status |= {"publishedAt": timestamp(revision.touched.at), "publishedBy": revision.touched.by}
    if kptfile is not None:
        status |= _of_kptfile(kptfile)
    return status


def lock_of(repository: RepositoryAccess, revision: Discovered) -> dict[str, Any]:
    """Return the self lock of a revision, as a raw object."""
    return {
        "type": "git",
        "git": {
            "repo": repository.remote.written,
            "directory": path_of(repository, revision.package),
            "ref": revision.ref,
            "commit": revision.commit,
        },
    }


def path_of(repository: RepositoryAccess, package: str) -> str:
    """Return a package's directory in the repository."""
    return f"{repository.directory}/{package}" if repository.directory else package


def _of_kptfile(kptfile: Kptfile) -> dict[str, Any]:
    status: dict[str, Any] = {"packageMetadata": mirrored_spec(kptfile).get("packageMetadata", {})}
    if conditions := mirrored_conditions(kptfile):
        status["packageConditions"] = conditions
    upstream, lock = kptfile.upstream, kptfile.upstream_lock
    if upstream is not None and upstream.git is not None and lock is not None and lock.git is not None:
        status["upstreamLock"] = {"type": lock.type or "git", "git": lock.git.model_dump()}
    return status
