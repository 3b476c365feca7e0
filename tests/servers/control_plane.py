"""A real etcd and kube-apiserver for tests."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from porchflow.devstack.certs import Certificates
from porchflow.devstack.objects.crds import install_crds
from porchflow.devstack.objects.policies import install_policies
from porchflow.devstack.processes import Process, free_port
from porchflow.devstack.servers import etcd, kube_apiserver
from porchflow.kube.client import KubeClient
from tests.servers.authority import signed


class ControlPlane:
    """etcd and kube-apiserver, with our CRDs and policies installed.

    Attributes:
        kubeconfig: Of an administrator.
        url: Of the API server.
        etcd_url: Of etcd.
        etcd: Its process, to stop, kill or freeze.
        apiserver: The API server's process.
    """

    def __init__(self, binaries: dict[str, Path], folder: Path) -> None:
        self._folder = folder
        self._certificates = Certificates.ensure(folder / "certs")
        self.etcd: Process = etcd(
            binaries["etcd"], folder / "etcd", log=folder / "etcd.log", port=free_port(), durable=False
        )
        self.apiserver: Process = kube_apiserver(
            binaries["kube-apiserver"],
            self._certificates,
            etcd_url=self.etcd.address,
            log=folder / "kube-apiserver.log",
            port=free_port(),
        )
        self.kubeconfig = self._certificates.write_kubeconfig(folder / "kubeconfig", self.url)

    @property
    def url(self) -> str:
        return self.apiserver.address

    @property
    def etcd_url(self) -> str:
        return self.etcd.address

    def admin_tls(self) -> ssl.SSLContext:
        """What a connection as the administrator needs, for requests that no client library sends."""
        return self._certificates.admin_context()

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig of another user, who may do what RBAC says."""
        path = self._folder / ("kubeconfig-" + "-".join((user, *groups)).replace(":", "_").replace("/", "_"))
        # Kubernetes reads the user from the common name and its groups from the organizations.
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        certificate, key = signed(self._certificates.authority(), subject, ExtendedKeyUsageOID.CLIENT_AUTH)
        credentials = {
            "client-certificate-data": base64.b64encode(certificate).decode(),
            "client-key-data": base64.b64encode(key).decode(),
        }
        path.write_text(yaml.safe_dump(self._certificates.kubeconfig(self.url, user, credentials)))
        return path

    async def start_apiserver(self) -> None:
        """Start the API server, at the same address, and wait until it is ready."""
        await self.apiserver.start()

    async def stop_apiserver(self) -> None:
        await self.apiserver.stop()

    async def install_api(self) -> None:
        async with await KubeClient.connect(self.kubeconfig) as client:
            await install_crds(client)
            await install_policies(client)

    async def kubectl(
        self, *arguments: str, stdin: str = "", kubeconfig: Path | None = None, check: bool = True
    ) -> str:
        """Run kubectl; return what it printed, errors included.

        Args:
            arguments: Of kubectl.
            stdin: For `-f -`.
            kubeconfig: Of another user.
            check: Whether a failure fails the test.
        """
        command = ["kubectl", f"--kubeconfig={kubeconfig or self.kubeconfig}", *arguments]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "input": stdin}
        done = await asyncio.to_thread(subprocess.run, command, check=False, **pipes)
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
        return done.stdout


@asynccontextmanager
async def running_control_plane(binaries: dict[str, Path], folder: Path) -> AsyncIterator[ControlPlane]:
    plane = ControlPlane(binaries, folder)
    try:
        await plane.etcd.start()
        await plane.apiserver.start()
        await plane.install_api()
        yield plane
    finally:
        # Nobody will read this data again: a clean stop would only cost seconds.
        await plane.apiserver.kill()
        await plane.etcd.kill()
