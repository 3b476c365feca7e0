"""A small Kubernetes client: raw JSON in and out, errors by kind, a time limit on everything."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from porchflow.kube.connection import Connection, credentials_loader
from porchflow.kube.errors import Expired, NotFound, NotServed
from porchflow.kube.kinds import Resource
from porchflow.kube.transport import (
    APPLY_PATCH,
    JSON,
    MERGE_PATCH,
    METADATA,
    METADATA_LIST,
    Request,
    Tally,
    Transport,
)

Object = dict[str, Any]
"""A Kubernetes object as parsed JSON."""

_VERSION: Final = Resource("", "", "version", "Info", namespaced=False)

PAGE_SIZE: Final = 500
"""Objects per page of a list, as in kubectl."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        items: The objects, each with `apiVersion` and `kind`.
        resource_version: The version of the whole list; a watch starts from it.
        continue_token: Requests the next page; empty on the last one.
        remaining: How many objects follow this page; None when the server does not report it.
    """

    items: list[Object]
    resource_version: str
    continue_token: str
    remaining: int | None


class KubeClient:
    """Client of one API server. An asynchronous context manager; `connect` makes one.

    Every method raises a subclass of `KubeError` (`errors.py`) that names the cause, and returns objects as plain
    dictionaries. Nothing is tried again here, with one exception: refused credentials are loaded again once.
    """

    def __init__(self, connection: Connection, *, user_agent: str, request_timeout: float) -> None:
        """Create a client over an open connection; `connect` is the usual way."""
        self._transport = Transport(connection, user_agent=user_agent, request_timeout=request_timeout)

    @classmethod
    async def connect(
        cls,
        kubeconfig: Path | None = None,
        *,
        context: str = "",
        user_agent: str = "porchflow",
        max_connections: int = 100,
        request_timeout: float = 30.0,
    ) -> Self:
        """Load credentials; the first request opens the first connection.

        Args:
            kubeconfig: The file; None means the pod's service account, else `KUBECONFIG`, else `~/.kube/config`.
            context: Of the kubeconfig; empty means its current one.
            user_agent: Shown in the audit log of the API server.
            max_connections: Open connections at most; further requests wait for one.
            request_timeout: Seconds that a request may take; a watch has limits of its own.

        Raises:
            KubeConfigError: The credentials cannot be loaded.
        """
        load = credentials_loader(kubeconfig, max_connections, context)
        return cls(await Connection.open(load), user_agent=user_agent, request_timeout=request_timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    @property
    def host(self) -> str:
        """The API server's address, such as `https://127.0.0.1:6443`."""
        return self._transport.host

    @property
    def requests(self) -> Mapping[tuple[str, str, int], Tally]:
        """Requests so far by method, plural name of the resource, and status code; code 0 had no answer."""
        return self._transport.requests

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, subresource: str | None = None
    ) -> Object:
        """Read one object.

        Raises:
            NotFound: There is none.
        """
        path = resource.path(namespace, name, subresource)
        accept = METADATA if resource.metadata_only else JSON
        return await self._transport.request(Request("GET", resource, path, name=_show(namespace, name), accept=accept))

    async def server_version(self) -> Object:
        """Return the API server's version, such as `{"major": "1", "minor": "36", "gitVersion": "v1.36.3"}`."""
        return await self._transport.request(Request("GET", _VERSION, "/version"))

    async def serves(self, resource: Resource) -> bool:
        """Return whether the API server serves a kind in this version, as discovery has it."""
        path = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        try:
            answer = await self._transport.request(Request("GET", resource, path))
        except (NotFound, NotServed):
            return False
        return any(each.get("name") == resource.plural for each in answer.get("resources") or [])

    async def list_page(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int = PAGE_SIZE,
        continue_token: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Page:
        """Read one page of a list.

        Args:
            resource: The kind.
            namespace: None means all namespaces.
            limit: Objects at most; 0 means all in one page.
            continue_token: From the page before.
            label_selector: Such as `app=web`.
            field_selector: Such as `spec.repository=blueprints`.

        Raises:
            Expired: The continue token is too old; the error may carry another, which goes on with newer objects.
            NotServed: The CRD is not installed.
        """
        query = _given(
            limit=str(limit) if limit else "",
            labelSelector=label_selector,
            fieldSelector=field_selector,
        )
        if continue_token:
            query["continue"] = continue_token
        accept = METADATA_LIST if resource.metadata_only else JSON
        answer = await self._transport.request(
            Request("GET", resource, resource.path(namespace), namespace or "", query, accept=accept)
        )
        return _page(answer, resource)

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        limit: int = PAGE_SIZE,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[Object, None]:
        """Read a list page by page, so that it need not fit in memory.

        A list whose token expires on the way goes on with newer objects: every object that exists throughout comes,
        though not all as of the same moment.
        """
        token = ""
        while True:
            try:
                page = await self.list_page(
                    resource,
                    namespace,
                    limit=limit,
                    continue_token=token,
                    label_selector=label_selector,
                    field_selector=field_selector,
                )
            except Expired as error:
                if not error.continue_token or error.continue_token == token:
                    raise
                token = error.continue_token
                continue
            for item in page.items:
                yield item
            token = page.continue_token
            if not token:
                return

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str | None = None,
        field_manager: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Create an object.

        Args:
            resource: The kind.
            body: The manifest.
            namespace: Where to create it; None takes the namespace from the manifest.
            field_manager: Recorded as the owner of the fields.
            dry_run: Store nothing; the API server only answers with the object that it would store.

        Raises:
            AlreadyExists: An object of that name exists.
            Invalid: The manifest is refused.
        """
        metadata = body.get("metadata") or {}
        namespace = namespace or metadata.get("namespace")
        request = Request(
            "POST",
            resource,
            resource.path(namespace),
            name=_show(namespace, metadata.get("name") or metadata.get("generateName") or ""),
            query=_given(fieldManager=field_manager, dryRun="All" if dry_run else ""),
            body=body,
        )
        return await self._transport.request(request)

    async def apply(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        force: bool = True,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Apply server-side: the field manager owns exactly the fields in `body` afterwards.

        Fields that it owned before and that are not in `body` are removed, unless another manager owns them too.

        Args:
            resource: The kind.
            body: `apiVersion`, `kind`, `metadata.name` and the fields to own. A `metadata.resourceVersion` makes the
                call fail with `Conflict` when the object changed since.
            field_manager: Owner of the fields.
            force: Take over fields of other managers; without it such a field raises `Conflict`.
            subresource: Such as `status`.
            dry_run: Store nothing; the API server judges the request as if it did.

        Raises:
            Conflict: See `body` and `force`.
            Invalid: The result would not be a valid object.
            NotFound: The object to apply a subresource to does not exist.
        """
        metadata = body["metadata"]
        return await self._patch(
            resource,
            metadata.get("namespace"),
            metadata["name"],
            body,
            content_type=APPLY_PATCH,
            subresource=subresource,
            query=_given(
                fieldManager=field_manager, force="true" if force else "false", dryRun="All" if dry_run else ""
            ),
        )

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Mapping[str, Any],
        *,
        subresource: str | None = None,
        field_manager: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Patch by RFC 7386: given fields are replaced, null removes one, a list is replaced as a whole.

        Args:
            resource: The kind.
            namespace: The object's namespace.
            name: The object's name.
            patch: The fields to replace.
            subresource: Such as `status`.
            field_manager: Owner of the fields; empty means the user agent.
            dry_run: Let the API server check the patch, with permissions and policies, and keep nothing.

        Raises:
            Conflict: The patch has a `metadata.resourceVersion` that is not the object's.
            NotFound: There is no such object.
        """
        query = _given(fieldManager=field_manager, dryRun="All" if dry_run else "")
        return await self._patch(
            resource, namespace, name, patch, content_type=MERGE_PATCH, subresource=subresource, query=query
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str = "",
        resource_version: str = "",
    ) -> Object:
        """Delete an object.

        Args:
            resource: The kind.
            namespace: The object's namespace.
            name: The object's name.
            uid: Delete only the object with this uid.
            resource_version: Delete only the object of this version.

        Returns:
            A Status, or the object with its `deletionTimestamp` where finalizers keep it.

        Raises:
            Conflict: `uid` or `resource_version` is not the object's.
            NotFound: There is no such object.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        preconditions = _given(uid=uid, resourceVersion=resource_version)
        if preconditions:
            body["preconditions"] = preconditions
        path = resource.path(namespace, name)
        return await self._transport.request(Request("DELETE", resource, path, name=_show(namespace, name), body=body))

    def watch(
        self, resource: Resource, namespace: str | None, query: Mapping[str, str], *, inactivity_timeout: float
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.StreamReader]:
        """Open one watch request; `porchflow.kube.watching` makes an endless watch out of many.

        Args:
            resource: The kind.
            namespace: None means all namespaces.
            query: Parameters other than `watch`, such as `resourceVersion`.
            inactivity_timeout: Seconds without a byte after which the connection counts as lost.

        Returns:
            A context with the body: one JSON document per line.

        Raises:
            Expired: The resource version is too old.
            KubeUnavailable: Also from inside the context, when the connection is lost.
        """
        accept = METADATA if resource.metadata_only else JSON
        request = Request(
            "GET", resource, resource.path(namespace), namespace or "", {**query, "watch": "true"}, accept=accept
        )
        return self._transport.stream(request, inactivity_timeout=inactivity_timeout)

    async def _patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Any,  # noqa: ANN401 - JSON
        *,
        content_type: str,
        subresource: str | None,
        query: Mapping[str, str],
    ) -> Object:
        path = resource.path(namespace, name, subresource)
        return await self._transport.request(
            Request("PATCH", resource, path, _show(namespace, name), query, body=body, content_type=content_type)
        )


def _page(answer: Object, resource: Resource) -> Page:
    metadata = answer.get("metadata") or {}
    items: list[Object] = answer.get("items") or []
    for item in items:
        # Lists of built-in kinds leave these out of their items.
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", resource.kind)
    return Page(
        items=items,
        resource_version=str(metadata.get("resourceVersion") or ""),
        continue_token=str(metadata.get("continue") or ""),
        remaining=metadata.get("remainingItemCount"),
    )


def _given(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


def _show(namespace: str | None, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name
