"""Handlers of `packagerevisionresources`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from porchflow.api.names import PACKAGE_REVISION_KIND, PACKAGE_REVISION_PLURAL, PACKAGE_REVISION_RESOURCES_PLURAL
from porchflow.content.access.identity import User
from porchflow.content.packages.bodies import (
    APPLY_PATCH,
    JSON_PATCH,
    PATCH_TYPES,
    UPDATE_TYPES,
    BodyReader,
    Wanted,
    read_wanted,
    unknown_fields,
)
from porchflow.content.packages.encoding import encode_files, encode_names
from porchflow.content.packages.opening import Found, Packages
from porchflow.content.packages.pushing import Patch, Writer, Written
from porchflow.content.refusals import (
    Cause,
    bad_request,
    conflict,
    gone,
    invalid,
    method_not_allowed,
    no_such_path,
    not_found,
)
from porchflow.content.serving.answers import Answer
from porchflow.content.serving.listing import Lister
from porchflow.content.serving.name_queries import Selection, is_partial, selection_of
from porchflow.content.serving.patches import BadPatch, json_patch, merge_patch
from porchflow.content.serving.requests import Address, dry_run, flag
from porchflow.content.serving.watches import Watches

Handler = Callable[[web.Request, User, Address], Awaitable[web.StreamResponse]]

_TOLD_PATHS = 10
"""Files of which a warning says that the package does not have them."""


class Resources:
    """Reads and writes package content."""

    def __init__(
        self, packages: Packages, lister: Lister, watches: Watches, writer: Writer, bodies: BodyReader
    ) -> None:
        """Create the handlers, one collaborator for each verb or group of verbs."""
        self._packages = packages
        self._writer = writer
        self._bodies = bodies
        self._handlers: dict[str, Handler] = {
            "get": self._get,
            "list": lister.send,
            "watch": watches.send,
            "update": self._update,
            "patch": self._patch,
        }

    def handler(self, verb: str, address: Address) -> Handler:
        """Return the handler of a verb.

        Raises:
            ApiError: The verb is not supported at this address.
        """
        if address.resource == PACKAGE_REVISION_PLURAL:
            return _older_api(verb, address)
        if address.resource != PACKAGE_REVISION_RESOURCES_PLURAL or address.subresource:
            raise no_such_path()
        handler = self._handlers.get(verb)
        if handler is None or (verb in {"update", "patch"} and not address.name):
            raise method_not_allowed(verb)
        return handler

    async def _get(self, request: web.Request, _: User, address: Address) -> web.StreamResponse:
        answer, selection = Answer(request), selection_of(address.query)
        found = await self._packages.find(address.namespace, address.name)
        if selection == Selection():
            return await answer.send_object(found, await self._packages.encoded(found))
        files = await self._packages.files(found, found.commit)
        if selection.paths is not None:
            for path in sorted(selection.paths - files.keys())[:_TOLD_PATHS]:
                answer.warn(f"the package has no file {path!r}")
            files = {path: files[path] for path in selection.paths & files.keys()}
        encoded = await asyncio.to_thread(encode_names, files) if selection.names_only else await encode_files(files)
        return await answer.send_object(found, encoded)

    async def _update(self, request: web.Request, user: User, address: Address) -> web.StreamResponse:
        answer, dry = Answer(request), dry_run(request.query)
        body = await self._bodies.read(request, UPDATE_TYPES)
        _check_fields(request, answer, body)
        partial = is_partial(address.query)
        wanted = read_wanted(body, address.namespace, address.name, written=address.written_name)
        written = await self._writer.update(address.namespace, address.name, wanted, user, dry_run=dry, partial=partial)
        return await _send(answer, written, wanted, partial=partial)

    async def _patch(self, request: web.Request, user: User, address: Address) -> web.StreamResponse:
        answer, dry = Answer(request), dry_run(request.query)
        body = await self._bodies.read(request, PATCH_TYPES)
        # A patch says of each file what becomes of it: the query changes the answer alone.
        partial, patch = is_partial(address.query), _patch_of(request, body, address)
        if request.content_type != JSON_PATCH:
            _check_fields(request, answer, body)
        written = await self._writer.patch(
            address.namespace, address.name, patch, user, dry_run=dry, written=address.written_name
        )
        return await _send(answer, written, None, partial=partial)


def _older_api(verb: str, address: Address) -> Handler:
    """Answer for PackageRevisions of v1alpha1 as Porch does where v1alpha2 manages them.

    Clients of that version, such as porchctl without `--api-version`, receive a message that names the right version.

    Source: docs/reference/porch-api.md, "PackageRevisions of v1alpha1".
    """
    told = "PackageRevisions are managed by v1alpha2; use the v1alpha2 API (porchctl rpkg --api-version=v1alpha2)"
    if verb in {"get", "delete"}:
        raise not_found(address.name, told, kind=PACKAGE_REVISION_PLURAL)
    if verb != "list":
        raise gone(told)

    async def nothing(request: web.Request, _: User, __: Address) -> web.StreamResponse:
        answer = Answer(request)
        answer.warn(told)
        return await answer.send_nothing(f"{PACKAGE_REVISION_KIND}List")

    return nothing


async def _send(answer: Answer, written: Written, wanted: Wanted | None, *, partial: bool) -> web.StreamResponse:
    if not written.asked:
        answer.warn("the content is stored; its rendering is requested as soon as the Kubernetes API answers")
    if wanted is not None and wanted.labels is not None and wanted.labels != _labels(written.found):
        answer.warn("metadata.labels are those of the PackageRevision; change them there")
    return await answer.send_object(written.found, await encode_files(written.changed if partial else written.files))


def _labels(found: Found) -> dict[str, str]:
    labels: dict[str, str] = found.obj["metadata"].get("labels") or {}
    return labels


def _check_fields(request: web.Request, answer: Answer, body: Any) -> None:  # noqa: ANN401 - JSON
    """Refuse fields that no such object has, or warn of them, by the client's `fieldValidation`."""
    wanted = request.query.get("fieldValidation") or "Warn"
    if wanted not in {"Ignore", "Warn", "Strict"}:
        raise bad_request(f"parameter fieldValidation: give Ignore, Warn or Strict, not {wanted!r}")
    unknown = [f'unknown field "{field}"' for field in unknown_fields(body)]
    if unknown and wanted == "Strict":
        raise bad_request(f"strict decoding error: {', '.join(unknown)}")
    if wanted == "Warn":
        for each in unknown:
            answer.warn(each)


def _patch_of(request: web.Request, body: Any, address: Address) -> Patch:  # noqa: ANN401 - JSON
    if request.content_type == APPLY_PATCH:
        return _apply_of(request, body, address)
    apply = json_patch if request.content_type == JSON_PATCH else merge_patch

    def patch(obj: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            return apply(obj, body)
        except (BadPatch, RecursionError) as error:
            raise invalid(address.name, Cause("patch", str(error))) from None

    return patch


def _apply_of(request: web.Request, body: Any, address: Address) -> Patch:  # noqa: ANN401 - JSON
    """Return a patch for a server-side apply: given files are set, others stay.

    No record says which manager owns which file. So a file with other content counts as owned by another manager,
    unless the client forces.
    """
    name = address.name
    if not request.query.get("fieldManager"):
        raise invalid(name, Cause("fieldManager", "is required for apply patch", "FieldValueRequired"))
    if not isinstance(body, dict) or not (body.get("apiVersion") and body.get("kind")):
        raise bad_request("an apply patch is an object with apiVersion and kind")
    force = flag(request.query, "force")
    given = read_wanted(body, address.namespace, name, written=address.written_name)

    def patch(obj: Any) -> Any:  # noqa: ANN401 - JSON
        current = obj["spec"]["resources"]
        others = [path for path, text in given.resources.items() if current.get(path, text) != text]
        if others and not force:
            raise conflict(
                name,
                f"Apply failed with {len(others)} conflict{'s' if len(others) > 1 else ''}: .spec.resources of"
                f" {', '.join(others[:10])} has other content; apply with --force-conflicts to replace it",
            )
        return merge_patch(obj, body)

    return patch
