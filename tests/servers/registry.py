"""A real registry of container images for tests, and images made of a few bytes."""

import base64
import hashlib
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from porchflow.devstack.processes import Process, free_port
from tests.servers.authority import Pair

USER, PASSWORD = "reader", "correct horse"
_HASHED = "$2b$04$KetxIJId2ykJ7QbOltetY.UZl1Vv8q3RPnSq0FO0DT8DHlzi3hf2u"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


class Registry:
    """A registry that runs.

    Attributes:
        process: to stop, freeze and start again.
        address: host and port, as image names have it.
    """

    def __init__(self, process: Process, scheme: str, trust: ssl.SSLContext | None) -> None:
        self.process = process
        self.address = process.address
        self.headers = {"Authorization": f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}
        self._scheme = scheme
        self._trust = trust

    def image(self, name: str) -> str:
        """Full name of an image."""
        return f"{self.address}/{name}"

    async def push(self, name: str, command: Sequence[str], *, arguments: Sequence[str] = ()) -> str:
        """Push an image without files; return its digest."""
        return await self.push_config(name, {"Entrypoint": list(command), "Cmd": list(arguments)})

    async def push_config(self, name: str, config: Any) -> str:
        """Push an image of any configuration."""
        return await self.put_manifest(name, await self._manifest(name, config))

    async def push_index(self, name: str, commands: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Push an image for several platforms; return the digest for each."""
        repository = name.partition(":")[0]
        digests = {}
        for platform, command in commands.items():
            manifest = await self._manifest(name, {"Entrypoint": list(command)})
            digest = _digest(json.dumps(manifest).encode())
            digests[platform] = await self.put_manifest(f"{repository}@{digest}", manifest)
        entries = []
        for platform, digest in digests.items():
            system, _, architecture = platform.partition("/")
            about = {"os": system, "architecture": architecture}
            entries.append({"mediaType": _MANIFEST, "digest": digest, "size": 0, "platform": about})
        await self.put_manifest(name, {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}, _INDEX)
        return digests

    async def put_manifest(self, name: str, manifest: Any, kind: str = _MANIFEST) -> str:
        """Push a manifest alone; return its digest."""
        repository, _, version = name.replace("@", "|").replace(":v", "|v").partition("|")
        body = json.dumps(manifest).encode()
        await self._send("PUT", f"{repository}/manifests/{version}", body, {"Content-Type": kind})
        return _digest(body)

    async def push_blob(self, repository: str, blob: bytes) -> str:
        """Push a part of an image; return its digest."""
        location = await self._send("POST", f"{repository}/blobs/uploads/", b"")
        digest = _digest(blob)
        await self._send("PUT", f"{location}&digest={digest}", blob, {"Content-Type": "application/octet-stream"})
        return digest

    def requests(self, path: str) -> int:
        """How often a path below `/v2/` was asked for, with whatever query, as the registry's own log has it."""
        asked = re.compile(rf'"GET /v2/{re.escape(path)}[ ?]')
        return len(asked.findall(self.process.log.read_text()))

    async def _manifest(self, name: str, config: Any) -> dict[str, Any]:
        blob = json.dumps({"os": "linux", "architecture": "amd64", "config": config}).encode()
        digest = await self.push_blob(name.partition(":")[0], blob)
        about = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(blob)}
        return {"schemaVersion": 2, "mediaType": _MANIFEST, "config": about, "layers": []}

    async def _send(self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> str:
        url = path if path.startswith("http") else f"{self._scheme}://{self.address}/v2/{path}"
        connector = aiohttp.TCPConnector(ssl=self._trust or True)
        async with (
            aiohttp.ClientSession(connector=connector, headers=self.headers) as session,
            session.request(method, url, data=body, headers=headers) as response,
        ):
            assert response.ok, await response.text()
            return response.headers.get("Location", "")


@asynccontextmanager
async def running_registry(
    binary: Path,
    folder: Path,
    *,
    auth: Mapping[str, Any] | None = None,
    pair: Pair | None = None,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[Registry]:
    """Run a registry.

    Args:
        binary: its executable.
        folder: of its files.
        auth: that part of its configuration; none lets anybody in.
        pair: certificate and key for TLS.
        trust: what this process needs to trust that.
    """
    port = free_port()
    tls = {"tls": {"certificate": str(pair.certificate), "key": str(pair.key)}} if pair else {}
    configuration = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": f"127.0.0.1:{port}", **tls},
        "auth": dict(auth or {}),
        # An index may name what the registry does not have.
        "validation": {"manifests": {"indexes": {"platforms": "none"}}},
    }
    file = _configure(folder, configuration)

    async def ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    process = Process(
        "registry", [binary, "serve", file], log=folder / "registry.log", ready=ready, address=f"127.0.0.1:{port}"
    )
    try:
        await process.start()
        yield Registry(process, "https" if pair else "http", trust)
    finally:
        await process.kill()


def _configure(folder: Path, configuration: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "registry.yaml"
    file.write_text(yaml.safe_dump(configuration))
    return file


def passwords(folder: Path) -> dict[str, Any]:
    """The configuration of a registry that lets one user in."""
    file = folder / "htpasswd"
    file.write_text(f"{USER}:{_HASHED}\n")
    return {"htpasswd": {"realm": "test", "path": str(file)}}


def docker_config(path: Path, *registries: str, password: str = PASSWORD) -> Path:
    """Write credentials for registries, as `docker login` does."""
    secret = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {registry: {"auth": secret} for registry in registries}}))
    return path


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
