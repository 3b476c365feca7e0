"""Watches: changes of PackageRevisions, sent as changes of their content.

A watch follows the PackageRevisions behind the content. A change of a PackageRevision is sent where it means other
content or other metadata; a change of its status alone is not. Resource versions are of two kinds: those of lists,
bookmarks and deletions are the API server's, and a watch can start from them; those of objects are commits, from which
no watch can start.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.names import RENDER_REQUEST_ANNOTATION
from porchflow.content.access.identity import User
from porchflow.content.packages.encoding import Encoded, dumps
from porchflow.content.packages.opening import Packages, Revision
from porchflow.content.refusals import ApiError, bad_request, invalid_query, of_failure, too_many
from porchflow.content.serving.answers import Answer, write
from porchflow.content.serving.requests import Address, flag, number
from porchflow.content.serving.selectors import Selection, read_selection
from porchflow.kube.background import end
from porchflow.kube.backoff import Backoff
from porchflow.kube.client import PAGE_SIZE, KubeClient, Object
from porchflow.kube.errors import KubeUnavailable, error_from_status
from porchflow.kube.following import Key, key_of
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import open_watch

logger = logging.getLogger(__name__)

_LONGEST_SECONDS: Final = 3600
_SILENCE_SECONDS: Final = 300.0
_END_SECONDS: Final = 10.0
_READ_ATTEMPTS: Final = 4
_NOTHING: Final = Encoded((b"{}",), 0)
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class Watches:
    """Answers watches, up to a limit."""

    def __init__(self, kube: KubeClient, packages: Packages, limit: int) -> None:
        """Create the watches.

        Args:
            kube: A client for watches alone: each keeps a connection.
            packages: Reads content.
            limit: Watches at once.
        """
        self._kube = kube
        self._packages = packages
        self._left = limit
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all watches: their clients open others, at another replica."""
        self._closing.set()

    async def send(self, request: web.Request, _: User, address: Address) -> web.StreamResponse:
        """Send changes until the client, its time-out or this server ends the watch.

        Raises:
            ApiError: The query is not valid, too many watches are open, or the version is too old.
        """
        wanted = _Wanted.of(request, address)
        if self._left <= 0:
            raise too_many("too many watches are open; try again, or raise PORCHFLOW_CONTENT_WATCHES", 5)
        self._left -= 1
        try:
            watch = _Watch(self._kube, self._packages, wanted, Answer(request))
            return await self._follow(watch, wanted.seconds)
        finally:
            self._left += 1

    async def _follow(self, watch: "_Watch", seconds: float) -> web.StreamResponse:
        await watch.begin()
        following = asyncio.create_task(watch.run())
        closing = asyncio.create_task(self._closing.wait())
        try:
            await asyncio.wait({following, closing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            results = await end((following, closing))
        if isinstance(results[0], Exception):
            raise results[0]
        # A client that reads no more must not keep the connection open.
        async with asyncio.timeout(_END_SECONDS):
            return await watch.end()


@dataclass(frozen=True)
class _Wanted:
    """The parameters of a watch.

    Attributes:
        namespace: None means all.
        version: Where to start; empty sends all existing objects first.
        bookmarks: Whether to send versions without a change.
        initial: Whether to mark the end of the existing objects.
        seconds: Duration of the watch.
    """

    namespace: str | None
    selection: Selection
    version: str
    bookmarks: bool
    initial: bool
    seconds: float

    @classmethod
    def of(cls, request: web.Request, address: Address) -> "_Wanted":
        query = request.query
        initial, match = flag(query, "sendInitialEvents"), query.get("resourceVersionMatch", "")
        if initial and match != "NotOlderThan":
            raise invalid_query("sendInitialEvents", "resourceVersionMatch has to be NotOlderThan with it")
        if match and "sendInitialEvents" not in query:
            raise invalid_query("resourceVersionMatch", "is forbidden for watch unless sendInitialEvents is provided")
        version = query.get("resourceVersion", "")
        if version and not (version.isascii() and version.isdigit()):
            raise ApiError(410, "Expired", f"too old resource version: {version} is an object's; list again")
        seconds = number(query, "timeoutSeconds") or random.uniform(0.5, 1.0) * _LONGEST_SECONDS  # noqa: S311 - jitter
        return cls(
            namespace=address.namespace or None,
            selection=_named(read_selection(query), address),
            version="" if initial or version == "0" else version,
            bookmarks=flag(query, "allowWatchBookmarks"),
            initial=initial,
            seconds=min(seconds, _LONGEST_SECONDS),
        )


def _named(selection: Selection, address: Address) -> Selection:
    if not address.name:
        return selection
    raise bad_request(f"watch the collection with fieldSelector=metadata.name={address.name}")


@dataclass(frozen=True)
class _Gone(Revision):
    """A package revision that was deleted, with the API server's version of that moment."""

    commit: str


_UNKNOWN: Final = ("not sent here, but maybe by the list that the watch goes on from",)


@dataclass
class _Known:
    """The state of an object that a client knows.

    Attributes:
        looked: The parts of the PackageRevision that change when the content may have changed.
        shown: The object that was sent; None where none was.
    """

    looked: Any
    shown: tuple[Any, ...] | None


@dataclass
class _Watch:
    kube: KubeClient
    packages: Packages
    wanted: _Wanted
    answer: Answer
    known: dict[Key, _Known] = field(default_factory=dict)
    response: web.StreamResponse | None = None
    version: str = field(init=False)
    """All changes up to this version are sent."""
    sending: bool = False
    """Whether an event was sent in part."""

    def __post_init__(self) -> None:
        self.version = self.wanted.version

    async def begin(self) -> None:
        """Send the headers."""
        self.response = await self.answer.begin()

    async def run(self) -> None:
        """Send events until the API server ends its own watch, or an event cannot be sent."""
        try:
            if not self.version:
                await self._initial()
            await self._changes()
        except KubeUnavailable as error:
            logger.info("a watch ends: %s", error)
        except Exception as error:
            known = of_failure(error)
            if known is None or self.sending:
                raise
            logger.info("a watch ends: %s", error)
            await self._send("ERROR", [dumps(known.status())])

    async def _changes(self) -> None:
        selection = self.wanted.selection
        request = open_watch(
            self.kube,
            PACKAGEREVISIONS,
            self.wanted.namespace,
            version=self.version,
            seconds=_LONGEST_SECONDS,
            inactivity=_SILENCE_SECONDS,
            selectors={"labelSelector": selection.labels, "fieldSelector": selection.fields},
        )
        async with request as events:
            async for kind, obj in events:
                if not await self._event(kind, obj):
                    return

    async def end(self) -> web.StreamResponse:
        """Send the version from which another watch can continue, and end the answer."""
        assert self.response is not None  # noqa: S101 - `begin` came first
        if self.wanted.bookmarks and self.version and not self.sending:
            await self._bookmark()
        await self.response.write_eof()
        return self.response

    async def _initial(self) -> None:
        token, version = "", ""
        while True:
            page = await self.kube.list_page(
                PACKAGEREVISIONS,
                self.wanted.namespace,
                limit=PAGE_SIZE,
                continue_token=token,
                label_selector=self.wanted.selection.labels,
                field_selector=self.wanted.selection.fields,
            )
            version = version or page.resource_version
            for obj in page.items:
                await self._changed(obj, new=True)
            token = page.continue_token
            if not token:
                break
        self.version = version
        if self.wanted.initial:
            await self._bookmark({_INITIAL_EVENTS_END: "true"})

    async def _event(self, kind: str, obj: Object) -> bool:
        """Handle an event of the API server; return whether there are more to come."""
        if kind == "ERROR":
            logger.info("a watch ends: %s", error_from_status(obj))
            await self._send("ERROR", [dumps(obj)])
            return False
        version = obj["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            self.version = version
            if self.wanted.bookmarks:
                await self._bookmark()
            return True
        if kind == "DELETED" or not self.wanted.selection.holds(obj):
            await self._gone(obj, version)
        else:
            await self._changed(obj, new=kind == "ADDED")
        self.version = version
        return True

    async def _changed(self, obj: Object, *, new: bool) -> None:
        """Send an object's change, if its content or metadata shows it.

        Args:
            obj: The PackageRevision.
            new: Whether the client cannot know the object.
        """
        if not self.wanted.selection.holds(obj):
            return
        key, looked = key_of(obj), _look(obj)
        known = self.known.get(key)
        if known is not None and known.looked == looked:
            return
        found = await self._read(lambda: self.packages.content_of(obj))
        before = known.shown if known is not None else None if new else _UNKNOWN
        if found is None:
            self.known[key] = _Known(looked, before)
            return
        shown = (found.commit, found.obj["metadata"].get("labels"), found.revision.status.revision)
        if before != shown:
            content = await self._read(lambda: self.packages.encoded(found))
            await self._send("ADDED" if before is None else "MODIFIED", self.answer.pieces(found, content))
        self.known[key] = _Known(looked, shown)

    async def _gone(self, obj: Object, version: str) -> None:
        known = self.known.pop(key_of(obj), None)
        if known is None or known.shown is not None:
            gone = _Gone(obj, PackageRevision.model_validate(obj), version)
            await self._send("DELETED", self.answer.pieces(gone, _NOTHING))

    async def _read(self, read: Callable[[], Any]) -> Any:  # noqa: ANN401 - what `read` gives
        """Read from Git; a Git server that is away for a moment must not make the client miss a change."""
        backoff = Backoff(first=0.2, longest=5.0)
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                return await read()
            except Exception as error:
                if of_failure(error) is None or attempt == _READ_ATTEMPTS:
                    raise
                logger.info("a watch waits for its content: %s", error)
                await asyncio.sleep(backoff.next())
        raise AssertionError("the last attempt returns or raises")

    async def _bookmark(self, annotations: Mapping[str, str] | None = None) -> None:
        metadata: dict[str, Any] = {"resourceVersion": self.version, "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = dict(annotations)
        await self._send("BOOKMARK", [self.answer.bookmark(metadata)])

    async def _send(self, kind: str, pieces: list[bytes]) -> None:
        assert self.response is not None  # noqa: S101 - `begin` came first
        framed = self.answer.framed(pieces) if kind in {"ADDED", "MODIFIED", "DELETED"} else pieces
        self.sending = True
        for piece in (b'{"type":"' + kind.encode() + b'","object":', *framed, b"}\n"):
            await write(self.response, piece)
        self.sending = False


def _look(obj: Mapping[str, Any]) -> Any:  # noqa: ANN401 - compared only
    """Return the parts of a PackageRevision that change when its content or the metadata beside it may have changed."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    lock = (status.get("selfLock") or {}).get("git") or {}
    request = (metadata.get("annotations") or {}).get(RENDER_REQUEST_ANNOTATION)
    return (lock.get("commit"), lock.get("ref"), status.get("revision"), request, metadata.get("labels"))
