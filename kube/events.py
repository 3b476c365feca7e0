"""Kubernetes Events: the history that `kubectl describe` shows of an object. Best effort: they never fail a caller."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from porchflow.api.newest import Newest
from porchflow.api.timestamps import timestamp
from porchflow.kube.background import end
from porchflow.kube.backoff import Backoff
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import AlreadyExists, Forbidden, Invalid, KubeError, NotFound, NotServed
from porchflow.kube.kinds import EVENTS

logger = logging.getLogger(__name__)

EventType = Literal["Normal", "Warning"]

FOLD_SECONDS: Final = 600.0
"""Seconds during which an equal Event raises the count of the first one instead of making another, as in client-go."""

_COMPONENT = "porchflow"
"""Shown by kubectl as the event's source."""
_MESSAGE_LIMIT = 1024
"""Bytes that events.k8s.io/v1, under which clients may read the same Event, allows a note."""
_CUT = "…"
_QUEUE_LIMIT = 1000
_REMEMBERED = 4096
_ATTEMPTS = 4
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 1.0
_FLUSH_SECONDS = 5.0
_WRITERS = 4


@dataclass(slots=True)
class _Sighting:
    """One event with how often it was seen; written as a whole, so that writing twice does no harm."""

    name: str
    what: Object
    first: datetime
    last: datetime
    count: int = 0
    told: int = 0
    written: bool = False
    queued: bool = False

    @property
    def namespace(self) -> str:
        # Events about cluster-scoped objects live in `default`, as those of the API server's own components do.
        return self.what["involvedObject"].get("namespace") or "default"

    def __str__(self) -> str:
        return f"Event {self.what['reason']} ({self.what['message']}) on {self.what['involvedObject']['name']}"


class EventRecorder:
    """Writes core/v1 Events in the background.

    Equal Events (same object, type, reason and message) within a window are folded: the count goes up. An Event that
    cannot be written after a few attempts is logged and dropped, and so is each further one while a thousand wait.
    """

    def __init__(self, client: KubeClient, *, fold_seconds: float = FOLD_SECONDS) -> None:
        """Create a recorder.

        Args:
            client: Writes the Events.
            fold_seconds: Seconds during which equal Events are folded.
        """
        self._client = client
        self._fold_seconds = fold_seconds
        self._seen = Newest[str, _Sighting](_REMEMBERED)
        self._queue: asyncio.Queue[_Sighting] = asyncio.Queue(_QUEUE_LIMIT)
        self._writers: list[asyncio.Task[None]] = []

    def record(
        self, regarding: Mapping[str, Any], event_type: EventType, reason: str, message: str, action: str = ""
    ) -> None:
        """Record an Event about an object. Returns at once and never fails.

        Args:
            regarding: The object, or a reference: apiVersion, kind, namespace, name, uid, resourceVersion, either at
                the top level or under `metadata`.
            event_type: `Warning` for an Event that a person should look at.
            reason: One word in CamelCase; the reason of the condition that changed.
            message: For people; cut at 1,024 characters.
            action: What was done, in CamelCase; the reason when empty.
        """
        what = {
            "involvedObject": _reference(regarding),
            "type": event_type,
            "reason": reason,
            "message": _cut(message),
            "action": action or reason,
        }
        self._enqueue(self._sighting(what))

    async def aclose(self) -> None:
        """Write the Events that wait, for a few seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                await self._queue.join()
        await end(self._writers)
        self._writers = []
        if not self._queue.empty():
            logger.warning("%d Events were not written before the end", self._queue.qsize())

    def _sighting(self, what: Object) -> _Sighting:
        now = datetime.now(UTC)
        name = _event_name(what, int(now.timestamp() / self._fold_seconds))
        sighting = self._seen.get(name) or _Sighting(name=name, what=what, first=now, last=now)
        sighting.count += 1
        sighting.last = now
        self._seen.put(name, sighting)
        return sighting

    def _enqueue(self, sighting: _Sighting) -> None:
        if sighting.queued:
            return
        try:
            self._queue.put_nowait(sighting)
        except asyncio.QueueFull:
            logger.warning("too many Events wait; dropped: %s", sighting)
            return
        sighting.queued = True
        if not self._writers:
            loop = asyncio.get_running_loop()
            self._writers = [loop.create_task(self._write_all(), name="event-recorder") for _ in range(_WRITERS)]

    async def _write_all(self) -> None:
        while True:
            sighting = await self._queue.get()
            sighting.told = sighting.count
            try:
                await self._write_with_retries(sighting)
            except Exception:
                logger.exception("cannot write the %s", sighting)
            finally:
                # One writer at a time holds an Event; sightings that arrive meanwhile are written next.
                sighting.queued = False
                if sighting.told != sighting.count:
                    self._enqueue(sighting)
                self._queue.task_done()

    async def _write_with_retries(self, sighting: _Sighting) -> None:
        backoff = Backoff(first=_FIRST_DELAY, longest=_LONGEST_DELAY)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._write(sighting)
            except (Forbidden, Invalid, NotServed, NotFound) as error:
                logger.warning("cannot write the %s: %s", sighting, error)
                return
            except KubeError as error:
                if attempt == _ATTEMPTS:
                    logger.warning("gave up on the %s: %s", sighting, error)
                    return
                await asyncio.sleep(error.retry_after or backoff.next())
            else:
                return

    async def _write(self, sighting: _Sighting) -> None:
        if not sighting.written:
            await self._create(sighting)
            return
        try:
            await self._count_up(sighting)
        except NotFound:
            # The API server forgets Events after an hour.
            await self._create(sighting)

    async def _create(self, sighting: _Sighting) -> None:
        try:
            await self._client.create(EVENTS, self._manifest(sighting))
        except AlreadyExists:
            # Another process, or this one before a restart, recorded the same Event in this window.
            before = await self._client.get(EVENTS, sighting.namespace, sighting.name)
            others = int(before.get("count") or 0)
            sighting.count += others
            sighting.told += others
            sighting.written = True
            await self._count_up(sighting)
        sighting.written = True

    async def _count_up(self, sighting: _Sighting) -> None:
        patch = {"count": sighting.count, "lastTimestamp": timestamp(sighting.last)}
        await self._client.merge_patch(EVENTS, sighting.namespace, sighting.name, patch)

    def _manifest(self, sighting: _Sighting) -> Object:
        return {
            **sighting.what,
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": sighting.name, "namespace": sighting.namespace},
            "count": sighting.count,
            "firstTimestamp": timestamp(sighting.first),
            "lastTimestamp": timestamp(sighting.last),
            "source": {"component": _COMPONENT},
            "reportingComponent": _COMPONENT,
            "reportingInstance": "",
        }


def _reference(regarding: Mapping[str, Any]) -> dict[str, str]:
    metadata = regarding.get("metadata") or regarding
    names = ("namespace", "name", "uid", "resourceVersion")
    reference = {name: str(regarding.get(name) or "") for name in ("apiVersion", "kind")}
    reference.update({name: str(metadata.get(name) or "") for name in names})
    return {name: value for name, value in reference.items() if value} | {"name": reference["name"]}


def _event_name(what: Object, window: int) -> str:
    """Return a name that equal Events of a window share, in every process."""
    regarding = what["involvedObject"]
    parts = [regarding.get(part, "") for part in ("kind", "namespace", "name", "uid")]
    parts += [what["type"], what["reason"], what["message"], str(window)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return f"{regarding['name'][:200].rstrip('-.')}.{digest}"


def _cut(message: str) -> str:
    # A file's name may hold bytes that are no text, which JSON cannot carry.
    encoded = message.encode(errors="replace")
    if len(encoded) <= _MESSAGE_LIMIT:
        return encoded.decode()
    return encoded[: _MESSAGE_LIMIT - len(_CUT.encode())].decode(errors="ignore") + _CUT
