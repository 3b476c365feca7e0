"""Reads of single objects, shared by concurrent callers."""

import asyncio
import copy
import time
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.kinds import Resource


@dataclass(eq=False)
class _Look:
    """The newest read of one object, kept while a caller waits for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    began: float = -1.0
    obj: dict[str, Any] | None = None
    error: Exception | None = None


class Looks:
    """Reads objects of one kind; callers that arrive while a read is under way share the next read.

    A read that began before the call is no answer to it: a caller that was woken because an object appeared or was
    mended could otherwise get the state from before.
    """

    def __init__(self, kube: KubeClient, resource: Resource) -> None:
        self._kube = kube
        self._resource = resource
        self._looks: WeakValueDictionary[tuple[str, str], _Look] = WeakValueDictionary()

    async def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the raw object as it is now, or None where there is none. Callers share it and must not change it.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        asked = time.monotonic()
        look = self._looks.setdefault((namespace, name), _Look())
        async with look.lock:
            if look.began < asked:
                await self._look(look, namespace, name)
            if look.error is not None:
                raise copy.copy(look.error)
            return look.obj

    async def _look(self, look: _Look, namespace: str, name: str) -> None:
        began = time.monotonic()
        look.obj, look.error = None, None
        try:
            look.obj = await self._kube.get(self._resource, namespace, name)
        except NotFound:
            pass
        except KubeError as error:
            look.error = error
        # Set last, so that a read that was cancelled half way answers no caller.
        look.began = began
