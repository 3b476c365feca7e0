"""Pushes: new content on a draft, then the request to render it.

Source: docs/reference/porch-api.md, "Pushing content".
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import CONTENT_API_VERSION, PACKAGE_REVISION_RESOURCES_KIND
from porchflow.content.access.identity import User
from porchflow.content.packages.bodies import Wanted, read_wanted
from porchflow.content.packages.encoding import text_of
from porchflow.content.packages.objects import RENDER_STATUS, metadata_of, spec_of, uid_of
from porchflow.content.packages.opening import Found, Packages, Registered
from porchflow.content.packages.pushed_files import new_files, problems
from porchflow.content.packages.render_requests import RenderRequests, is_unasked
from porchflow.content.refusals import ApiError, Cause, conflict, invalid
from porchflow.gitrepo.errors import GitConflict, GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.commits import DEFAULT_AUTHOR, Author
from porchflow.gitrepo.store.trees import Files
from porchflow.kube.client import Object

_PATCH_ATTEMPTS = 5

T = TypeVar("T")

Patch = Callable[[Any], Any]
"""Returns the wanted object for the current one."""


@dataclasses.dataclass(frozen=True)
class Written:
    """The result of a push.

    Attributes:
        found: The package revision, with the commit that holds the content now.
        files: The content.
        before: The content before.
        asked: Whether its rendering is requested, where that is due.
    """

    found: Found
    files: Files
    before: Files
    asked: bool = True

    @property
    def changed(self) -> Files:
        """The files that are new or have other content than before."""
        return {path: file for path, file in self.files.items() if file != self.before.get(path)}


class Writer:
    """Writes package content."""

    def __init__(self, packages: Packages, git: GitStore, requests: RenderRequests) -> None:
        """Create the writer.

        Args:
            packages: Finds packages.
            git: The repositories.
            requests: Requests renderings.
        """
        self._packages = packages
        self._git = git
        self._requests = requests
        self._under_way: set[asyncio.Task[Written]] = set()

    async def aclose(self) -> None:
        """Wait for the pushes in progress: each should finish."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def update(
        self, namespace: str, name: str, wanted: Wanted, user: User, *, dry_run: bool, partial: bool = False
    ) -> Written:
        """Replace the content.

        Args:
            namespace: Of the object.
            name: Of the object.
            wanted: What the client sends.
            user: The author.
            dry_run: Whether nothing is written.
            partial: Whether files that are not given stay.

        Raises:
            ApiError: The content cannot be written; the message states why.
        """
        if not wanted.resource_version:
            raise invalid(
                name,
                Cause(
                    "metadata.resourceVersion",
                    "must be specified for an update: get the object, change it and send it back",
                ),
            )
        registered = await self._packages.registered(namespace, name)
        _check(registered, wanted)
        parent = wanted.resource_version
        try:
            current = await self._packages.files(registered, parent)
            kept = await asyncio.to_thread(texts_of, current) if partial else {}
            resources = {**kept, **wanted.resources}
            written = await self._write(registered, current, resources, parent, user, dry_run=dry_run)
        except (GitConflict, GitNotFound) as error:
            raise await self._refusal(registered, parent, error) from error
        if dry_run:
            await self._check_newest(registered, parent)
        return written

    async def patch(
        self, namespace: str, name: str, patch: Patch, user: User, *, dry_run: bool, written: str = ""
    ) -> Written:
        """Change the content.

        A conflict with another push leads to another attempt, unless the patch names its version.

        Args:
            namespace: Of the object.
            name: Of the object.
            patch: The change.
            user: The author.
            dry_run: Whether nothing is written.
            written: The name with its query, which the patch may hold too.

        Raises:
            ApiError: The content cannot be written; the message states why.
        """
        for attempt in range(1, _PATCH_ATTEMPTS + 1):
            found = await self._packages.find(namespace, name)
            current = await self._packages.files(found, found.commit)
            before = await asyncio.to_thread(plain_object, found, current)
            wanted = read_wanted(await asyncio.to_thread(patch, before), namespace, name, written=written)
            _check(found, wanted)
            _check_lifecycle(found)
            if wanted.resource_version not in {"", found.commit}:
                raise _moved(found, wanted.resource_version)
            try:
                return await self._write(found, current, wanted.resources, found.commit, user, dry_run=dry_run)
            except (GitConflict, GitNotFound) as error:
                if attempt == _PATCH_ATTEMPTS:
                    raise await self._refusal(found, found.commit, error) from error
        raise AssertionError("the last attempt returns or raises")

    async def _write(
        self,
        registered: Registered,
        current: Files,
        resources: Mapping[str, str],
        parent: str,
        user: User,
        *,
        dry_run: bool,
    ) -> Written:
        if causes := await asyncio.to_thread(problems, resources):
            raise invalid(registered.name, *causes)
        files = await asyncio.to_thread(new_files, current, resources)
        if dry_run or files == current:
            _check_tree(registered.name, files)
        if dry_run:
            return Written(_found(registered, parent), files, current)
        # Shielded from a client that goes away: a stop between the two writes leaves content that is not rendered.
        task = asyncio.create_task(self._push(registered, files, current, parent, user))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _push(self, registered: Registered, files: Files, current: Files, parent: str, user: User) -> Written:
        repository = registered.repository
        try:
            commit = await self._git.commit_on_draft(
                repository.remote,
                registered.location,
                files,
                expected_parent=parent,
                task=TaskType.PUSH,
                author=_author(repository.author, user),
            )
        except InvalidName as error:
            raise invalid(registered.name, Cause("spec.resources", str(error))) from None
        asked = True
        if await self._is_due(registered, parent, commit):
            asked = await self._requests.ask(registered.namespace, registered.name, commit)
        return Written(_found(registered, commit), files, current, asked)

    async def _is_due(self, registered: Registered, parent: str, commit: str) -> bool:
        if commit != parent:
            return True
        if not is_unasked(registered.obj, commit):
            return False
        task = await self._git.task_of(registered.repository.remote, commit, registered.location)
        return task == TaskType.PUSH

    async def _refusal(self, registered: Registered, parent: str, error: Exception) -> ApiError:
        """Return why a commit could not be made, from the state of the object and Git now."""
        found = await self._packages.locate(registered)
        _check_lifecycle(found)
        if found.commit == parent:
            return conflict(registered.name, str(error))
        return _moved(found, parent)

    async def _check_newest(self, registered: Registered, parent: str) -> None:
        found = await self._packages.locate(registered)
        _check_lifecycle(found)
        if found.commit != parent:
            raise _moved(found, parent)


def texts_of(files: Files) -> dict[str, str]:
    """Return the files that text can represent, by path."""
    return {path: text for path in sorted(files) if (text := text_of(files[path])) is not None}


def plain_object(found: Found, files: Files) -> Object:
    """Return the object that a patch is applied to."""
    texts = texts_of(files)
    hidden = tuple(path for path in sorted(files) if path not in texts)
    return {
        "kind": PACKAGE_REVISION_RESOURCES_KIND,
        "apiVersion": CONTENT_API_VERSION,
        "metadata": metadata_of(found, hidden),
        "spec": {**spec_of(found), "resources": texts},
        "status": RENDER_STATUS,
    }


def _check(registered: Registered, wanted: Wanted) -> None:
    name, obj = registered.name, registered.obj
    if wanted.uid and wanted.uid != uid_of(registered.namespace, name):
        raise conflict(name, f"it has another uid than {wanted.uid}: it is not the object that was read")
    theirs = obj.get("spec") or {}
    changed = [
        Cause(f"spec.{field}", f"is immutable: it is {theirs.get(field)!r}")
        for field, value in wanted.spec.items()
        if value != theirs.get(field)
    ]
    if changed:
        raise invalid(name, *changed)
    if "deletionTimestamp" in obj["metadata"]:
        raise invalid(name, Cause("metadata", "the PackageRevision is being deleted"))
    _check_draft(name, registered.revision.spec.lifecycle)


def _check_lifecycle(found: Found) -> None:
    _check_draft(found.name, found.lifecycle)


def _check_draft(name: str, lifecycle: Lifecycle | None) -> None:
    if lifecycle is Lifecycle.DRAFT:
        return
    mend = "reject it first" if lifecycle is Lifecycle.PROPOSED else "copy it to a new revision and change that"
    raise invalid(
        name,
        Cause(
            "",
            f'cannot update a package revision with lifecycle value "{lifecycle or ""}"; package must be Draft: {mend}',
        ),
    )


def _check_tree(name: str, files: Files) -> None:
    """Refuse a file whose path another file needs as a directory; Git would find it without naming the field."""
    for path in files:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if (above := "/".join(parts[:depth])) in files:
                raise invalid(name, Cause(f"spec.resources[{path}]", f"{above!r} is a file and a directory"))


def _moved(found: Found, read: str) -> ApiError:
    return conflict(
        found.name,
        f"the object has been modified: its content is at {found.commit[:12]}, the change was made for {read[:12]};"
        " get the newest content (kubectl get, porchctl rpkg pull), make the change on that and send it again",
    )


def _found(registered: Registered, commit: str) -> Found:
    parts = {field.name: getattr(registered, field.name) for field in dataclasses.fields(Registered)}
    return Found(**parts, commit=commit, lifecycle=Lifecycle.DRAFT)


def _author(configured: Author, user: User) -> Author:
    """Return the author of a commit: the one that the Repository names, else the user who pushed.

    Source: docs/reference/porch-git-layout.md, "Authors and committers".
    """
    if configured != DEFAULT_AUTHOR:
        return configured
    try:
        return Author(user.name, user.name)
    except InvalidName:
        return DEFAULT_AUTHOR
