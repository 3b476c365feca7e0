"""Tells the API server of the stack where the content API is."""

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

from porchflow.api.names import CONTENT_VERSION, PORCH_GROUP
from porchflow.devstack.waiting import until
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.kinds import APISERVICES, NAMESPACES, PACKAGEREVISIONRESOURCES, SERVICES, Resource

NAMESPACE = "porch-system"
SERVICE = "porchflow-content-api"
SERVED_AS = f"{SERVICE}.{NAMESPACE}.svc"
"""The name in the certificate that the API server asks for."""
FIELD_MANAGER = "porchflow-up"


async def register(client: KubeClient, port: int, authority: Path, *, seconds: float = 60.0) -> None:
    """Register the aggregated API, which answers already, and wait until the API server serves it.

    Args:
        client: The API server.
        port: Where the content API listens on this machine.
        authority: PEM file with the authority of its certificate.
        seconds: How long it may take until it is served.

    Raises:
        KubeError: The API server refuses.
        TimeoutError: It is not served in time.
    """
    manifests = _manifests(port, await asyncio.to_thread(authority.read_bytes))
    for resource, manifest in manifests:
        await client.apply(resource, manifest, field_manager=FIELD_MANAGER)
    what = "the API server serves package content; the logs of content-api and kube-apiserver say why not"
    await until(lambda: _is_served(client), seconds=seconds, what=what)


def _manifests(port: int, authority: bytes) -> list[tuple[Resource, dict[str, Any]]]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        # There are no nodes and no cluster network: the name of this machine leads to the process.
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
    }
    apiservice = {
        "apiVersion": APISERVICES.api_version,
        "kind": APISERVICES.kind,
        "metadata": {
            "name": f"{CONTENT_VERSION}.{PORCH_GROUP}",
            # A change: it lets the API server look at once, not when it would look the next time.
            "annotations": {"porchflow.dev/started": str(time.time())},
        },
        "spec": {
            "group": PORCH_GROUP,
            "version": CONTENT_VERSION,
            # As in deploy/base/content-api.yaml.
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "service": {"name": SERVICE, "namespace": NAMESPACE, "port": port},
            "caBundle": base64.b64encode(authority).decode(),
        },
    }
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [(NAMESPACES, namespace), (SERVICES, service), (APISERVICES, apiservice)]


async def _is_served(client: KubeClient) -> bool:
    try:
        await client.get(PACKAGEREVISIONRESOURCES, NAMESPACE, "is-it-served")
    except NotFound:
        # Said by the content API: what is not served at all is another error.
        return True
    except KubeError:
        return False
    return True
