"""One pod of a function, as a runner sees it."""

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
    OWNER_ANNOTATION,
    PORT,
    USED_ANNOTATION,
)
from porchflow.functions.pods.wrapper_connection import PodConnection


class Standing(Enum):
    """Standing of a pod with this runner."""

    FOREIGN = auto()
    """Made from other settings than this runner's; another runner may use it."""
    CURRENT = auto()
    """Made from the present settings, PodTemplate and FunctionConfig."""
    OUTDATED = auto()
    """Current before: it gets no more calls, and is deleted after its last one."""
    DOOMED = auto()
    """To be deleted at once, with the calls under way in it."""
    GONE = auto()
    """Deleted."""


class FunctionPod:
    """A pod: its latest object, the connection to it, and the calls in it.

    Attributes:
        manifest: The latest object from the API server.
        diagnosis: The diagnosis of its status.
        connection: The open connection; None while the pod cannot be called.
        calls: This runner's calls that are under way in the pod or about to begin.
        picked: Number of the last call that was given to it, so that pods take turns.
        standing: Its standing with this runner.
        first_seen: When this runner saw it first; seconds since 1970.
        ready_at: When it could be called for the first time, in seconds since 1970; None before.
        touched_at: When this runner last recorded its use; seconds since 1970.
    """

    def __init__(self, manifest: Manifest, now: float) -> None:
        """Create a pod without a connection.

        Args:
            manifest: The pod's object.
            now: Seconds since 1970.
        """
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
        """Name of the pod."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """The uid, which differs between pods of one name."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def version(self) -> str:
        """`resourceVersion` of the latest object."""
        return str(self.manifest["metadata"].get("resourceVersion", ""))

    @property
    def image(self) -> str:
        """The image of its function."""
        for container in self.manifest["spec"]["containers"]:
            if container["name"] == FUNCTION_CONTAINER:
                return str(container["image"])
        return ""

    @property
    def owner(self) -> str:
        """The namespace that the pod serves alone; empty for a pod that serves all."""
        return self._annotation(OWNER_ANNOTATION)

    @property
    def fingerprint(self) -> str:
        """See `porchflow.functions.pods.template.fingerprint`."""
        return self._annotation(FINGERPRINT_ANNOTATION)

    @property
    def digest(self) -> str:
        """Digest of the image in the registry when the pod was created."""
        return self._annotation(DIGEST_ANNOTATION)

    @property
    def created_at(self) -> float:
        """Time of creation; seconds since 1970."""
        text = self.manifest["metadata"].get("creationTimestamp")
        return datetime.fromisoformat(text).timestamp() if text else self.first_seen

    @property
    def used_at(self) -> float:
        """Last known use by any runner; seconds since 1970."""
        written = 0.0
        with contextlib.suppress(ValueError):
            written = float(self._annotation(USED_ANNOTATION) or 0)
        return max(self._used_at, written, self.created_at)

    @property
    def words(self) -> str:
        """Why the pod cannot be called, for messages."""
        diagnosis = self.diagnosis
        if diagnosis.phase is PodPhase.RUNNING:
            return f"it runs, but the function runner cannot reach {address_of(self.manifest)} port {PORT}"
        return diagnosis.words or "it was not started on a node yet"

    @property
    def is_live(self) -> bool:
        """Whether the pod counts among those of its function."""
        return self.standing is Standing.CURRENT and self.diagnosis.phase is not PodPhase.LEAVING

    @property
    def is_usable(self) -> bool:
        """Whether the pod can get a call."""
        # The kubelet may be slow to see that a pod is ready. So its word counts only for a pod that was ready before.
        unready = self._was_ready and not is_ready(self.manifest)
        return self.is_live and self.connection is not None and not unready

    @property
    def is_starting(self) -> bool:
        """Whether the pod may get calls later."""
        return self.is_live and self.connection is None and self.diagnosis.phase is not PodPhase.BROKEN

    @property
    def is_ending(self) -> bool:
        """Whether the pod is deleted or about to be."""
        return self.standing in {Standing.DOOMED, Standing.GONE}

    def judge(self, *, fits: bool, ours: bool = False) -> None:
        """Set the standing of the pod after a comparison with the present settings.

        Args:
            fits: Whether the pod is made from them.
            ours: Whether this runner created the pod.
        """
        if self.is_ending:
            return
        if fits:
            self.standing = Standing.CURRENT
        elif ours or self.standing is Standing.CURRENT:
            self.standing = Standing.OUTDATED

    def see(self, manifest: Manifest) -> None:
        """Replace the object by a later one from the API server."""
        self.manifest = manifest
        self.diagnosis = diagnose(manifest)
        self._was_ready = self._was_ready or is_ready(manifest)
        self._seen.set()

    def use(self, now: float) -> None:
        """Note a use of the pod.

        Args:
            now: Seconds since 1970.
        """
        self._used_at = max(self._used_at, now)

    async def next_seen(self, seconds: float) -> None:
        """Wait for the next change of the pod in the API server, unless the pod is gone.

        Args:
            seconds: Seconds to wait at most.
        """
        if self.standing is Standing.GONE:
            return
        self._seen.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._seen.wait()

    def new_connection(self, max_message_size: int) -> PodConnection:
        """Return a connection to the pod's present address; it is not open yet."""
        return PodConnection(address_of(self.manifest), PORT, max_message_size)

    def _annotation(self, name: str) -> str:
        return str((self.manifest["metadata"].get("annotations") or {}).get(name, ""))
