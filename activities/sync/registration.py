"""Registration: a sync creates and corrects the objects of a Repository, as the comparison with Git says."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from porchflow.activities.objects import owned_metadata
from porchflow.activities.rendering.kptfile_labels import kptfile_labels, show_labels
from porchflow.activities.rendering.kptfile_upstreams import upstreams_of
from porchflow.activities.sync.comparison import Pair, Work, is_latest, places
from porchflow.activities.sync.discovered import (
    Existing,
    labels_of,
    lock_of,
    name_of,
    new_object,
    parse_kptfile,
    seed_status,
)
from porchflow.activities.sync.paced_writes import Write, Writer
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import (
    DISCOVERED_ANNOTATION,
    LATEST_REVISION_LABEL,
    METADATA_FIELD_MANAGER,
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    REPOSITORY_FIELD_MANAGER,
    REPOSITORY_SEED_FIELD_MANAGER,
)
from porchflow.gitrepo.discovery.discover import Discovered
from porchflow.gitrepo.git_store import GitStore, PackageContent
from porchflow.gitrepo.refs import UNNUMBERED
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.kptfile import Kptfile
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Superseded

_CHUNK = 100
"""Kptfiles in memory at once."""


@dataclass(frozen=True)
class _Read:
    """A revision with what was read of it.

    Attributes:
        revision: The revision.
        kptfile: None for one that cannot be read.
        size: Bytes of all files; None beyond the limits.
        upstreams: Status fields that say what it and its subpackages were made from.
    """

    revision: Discovered
    kptfile: Kptfile | None
    size: int | None
    upstreams: Mapping[str, Any] = field(default_factory=dict)


class Registration:
    """Writes objects for a sync. Every write can be repeated, by another attempt or another worker, without harm."""

    def __init__(self, kube: KubeClient, git: GitStore, namespace: str, repository: RepositoryAccess) -> None:
        self._kube = kube
        self._git = git
        self._namespace = namespace
        self._repository = repository
        self.problems: list[str] = []
        """Messages about revisions that got no object."""
        self.incomplete: list[str] = []
        """Messages about revisions whose objects lack the values of their Kptfiles."""
        self.missed = 0
        """Objects that changed meanwhile; the next sync compares them again."""

    async def run(self, work: Work, writer: Writer) -> None:
        """Do all work but the suspects of the drift check.

        Raises:
            GitError: The objects of the repository cannot be read.
            KubeError: The API server cannot be reached or refuses.
        """
        work.relock = await self._really_changed(work.relock)
        await writer.run(self._writes(work))

    async def _really_changed(self, pairs: list[Pair]) -> list[Pair]:
        """Return the packages on the branch whose content differs from that at their locked commit.

        The branch moves with every publication, which must not change the objects of all other packages.
        """
        same = await self._git.same_content(self._repository.remote, places(self._repository, pairs))
        return [pair for pair, unchanged in zip(pairs, same, strict=True) if not unchanged]

    async def _writes(self, work: Work) -> AsyncIterator[Write]:
        async for read in self._read(work.create):
            latest = is_latest(work, name_of(self._repository.name, read.revision), read.revision.package)
            yield partial(self._create, read, latest=latest)
        finish = {id(pair.found): pair for pair in work.finish}
        async for read in self._read([pair.found for pair in work.finish]):
            existing = finish[id(read.revision)].existing
            metadata = {"name": existing.name, "uid": existing.uid, "resourceVersion": existing.resource_version}
            yield partial(self._finish, {"metadata": {"namespace": self._namespace, **metadata}}, read)
        for posing in work.disown:
            yield partial(self._disown, posing)
        for pair in work.own:
            yield partial(self._own, pair, latest=is_latest(work, pair.existing.name, pair.found.package))
        for pair in work.relock:
            yield partial(self._report, pair, pair.found.commit)
        relocked = {pair.existing.name for pair in work.relock}
        for pair in work.deployment:
            if pair.existing.name not in relocked:
                yield partial(self._report, pair, pair.existing.lock_commit)

    async def _read(self, revisions: Sequence[Discovered]) -> AsyncIterator[_Read]:
        remote = self._repository.remote
        for start in range(0, len(revisions), _CHUNK):
            chunk = revisions[start : start + _CHUNK]
            trees = [each.tree for each in chunk]
            files = await self._git.read_kptfiles(remote, trees)
            contents = await self._git.package_contents(remote, trees)
            kptfiles = await asyncio.to_thread(_parse_all, files)
            upstreams = await asyncio.to_thread(_all_upstreams, files, contents)
            for revision, kptfile, content, made_from in zip(chunk, kptfiles, contents, upstreams, strict=True):
                size = content.size if content is not None else None
                if isinstance(kptfile, str):
                    self.incomplete.append(f"{revision.ref}: {revision.package}/{kptfile}")
                    yield _Read(revision, None, size)
                else:
                    yield _Read(revision, kptfile, size, made_from)

    async def _create(self, read: _Read, *, latest: bool) -> None:
        body = new_object(self._namespace, self._repository, read.revision, read.kptfile, latest=latest)
        try:
            made = await self._kube.create(PACKAGEREVISIONS, body, field_manager=REPOSITORY_FIELD_MANAGER)
        except AlreadyExists:
            # A user or another worker created it after the objects were listed. The next sync compares it.
            self.missed += 1
            return
        except Invalid as error:
            if read.kptfile is None:
                self.problems.append(f"{body['metadata']['name']}: {error.message}")
                return
            # The API server refuses a value of the Kptfile. Without its values the revision can be registered.
            self.incomplete.append(f"{body['metadata']['name']}: {error.message}")
            await self._create(replace(read, kptfile=None, upstreams={}), latest=latest)
        else:
            await self._finish(made, read)

    async def _finish(self, obj: Object, read: _Read) -> None:
        """Write labels and status of the version that was created or compared: another object may have the name now.

        Args:
            obj: The raw object; of its metadata, identity and version suffice.
            read: What it was made for.
        """
        name = obj["metadata"]["name"]
        status = seed_status(self._repository, read.revision, read.kptfile, read.size, 1)
        status |= read.upstreams
        try:
            obj = await self._show_labels(obj, read.kptfile)
            version = obj["metadata"]["resourceVersion"]
            await self._apply(name, status, REPOSITORY_SEED_FIELD_MANAGER, force=False, version=version)
        except (Conflict, NotFound, Superseded):
            self.missed += 1
        except Invalid as error:
            self.incomplete.append(f"{name}: {error.message}")
            if read.kptfile is not None:
                await self._finish(obj, replace(read, kptfile=None, upstreams={}))

    async def _show_labels(self, obj: Object, kptfile: Kptfile | None) -> Object:
        labels = kptfile_labels(kptfile.metadata.labels if kptfile is not None else {})
        self.incomplete += [f"{obj['metadata']['name']}: {problem}" for problem in labels.problems]
        # Few packages have labels; without any this costs no write.
        return await show_labels(self._kube, obj, labels.labels) if labels.labels else obj

    async def _disown(self, posing: Existing) -> None:
        """Remove the annotation of a sync from an object, so that its workflow reconciles it."""
        patch = {"annotations": {DISCOVERED_ANNOTATION: None}, "resourceVersion": posing.resource_version}
        try:
            await self._kube.merge_patch(
                PACKAGEREVISIONS,
                self._namespace,
                posing.name,
                {"metadata": patch},
                field_manager=METADATA_FIELD_MANAGER,
            )
        except (Conflict, NotFound):
            self.missed += 1

    async def _own(self, pair: Pair, *, latest: bool) -> None:
        name = pair.existing.name
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, self._namespace, name)
            if obj["metadata"]["resourceVersion"] != pair.existing.resource_version:
                self.missed += 1
                return
            patch = owned_metadata(obj["metadata"], self._repository)
            patch.setdefault("labels", {})[LATEST_REVISION_LABEL] = "true" if latest else "false"
            patch["resourceVersion"] = pair.existing.resource_version
            obj = await self._kube.merge_patch(
                PACKAGEREVISIONS, self._namespace, name, {"metadata": patch}, field_manager=METADATA_FIELD_MANAGER
            )
            if pair.existing.lifecycle in {Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED}:
                await show_labels(self._kube, obj, labels_of(obj).labels)
        except (Conflict, NotFound, Superseded):
            self.missed += 1

    async def _report(self, pair: Pair, commit: str) -> None:
        """Apply all status fields that the sync owns: server-side apply removes those that it leaves out."""
        status: dict[str, Any] = {}
        if pair.found.revision == UNNUMBERED:
            status["selfLock"] = lock_of(self._repository, replace(pair.found, commit=commit))
            [content] = await self._git.package_contents(self._repository.remote, [pair.found.tree])
            if content is not None:
                status["resourcesSizeBytes"] = content.size
        if self._repository.deployment or pair.existing.deployment:
            status["deployment"] = self._repository.deployment
        try:
            await self._apply(pair.existing.name, status, REPOSITORY_FIELD_MANAGER, force=True)
        except NotFound:
            self.missed += 1

    async def _apply(
        self, name: str, status: dict[str, Any], manager: str, *, force: bool, version: str | None = None
    ) -> None:
        metadata = {"namespace": self._namespace, "name": name}
        body = {
            "apiVersion": PACKAGE_REVISION_API_VERSION,
            "kind": PACKAGE_REVISION_KIND,
            # Without the uid, which the API server ignores when a status is applied.
            "metadata": metadata if version is None else {**metadata, "resourceVersion": version},
            "status": status,
        }
        await self._kube.apply(PACKAGEREVISIONS, body, field_manager=manager, force=force, subresource="status")


def _all_upstreams(kptfiles: Sequence[bytes | None], contents: Sequence[PackageContent | None]) -> list[dict[str, Any]]:
    found = (
        upstreams_of(
            {**(content.kptfiles if content is not None else {}), **({KPTFILE: root} if root is not None else {})}
        )
        for root, content in zip(kptfiles, contents, strict=True)
    )
    return [{name: value for name, value in fields.items() if value is not None} for fields in found]


def _parse_all(files: Sequence[bytes | None]) -> list[Kptfile | str]:
    return [parse_kptfile(data) for data in files]
