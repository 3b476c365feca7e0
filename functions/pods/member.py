"""One pod of a function, as a runner knows it."""

import asyncio
import contextlib
from datetime import datetime
from enum import Enum, auto

from porchflow.functions.pods.cluster import Manifest
from porchflow.functions.pods.diagnosis import Diagnosis, PodPhase, address_of, diagnose, is_ready
from porchflow.functions.pods.template import (
    DIGEST_ANNOTATION,
    FINGERPRINT_ANNOTATION,
    FUNCTION_CONTAINER,
    PORT,
    USED_ANNOTATION,
)
from porchflow.functions.pods.wrapper_connection import PodConnection


class Standing(Enum):
    """What a pod is to this runner."""

    FOREIGN = auto()
    """Made of other settings than ours, and never ours: maybe another runner's."""
    CURRENT = auto()
    """Made of what the settings, the PodTemplate and its FunctionConfig say now."""
    OUTDATED = auto()
    """It was current: it gets no more calls, and is deleted after the last of those in it."""
    DOOMED = auto()
    """It is to be deleted, whatever is under way in it."""
    GONE = auto()
    """It is deleted."""


class FunctionPod:
    """A pod: what the API server says of it, our connection to it, and the calls in it.

    Attributes:
        manifest: as the API server had it last.
        diagnosis: what its status says.
        connection: open; None while the pod cannot be called.
        calls: of ours that are under way in it, or about to begin.
        picked: grows with each call that is given to it, so that pods take turns.
        standing: what it is to this runner.
        first_seen: seconds since 1970.
        ready_at: when it could be called for the first time; None before.
        touched_at: when we last wrote that it is used; seconds since 1970.
    """

    def __init__(self, manifest: Manifest, now: float) -> None:
        """Take the pod as first seen, and the time in seconds since 1970."""
        self.manifest = manifest
        self.diagnosis: Diagnosis = diagnose(manifest)
        self.connection: PodConnection | None = None
        self.calls = 0
        self.picked = 0
        self.standing = Standing.FOREIGN
        self.touched_at = 0.0
        self.ready_at: float | None = None
        self.first_seen = now
        self._used_at = 0.0
        self._was_ready = False
        self._seen = asyncio.Event()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Tells it from others of its name."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def version(self) -> str:
        """The version of what was seen last."""
        return str(self.manifest["metadata"].get("resourceVersion", ""))

    @property
    def image(self) -> str:
        """The image of its function."""
        for container in self.manifest["spec"]["containers"]:
            if container["name"] == FUNCTION_CONTAINER:
                return str(container["image"])
        return ""

    @property
    def fingerprint(self) -> str:
        """See `porchflow.functions.pods.template.fingerprint`."""
        return self._annotation(FINGERPRINT_ANNOTATION)

    @property
    def digest(self) -> str:
        """What the registry said the image was when the pod was made."""
        return self._annotation(DIGEST_ANNOTATION)

    @property
    def created_at(self) -> float:
        """Seconds since 1970."""
        text = self.manifest["metadata"].get("creationTimestamp")
        return datetime.fromisoformat(text).timestamp() if text else self.first_seen

    @property
    def used_at(self) -> float:
        """When some runner last used it, as far as we know; seconds since 1970."""
        written = 0.0
        with contextlib.suppress(ValueError):
            written = float(self._annotation(USED_ANNOTATION) or 0)
        return max(self._used_at, written, self.created_at)

    @property
    def words(self) -> str:
        """Why it cannot be called, for people."""
        diagnosis = self.diagnosis
        if diagnosis.phase is PodPhase.RUNNING:
            return f"it runs, but the function runner cannot reach {address_of(self.manifest)} port {PORT}"
        return diagnosis.words or "it was not started on a node yet"

    @property
    def is_live(self) -> bool:
        """Whether it counts among the pods of its function."""
        return self.standing is Standing.CURRENT and self.diagnosis.phase is not PodPhase.LEAVING

    @property
    def is_usable(self) -> bool:
        """Whether it can be given a call."""
        # The kubelet may be slow to see that a pod is ready; that it is not any more counts.
        unready = self._was_ready and not is_ready(self.manifest)
        return self.is_live and self.connection is not None and not unready

    @property
    def is_starting(self) -> bool:
        """Whether it may yet be given calls."""
        return self.is_live and self.connection is None and self.diagnosis.phase is not PodPhase.BROKEN

    @property
    def is_ending(self) -> bool:
        """Whether it is deleted, or to be deleted."""
        return self.standing in {Standing.DOOMED, Standing.GONE}

    def judge(self, *, fits: bool, ours: bool = False) -> None:
        """Take up what pods are made of now.

        Args:
            fits: whether it is made of that.
            ours: whether this runner made it, so that no other uses it.
        """
        if self.is_ending:
            return
        if fits:
            self.standing = Standing.CURRENT
        elif ours or self.standing is Standing.CURRENT:
            self.standing = Standing.OUTDATED

    def see(self, manifest: Manifest) -> None:
        """Take up what the API server says now."""
        self.manifest = manifest
        self.diagnosis = diagnose(manifest)
        self._was_ready = self._was_ready or is_ready(manifest)
        self._seen.set()

    def use(self, now: float) -> None:
        """Remember that it is used."""
        self._used_at = max(self._used_at, now)

    async def next_seen(self, seconds: float) -> None:
        """Wait until the API server says something new of it, at most so long; not at all when it is gone."""
        if self.standing is Standing.GONE:
            return
        self._seen.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._seen.wait()

    def new_connection(self, max_message_size: int) -> PodConnection:
        """A connection to where it is now; not open yet."""
        return PodConnection(address_of(self.manifest), PORT, max_message_size)

    def _annotation(self, name: str) -> str:
        return str((self.manifest["metadata"].get("annotations") or {}).get(name, ""))
