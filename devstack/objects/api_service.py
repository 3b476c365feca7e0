"""Registers the content API at the API server of the stack."""

import asyncio
import base64
import time
from pathlib import Path

from porchflow.api.names import CONTENT_VERSION, PORCH_GROUP
from porchflow.devstack.objects.waiting import until
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.kinds import APISERVICES, NAMESPACES, PACKAGEREVISIONRESOURCES, SERVICES, Resource

NAMESPACE = "porchflow-system"
SERVICE = "porchflow-content-api"
SERVED_AS = f"{SERVICE}.{NAMESPACE}.svc"
"""The name that the API server expects in the certificate."""
FIELD_MANAGER = "porchflow-up"


async def register(client: KubeClient, port: int, authority: Path, *, seconds: float = 60.0) -> None:
    """Register the aggregated API, which listens already, and wait until the API server serves it.

    Args:
        client: The API server.
        port: Port of the content API on this machine.
        authority: PEM file with the authority of its certificate.
        seconds: How long it may take until it is served.

    Raises:
        KubeError: The API server refuses.
        TimeoutError: It is not served in time.
    """
    manifests = _manifests(port, await asyncio.to_thread(authority.read_bytes))
    for resource, manifest in manifests:
        await client.apply(resource, manifest, field_manager=FIELD_MANAGER)
    what = "the API server serves package content; the logs of content-api and kube-apiserver have the reason"
    await until(lambda: _is_served(client), seconds=seconds, what=what)


def _manifests(port: int, authority: bytes) -> list[tuple[Resource, Object]]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        # There are no nodes and no cluster network, so the Service names this machine.
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
    }
    apiservice = {
        "apiVersion": APISERVICES.api_version,
        "kind": APISERVICES.kind,
        "metadata": {
            "name": f"{CONTENT_VERSION}.{PORCH_GROUP}",
            # A change makes the API server probe the service at once, not at its next interval.
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
        # This error comes from the content API: for an API that is not served, the API server answers with another one.
        return True
    except KubeError:
        return False
    return True
