"""Follows the cluster's configuration of its front proxy."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from porchflow.content.access.identity import FrontProxy
from porchflow.content.access.tls import ServingTls
from porchflow.kube.background import in_background
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import CONFIGMAPS
from porchflow.kube.watching import Changed, Listed, ListEnd, watch_objects

logger = logging.getLogger(__name__)

NAMESPACE: Final = "kube-system"
_NAME: Final = "extension-apiserver-authentication"


class FrontProxyWatch:
    """The newest configuration of the front proxy; TLS trusts its authority."""

    def __init__(self, tls: ServingTls, namespace: str) -> None:
        """Create the watch; `following` runs it.

        Args:
            tls: Is given each new authority to trust.
            namespace: Namespace of the ConfigMap.
        """
        self._tls = tls
        self._namespace = namespace
        self._current: FrontProxy | None = None
        self._known = asyncio.Event()

    @property
    def current(self) -> FrontProxy:
        """The newest usable configuration; there is none before `following` yields."""
        assert self._current is not None  # noqa: S101 - `following` waits for it
        return self._current

    @classmethod
    @contextlib.asynccontextmanager
    async def following(
        cls, kube: KubeClient, tls: ServingTls, namespace: str = NAMESPACE
    ) -> AsyncIterator["FrontProxyWatch"]:
        """Follow the ConfigMap while the context is open; waits first until it is usable."""
        watch = cls(tls, namespace)
        async with in_background(watch._follow(kube)):
            await watch._known.wait()
            yield watch

    async def _follow(self, kube: KubeClient) -> None:
        events = watch_objects(kube, CONFIGMAPS, self._namespace, field_selector=f"metadata.name={_NAME}")
        async with contextlib.aclosing(events):
            async for event in events:
                match event:
                    case Listed(obj) | Changed(_, obj):
                        self._take(obj)
                    case ListEnd() if self._current is None:
                        logger.warning(
                            "waiting for the ConfigMap %s/%s to name the front proxy; no request is accepted before",
                            self._namespace,
                            _NAME,
                        )

    def _take(self, configmap: Object) -> None:
        try:
            proxy = FrontProxy.from_configmap(configmap)
            if proxy != self._current:
                self._tls.trust(proxy.authorities)
        except (ValueError, OSError) as error:
            logger.warning("cannot use the ConfigMap %s/%s: %s", self._namespace, _NAME, error)
            return
        self._current = proxy
        self._known.set()
