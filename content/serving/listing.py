"""Lists: one page of PackageRevisions at a time, sent while it is read, so that memory stays bounded."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from aiohttp import web

from porchflow.content.access.identity import User
from porchflow.content.packages.encoding import Encoded, dumps
from porchflow.content.packages.opening import Found, Packages
from porchflow.content.refusals import ApiError, bad_request, of_failure
from porchflow.content.serving.answers import Answer, write
from porchflow.content.serving.requests import Address, number
from porchflow.content.serving.selectors import Selection, read_selection
from porchflow.kube.client import PAGE_SIZE, KubeClient, Object, Page
from porchflow.kube.kinds import PACKAGEREVISIONS

logger = logging.getLogger(__name__)

_LOCATED_AT_ONCE: Final = 64
_READ_AT_ONCE: Final = 8

T = TypeVar("T")


class Lister:
    """Answers lists."""

    def __init__(self, kube: KubeClient, packages: Packages) -> None:
        """Create the lister.

        Args:
            kube: Lists package revisions.
            packages: Reads their content.
        """
        self._kube = kube
        self._packages = packages

    async def send(self, request: web.Request, _: User, address: Address) -> web.StreamResponse:
        """Send the objects of a namespace, or of all.

        An object without content, or whose content cannot be read now, is left out; a warning reports the latter.
        """
        answer, selection = Answer(request), read_selection(request.query)
        if request.query.get("resourceVersionMatch") == "Exact":
            raise bad_request("resourceVersionMatch Exact is not supported: lists show the newest state")
        limit = number(request.query, "limit")
        page = await self._page(
            address, selection, min(limit or PAGE_SIZE, PAGE_SIZE), request.query.get("continue", "")
        )
        found = await self.located(page, selection, answer)
        response = await answer.begin()
        await write(response, answer.list_head())
        separator = b""
        while True:
            async for piece in self._items(answer, found):
                await write(response, separator + piece[0])
                for part in piece[1:]:
                    await write(response, part)
                separator = b","
            if limit or not page.continue_token:
                break
            page = await self._page(address, selection, PAGE_SIZE, page.continue_token)
            found = await self.located(page, selection, None)
        await write(response, b'],"metadata":' + dumps(_list_metadata(page, selection)) + b"}")
        await response.write_eof()
        return response

    async def located(self, page: Page, selection: Selection, answer: Answer | None) -> list[Found]:
        """Find the content of the package revisions of a page, in their order."""
        chosen = [obj for obj in page.items if selection.holds(obj)]
        found: list[Found] = []
        problems: dict[str, int] = defaultdict(int)
        for group in _groups(chosen, _LOCATED_AT_ONCE):
            for result in await asyncio.gather(*map(self._locate, group)):
                if isinstance(result, Found):
                    found.append(result)
                elif result is not None:
                    problems[result.message] += 1
        for message, count in problems.items():
            told = f"{count} package revision{'s are' if count > 1 else ' is'} left out: {message}"
            logger.warning("%s", told)
            if answer is not None:
                answer.warn(told)
        return found

    async def _page(self, address: Address, selection: Selection, limit: int, token: str) -> Page:
        return await self._kube.list_page(
            PACKAGEREVISIONS,
            address.namespace or None,
            limit=limit,
            continue_token=token,
            label_selector=selection.labels,
            field_selector=selection.fields,
        )

    async def _locate(self, obj: Object) -> Found | ApiError | None:
        try:
            # None: it has no content (yet), which is no error of the list.
            return await self._packages.content_of(obj)
        except Exception as error:
            known = of_failure(error)
            if known is None:
                raise
            return known

    async def _items(self, answer: Answer, found: Sequence[Found]) -> AsyncIterator[list[bytes]]:
        for group in _groups(found, _LOCATED_AT_ONCE):
            await self._packages.fetch(group)
            for few in _groups(group, _READ_AT_ONCE):
                for each, content in zip(few, await asyncio.gather(*map(self._encoded, few)), strict=True):
                    if content is not None:
                        yield answer.pieces(each, content)

    async def _encoded(self, found: Found) -> Encoded | None:
        try:
            return await self._packages.encoded(found)
        except Exception as error:
            if of_failure(error) is None:
                raise
            logger.warning("left %s/%s out of a list: %s", found.namespace, found.name, error)
            return None


def _list_metadata(page: Page, selection: Selection) -> dict[str, Any]:
    metadata: dict[str, Any] = {"resourceVersion": page.resource_version}
    if page.continue_token:
        metadata["continue"] = page.continue_token
        if page.remaining is not None and not selection.tests:
            metadata["remainingItemCount"] = page.remaining
    return metadata


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    group: list[T] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
