"""A list and watch that goes on for ever.

List in pages, then watch from the list's version. A lost connection is opened again from the last version seen; an
expired version is answered by listing again. The rules are those of "Efficient detection of changes" in the API
concepts of the Kubernetes documentation.
"""

import contextlib
import json
import logging
import random
import time
from asyncio import sleep
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp

from porchflow.kube.backoff import Backoff
from porchflow.kube.client import KubeClient, Object, Page
from porchflow.kube.errors import (
    Expired,
    Forbidden,
    KubeError,
    KubeUnavailable,
    TimedOut,
    TooManyRequests,
    Unauthorized,
    error_from_status,
)
from porchflow.kube.kinds import Resource
from porchflow.kube.line_reader import LineTooLong, read_lines

logger = logging.getLogger(__name__)

_GOES_ON = (KubeUnavailable, TooManyRequests, Unauthorized, Forbidden)
"""Errors after which a watch can go on from the version it has seen."""

_FAILURES_BEFORE_LIST = 3
_SHORT_WATCH = 1.0


@dataclass(frozen=True, slots=True)
class ListStarted:
    """All objects follow as `Listed`, up to `ListEnd`; another `ListStarted` before that starts over."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as the list has it."""

    object: Object


@dataclass(frozen=True, slots=True)
class ListEnd:
    """Objects that were not listed since `ListStarted` do not exist."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Changed:
    """An object was created or written."""

    type: Literal["ADDED", "MODIFIED"]
    object: Object


@dataclass(frozen=True, slots=True)
class Deleted:
    """An object is gone; this is its last state."""

    object: Object


WatchEvent = ListStarted | Listed | ListEnd | Changed | Deleted


@dataclass(frozen=True, slots=True)
class WatchTimings:
    """Intervals and time limits of a watch, in seconds."""

    inactivity: float = 70.0
    """Silence after which a connection is replaced. The API server sends a bookmark about every minute, but none for a
    kind without a write since it started, so silence alone is no failure: the watch goes on where it was.
    """
    request: float = 300.0
    """Least duration that a watch request asks for; jitter makes it up to twice as long, as in client-go."""
    relist: float | None = None
    """Time after which everything is listed again, 10 % sooner or later; None lists again only where the watch must."""
    first_delay: float = 0.5
    """Wait before the first attempt after a failure; doubles with each, jittered."""
    longest_delay: float = 30.0
    """Longest wait between attempts."""


class WatchState:
    """State of a watch; logs when that changes, not at every attempt."""

    def __init__(self, name: str) -> None:
        """Create the state of a watch that has not begun.

        Args:
            name: Kind and place that are watched, for people.
        """
        self.name = name
        self.error = ""
        """Why the watch does not work at the moment; empty while it works."""
        self.listed = False
        """Whether everything was listed at least once."""
        self.active_at = float("-inf")
        """`time.monotonic()` of the last answer or event."""
        self._kind: type[KubeError] = KubeError

    def works(self) -> None:
        """Record an answer of the API server."""
        if self.error:
            logger.info("watching %s again", self.name)
        self.error = ""
        self.active_at = time.monotonic()

    def fails(self, error: KubeError) -> None:
        """Record that the API server did not answer, or answered with an error."""
        if not self.error or type(error) is not self._kind:
            logger.warning("cannot watch %s, trying until it works: %s", self.name, error)
        self.error = str(error)
        self._kind = type(error)


async def watch_objects(
    client: KubeClient,
    resource: Resource,
    namespace: str | None = None,
    *,
    label_selector: str = "",
    field_selector: str = "",
    project: Callable[[Object], Object] | None = None,
    timings: WatchTimings | None = None,
    state: WatchState | None = None,
) -> AsyncGenerator[WatchEvent, None]:
    """List objects and follow their changes for ever.

    Raises nothing of its own: every error of the API server leads to another attempt. Use it inside
    `contextlib.aclosing`.

    Args:
        client: The API server.
        resource: The kind.
        namespace: None means all namespaces.
        label_selector: Only objects with these labels.
        field_selector: Only objects with these fields.
        project: Reduces each object, right after parsing, to the parts that the caller needs, so that memory stays
            bounded.
        timings: Intervals and time limits.
        state: Records how the watch stands.

    Yields:
        A list from `ListStarted` to `ListEnd`, then changes; and again a list whenever changes may have been missed.
    """
    watch = _Watch(
        client=client,
        resource=resource,
        namespace=namespace,
        selectors={"labelSelector": label_selector, "fieldSelector": field_selector},
        project=project or (lambda obj: obj),
        timings=timings or WatchTimings(),
        state=state or WatchState(f"{resource} in {namespace}" if namespace else str(resource)),
    )
    async with contextlib.aclosing(watch.run()) as events:
        async for event in events:
            yield event


class _Watch:
    def __init__(
        self,
        *,
        client: KubeClient,
        resource: Resource,
        namespace: str | None,
        selectors: dict[str, str],
        project: Callable[[Object], Object],
        timings: WatchTimings,
        state: WatchState,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._selectors = selectors
        self._project = project
        self._timings = timings
        self._state = state
        self._backoff = Backoff(first=timings.first_delay, longest=timings.longest_delay)
        self._version: str | None = None
        self._failures = 0
        self._relist_at = float("inf")

    async def run(self) -> AsyncGenerator[WatchEvent, None]:
        while True:
            part = self._list() if self._version is None else self._watch(self._version)
            try:
                async with contextlib.aclosing(part) as events:
                    async for event in events:
                        yield event
            except KubeError as error:
                await self._recover(error)

    async def _recover(self, error: KubeError) -> None:
        self._failures += 1
        if not isinstance(error, _GOES_ON) or self._failures >= _FAILURES_BEFORE_LIST:
            self._version = None
        if isinstance(error, Expired):
            logger.info("listing %s again: %s", self._state.name, error)
        else:
            self._state.fails(error)
        await sleep(max(self._backoff.next(), error.retry_after or 0.0))

    async def _list(self) -> AsyncGenerator[WatchEvent, None]:
        page = await self._page("")
        yield ListStarted()
        while True:
            for item in _drain(page.items):
                yield Listed(self._project(item))
            if not page.continue_token:
                break
            page = await self._page(page.continue_token)
        self._listed(page.resource_version)
        yield ListEnd(page.resource_version)

    async def _page(self, continue_token: str) -> Page:
        page = await self._client.list_page(
            self._resource,
            self._namespace,
            continue_token=continue_token,
            label_selector=self._selectors["labelSelector"],
            field_selector=self._selectors["fieldSelector"],
        )
        self._state.works()
        return page

    def _listed(self, version: str) -> None:
        self._version = version
        self._failures = 0
        self._state.listed = True
        if self._timings.relist is not None:
            self._relist_at = time.monotonic() + self._timings.relist * random.uniform(0.9, 1.1)  # noqa: S311 - jitter

    async def _watch(self, version: str) -> AsyncGenerator[WatchEvent, None]:
        started = time.monotonic()
        seconds = self._request_seconds(started)
        opened = silent = False
        request = open_watch(
            self._client,
            self._resource,
            self._namespace,
            version=version,
            seconds=seconds,
            inactivity=self._timings.inactivity,
            selectors=self._selectors,
        )
        try:
            async with request as events:
                opened = True
                self._state.works()
                async for kind, obj in events:
                    event = self._read(kind, obj)
                    if event is not None:
                        yield event
        except TimedOut:
            if not opened:
                raise
            logger.debug("no event of %s for %s s; connecting again", self._state.name, self._timings.inactivity)
            silent = True
        if time.monotonic() >= self._relist_at - 1:
            self._version = None
        elif not silent:
            self._check_length(version, started)

    def _request_seconds(self, now: float) -> int:
        wanted = self._timings.request * random.uniform(1.0, 2.0)  # noqa: S311 - jitter
        return max(1, int(min(wanted, self._relist_at - now)))

    def _check_length(self, version: str, started: float) -> None:
        if self._version == version and time.monotonic() - started < _SHORT_WATCH:
            raise KubeUnavailable("the API server ended the watch at once", resource=str(self._resource))

    def _read(self, kind: str, obj: Object) -> WatchEvent | None:
        self._state.works()
        if kind == "ERROR":
            raise _WatchError.of(obj, self._resource)
        version = (obj.get("metadata") or {}).get("resourceVersion")
        if kind not in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"} or not version:
            logger.warning("skipped an event of unknown type %r from the watch of %s", kind, self._state.name)
            return None
        self._version = str(version)
        self._failures = 0
        if kind == "BOOKMARK":
            return None
        obj = self._project(obj)
        return Deleted(obj) if kind == "DELETED" else Changed("ADDED" if kind == "ADDED" else "MODIFIED", obj)


class _WatchError(KubeError):
    """An ERROR event with another reason than the version's age. Listing again gets past it in any case."""

    @classmethod
    def of(cls, status: Object, resource: Resource) -> KubeError:
        error = error_from_status(status, resource=str(resource))
        if isinstance(error, Expired):
            return error
        return cls(error.message, code=error.code, resource=str(resource), retry_after=error.retry_after)


@contextlib.asynccontextmanager
async def open_watch(
    client: KubeClient,
    resource: Resource,
    namespace: str | None,
    *,
    version: str,
    seconds: float,
    inactivity: float,
    selectors: Mapping[str, str],
) -> AsyncIterator[AsyncIterator[tuple[str, Object]]]:
    """Open one watch request, which ends; `watch_objects` makes an endless watch out of many.

    Args:
        client: The API server.
        resource: The kind.
        namespace: None means all namespaces.
        version: The resource version to start from.
        seconds: Duration after which the API server is to end the request.
        inactivity: Seconds of silence after which the connection counts as lost.
        selectors: `labelSelector` and `fieldSelector`; empty ones count as none.

    Yields:
        The events as they come: their type (`ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK`, `ERROR`) and object.

    Raises:
        KubeError: It cannot be opened.
        KubeUnavailable: Also from inside the context: the connection is lost, or the stream holds no valid event.
        TimedOut: Also from inside the context: after that silence.
    """
    query = {
        **{name: selector for name, selector in selectors.items() if selector},
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(int(seconds)),
    }
    async with client.watch(resource, namespace, query, inactivity_timeout=inactivity) as body:
        yield _events(body)


async def _events(body: aiohttp.StreamReader) -> AsyncIterator[tuple[str, Object]]:
    try:
        async for line in read_lines(body):
            if line.strip():
                yield _parse(line)
    except LineTooLong as error:
        raise KubeUnavailable(f"the watch is broken: {error}") from error


def _parse(line: bytes) -> tuple[str, Object]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise KubeUnavailable("the watch sent a line that is no JSON") from error
    kind, obj = (event.get("type"), event.get("object")) if isinstance(event, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(obj, dict):
        raise KubeUnavailable("the watch sent a line that is no event")
    return kind, obj


def _drain(items: list[Object]) -> Iterator[Object]:
    """Yield the items in order and drop each, so that a page shrinks while it is handled."""
    items.reverse()
    while items:
        yield items.pop()
