"""Whether the servers that a process needs answer now, for its readiness."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from porchflow.cli.processes.health import Readiness
from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec
from porchflow.kube.background import in_background
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.workflows.converter import UnreadablePayloadError

logger = logging.getLogger(__name__)

_SECONDS = 5.0
"""Between two looks, and how long one may take: a probe of readiness every ten seconds has an answer of now."""

Probe = Callable[[], Awaitable[object]]


class Peers:
    """The servers that a process needs, with the reason for each that does not answer."""

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._away: dict[str, str] = {}

    def readiness(self, own: Readiness) -> Readiness:
        """Return the readiness of a process that is not ready while a server is away, whatever it knows of itself."""

        def readiness() -> tuple[bool, Mapping[str, Any]]:
            ready, detail = own()
            if not self._away:
                return ready, detail
            return False, {**detail, "waitingFor": "; ".join(f"{name}: {why}" for name, why in self._away.items())}

        return readiness

    @contextlib.asynccontextmanager
    async def probing(self, **probes: Probe) -> AsyncIterator[None]:
        """Look at servers, by name, while the context is open."""
        async with contextlib.AsyncExitStack() as stack:
            for name, probe in probes.items():
                await stack.enter_async_context(in_background(self._keep_looking(name, probe)))
            yield

    async def _keep_looking(self, name: str, probe: Probe) -> None:
        while True:
            why = await self._look(probe)
            if why and name not in self._away:
                logger.warning("%s does not answer: %s", name, why)
            if not why and self._away.pop(name, ""):
                logger.info("%s answers again", name)
            if why:
                self._away[name] = why
            await asyncio.sleep(self._seconds)

    async def _look(self, probe: Probe) -> str:
        """Return why a server is away; empty where it answers."""
        try:
            async with asyncio.timeout(self._seconds):
                await probe()
        except TimeoutError:
            return f"no answer within {self._seconds:g} s"
        except (RPCError, KubeError, OSError, UnreadablePayloadError) as error:
            return str(error)
        return ""


def temporal_probe(client: Client) -> Probe:
    """Return the probe of Temporal: it answers, takes the credentials, has the namespace, and can be decrypted."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    timeout = timedelta(seconds=_SECONDS)
    codec = client.data_converter.payload_codec

    async def probe() -> None:
        await client.workflow_service.describe_namespace(request, timeout=timeout)
        if isinstance(codec, EncryptionCodec) and codec.problem:
            raise UnreadablePayloadError(codec.problem)

    return probe


def kubernetes_probe(kube: KubeClient, namespaces: Sequence[str] = ()) -> Probe:
    """Return the probe of the API server: it serves PackageRevisions, in one of the namespaces if there are any."""
    return lambda: kube.list_page(PACKAGEREVISIONS, namespaces[0] if namespaces else None, limit=1)
