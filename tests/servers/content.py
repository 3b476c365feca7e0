"""The content API as a process, behind the aggregation layer of a real API server."""

import base64
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from porchflow.devstack.processes import HOST, Process, free_port
from porchflow.devstack.servers import answers
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import APISERVICES, NAMESPACES, SERVICES
from tests.servers.authority import Authority
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
SERVICE_NAMESPACE, SERVICE_NAME = "porch-system", "api"
_SERVED_AS = f"{SERVICE_NAME}.{SERVICE_NAMESPACE}.svc"


def content_process(plane: ControlPlane, folder: Path, port: int, authority: Authority, **settings: str) -> Process:
    """Describe a content API; its API server is told by `register`."""
    folder.mkdir(parents=True, exist_ok=True)
    serving = authority.issue("content-api", _SERVED_AS, "localhost")
    health = f"{HOST}:{free_port()}"
    environment = {
        "PORCHFLOW_KUBECONFIG": str(plane.kubeconfig),
        "PORCHFLOW_CONTENT_ADDRESS": f"{HOST}:{port}",
        "PORCHFLOW_CONTENT_TLS_CERT": str(serving.certificate),
        "PORCHFLOW_CONTENT_TLS_KEY": str(serving.key),
        "PORCHFLOW_HEALTH_ADDRESS": health,
        "GIT_CACHE_DIR": str(folder / "git"),
        **settings,
    }

    async def ready() -> bool:
        return await answers(f"http://{health}/readyz")

    return Process(
        "content-api",
        [sys.executable, "-m", "porchflow.cli.main", "content-api"],
        log=folder / "content-api.log",
        ready=ready,
        address=f"https://{HOST}:{port}",
        environment=environment,
        folder=ROOT,
    )


async def register(kube: KubeClient, port: int, authority: Authority) -> None:
    """Tell the API server where the content API is, and wait until it finds it there."""
    try:
        await kube.get(NAMESPACES, None, SERVICE_NAMESPACE)
    except NotFound:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SERVICE_NAMESPACE}}
        await kube.create(NAMESPACES, namespace)
    for resource, manifest in ((SERVICES, _service(port)), (APISERVICES, _apiservice(port, authority))):
        await kube.apply(resource, manifest, field_manager="tests")

    async def available() -> bool:
        obj = await kube.get(APISERVICES, None, manifest["metadata"]["name"])
        return any(
            (each["type"], each["status"]) == ("Available", "True")
            for each in (obj.get("status") or {}).get("conditions", [])
        )

    await eventually(available, what="the API server finds the content API")


def _service(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE_NAME, "namespace": SERVICE_NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }


def _apiservice(port: int, authority: Authority) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1alpha1.porch.kpt.dev"},
        "spec": {
            "group": "porch.kpt.dev",
            "version": "v1alpha1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "service": {"name": SERVICE_NAME, "namespace": SERVICE_NAMESPACE, "port": port},
            "caBundle": base64.b64encode(authority.pem.encode()).decode(),
        },
    }


@asynccontextmanager
async def running_content_api(plane: ControlPlane, kube: KubeClient, folder: Path) -> AsyncIterator[Process]:
    """Run a content API that the API server forwards to."""
    port = free_port()
    authority = Authority(folder / "pki")
    process = content_process(plane, folder, port, authority)
    try:
        await process.start()
        await register(kube, port, authority)
        yield process
    finally:
        await process.stop()
