"""Reads of single objects, shared by those who ask at the same time."""

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
    """The newest look at one object, kept while somebody waits for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    began: float = -1.0
    obj: dict[str, Any] | None = None
    error: Exception | None = None


class Looks:
    """Looks up objects of one resource; those who ask while a look is under way share the next one.

    Nothing older than the question is an answer: a signal that an object appeared or was mended would otherwise be
    answered with what was there before.
    """

    def __init__(self, kube: KubeClient, resource: Resource) -> None:
        """Take the API client and what to look up."""
        self._kube = kube
        self._resource = resource
        self._looks: WeakValueDictionary[tuple[str, str], _Look] = WeakValueDictionary()

    async def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the object as it is now, or None where there is none. Shared: not to be changed.

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
        # Only now: a look that was cancelled half way answers nobody.
        look.began = began
