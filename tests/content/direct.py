"""A content API in the test's own process, asked without the API server in between."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict
from prometheus_client import CollectorRegistry

from porchflow.content.access.tls import ServingTls
from porchflow.content.content_settings import ContentSettings
from porchflow.content.serving.app import Clients, ContentServer, running_server
from porchflow.content.serving.request_metrics import ContentMetrics
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import CONFIGMAPS
from tests.content.world import Packages
from tests.servers.authority import Authority, Pair

PROXY_NAME = "the-front-proxy"
ADMIN = {"X-Remote-User": "ada", "X-Remote-Group": "system:masters"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


@dataclass
class Direct:
    """Asks a server as the front proxy does, or as somebody who is not."""

    server: ContentServer
    tls: ServingTls
    port: int
    front_proxy: Authority
    serving: Authority
    proxy: Pair
    packages: Packages
    git: GitStore
    metrics: CollectorRegistry
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/apis/porch.kpt.dev/v1alpha1/namespaces/{self.packages.namespace}/packagerevisionresources"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        certificate: Pair | None = None,
        anonymous: bool = False,
        headers: Mapping[str, str] | CIMultiDict[str] = ADMIN,
        data: Any = None,
    ) -> Answer:
        """Send one request over a connection of its own.

        Args:
            method: HTTP method.
            path: As it goes out, encoded by the test.
            certificate: Of the client; the front proxy's when not given.
            anonymous: Show no certificate.
            headers: Of the request.
            data: Body; anything but bytes and generators goes out as JSON.
        """
        context = ssl.create_default_context(cadata=self.serving.pem)
        if not anonymous:
            pair = certificate or self.proxy
            context.load_cert_chain(pair.certificate, pair.key)
        if data is not None and not isinstance(data, bytes) and not hasattr(data, "__aiter__"):
            data = json.dumps(data).encode()
        connector = aiohttp.TCPConnector(ssl=context, force_close=True)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            url = aiohttp.client.URL(f"https://localhost:{self.port}{path}", encoded=True)
            async with session.request(method, url, headers=headers, data=data) as answer:
                return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, name: str, **options: Any) -> Answer:
        return await self.ask("GET", f"{self.path}/{name}", **options)

    async def push(self, name: str, version: str, resources: Mapping[str, Any], **options: Any) -> Answer:
        body = {
            "apiVersion": "porch.kpt.dev/v1alpha1",
            "kind": "PackageRevisionResources",
            "metadata": {"name": name, "resourceVersion": version},
            "spec": {"resources": resources},
        }
        headers = {"Content-Type": "application/json", **options.pop("headers", ADMIN)}
        return await self.ask("PUT", f"{self.path}/{name}", data=body, headers=headers, **options)


def front_proxy_data(authority: Authority, *names: str) -> dict[str, str]:
    """What the cluster says of its front proxy."""
    return {
        "requestheader-client-ca-file": authority.pem,
        "requestheader-allowed-names": json.dumps(list(names)),
        "requestheader-username-headers": '["X-Remote-User"]',
        "requestheader-uid-headers": '["X-Remote-Uid"]',
        "requestheader-group-headers": '["X-Remote-Group"]',
        "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
    }


async def announce(kube: KubeClient, namespace: str, data: Mapping[str, str]) -> None:
    """Say who the front proxy is."""
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": namespace},
        "data": data,
    }
    await kube.apply(CONFIGMAPS, manifest, field_manager="tests")


@asynccontextmanager
async def running_direct(packages: Packages, folder: Path, kube: KubeClient, **settings: Any) -> AsyncIterator[Direct]:
    """Run a server whose front proxy the test plays."""
    front_proxy, serving = Authority(folder / "front-proxy"), Authority(folder / "serving", "serving")
    await announce(packages.kube, packages.namespace, front_proxy_data(front_proxy, PROXY_NAME))
    pair = serving.issue("content-api", "localhost")
    serving_options = {"front_proxy_namespace": packages.namespace}
    if "silence" in settings:
        serving_options["silence"] = settings.pop("silence")
    # Port 0 is for tests: a setting names a port.
    wanted = ContentSettings(tls_cert=pair.certificate, tls_key=pair.key, **settings).model_copy(
        update={"address": "127.0.0.1:0"}
    )
    registry = CollectorRegistry()
    metrics = ContentMetrics(registry)
    async with (
        GitStore(folder / "git") as git,
        running_server(wanted, Clients(kube, kube, git), metrics, **serving_options) as running,
    ):
        proxy = front_proxy.issue(PROXY_NAME)
        yield Direct(running.server, running.tls, running.port, front_proxy, serving, proxy, packages, git, registry)
