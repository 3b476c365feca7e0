"""The node of the cluster: containerd, kubelet, kube-proxy, the network of pods, DNS."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psutil
import yaml

from porchflow.devstack.certs import Certificates
from porchflow.devstack.cluster.binaries import CNI_FOLDER
from porchflow.devstack.cluster.layout import (
    CLUSTER_DOMAIN,
    DNS_PORT,
    DNS_SERVICE_ADDRESS,
    NODE,
    NODE_ADDRESS,
    POD_GATEWAY,
    POD_RANGE,
    REGISTRY,
    RUNTIME_SOCKET,
    ClusterFolder,
    cgroup_name,
)
from porchflow.devstack.cluster.toml import toml
from porchflow.devstack.processes import HOST, Process, Ready, listens
from porchflow.devstack.servers import answers

SANDBOX_IMAGE = "localhost/porchflow-sandbox:1"

_KUBELET_HEALTH = 10248
_PROXY_HEALTH = 10256


class Node:
    """Describes the parts of the node for one state folder."""

    def __init__(
        self, folder: ClusterFolder, binaries: dict[str, Path], certificates: Certificates, *, memory: int
    ) -> None:
        """Describe the parts; nothing is started.

        Args:
            folder: The state.
            binaries: Executables by name.
            certificates: Those of the control plane.
            memory: Bytes that pods may have together.
        """
        self._folder = folder
        self._binaries = binaries
        self._certificates = certificates
        self._memory = memory

    def containerd(self) -> Process:
        """Describe the container runtime, and write its settings and those of the network of pods."""
        self._write_network()
        self._write_registries()
        settings = self._write("containerd.toml", toml(self._containerd_settings()))

        async def ready() -> bool:
            return await _accepts(RUNTIME_SOCKET)

        return self._process("containerd", ["containerd", f"--config={settings}"], ready=ready)

    def kubelet(self, kubeconfig: Path) -> Process:
        """Describe the kubelet."""
        settings = self._write("kubelet.yaml", yaml.safe_dump(self._kubelet_settings()))

        async def ready() -> bool:
            return await answers(f"http://{HOST}:{_KUBELET_HEALTH}/healthz")

        command: list[str | Path] = [
            *(self._binaries["kubelet"], f"--config={settings}", f"--kubeconfig={kubeconfig}"),
            *(f"--root-dir={self._folder.kubelet}", f"--cert-dir={self._folder.kubelet / 'pki'}"),
            *(f"--hostname-override={NODE}", f"--node-ip={NODE_ADDRESS}"),
        ]
        return self._process("kubelet", command, ready=ready)

    def proxy(self, kubeconfig: Path) -> Process:
        """Describe kube-proxy, which lets Services be reached."""
        command: list[str | Path] = [
            *(self._binaries["kube-proxy"], f"--kubeconfig={kubeconfig}", "--proxy-mode=iptables"),
            *(f"--cluster-cidr={POD_RANGE}", f"--hostname-override={NODE}"),
            # This one would change the whole kernel's table.
            *("--conntrack-max-per-core=0", "--conntrack-min=0"),
        ]

        async def ready() -> bool:
            return await answers(f"http://{HOST}:{_PROXY_HEALTH}/healthz")

        return self._process("kube-proxy", command, ready=ready)

    def dns(self, kubeconfig: Path) -> Process:
        """Describe CoreDNS, which runs on the node; the Service `kube-dns` leads to it."""
        server = f"""\
.:{DNS_PORT} {{
    errors
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}
"""

        async def ready() -> bool:
            return await listens(DNS_PORT)

        return self._process(
            "coredns", [self._binaries["coredns"], "-conf", self._write("Corefile", server)], ready=ready
        )

    def _process(self, name: str, command: list[str | Path], *, ready: Ready) -> Process:
        return Process(name, command, log=self._folder.logs / f"{name}.log", ready=ready, ready_seconds=300)

    def _write(self, name: str, text: str) -> Path:
        path = self._folder.configuration / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _write_network(self) -> None:
        bridge = {
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE, "gateway": POD_GATEWAY}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(self._folder.run / "cni-addresses"),
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        network = {"cniVersion": "1.0.0", "name": "porchflow", "plugins": [bridge, ports]}
        self._write("cni/10-porchflow.conflist", json.dumps(network, indent=2))

    def _write_registries(self) -> None:
        hosts = f'server = "http://{REGISTRY}"\n[host."http://{REGISTRY}"]\n  capabilities = ["pull", "resolve"]\n'
        self._write(f"registries/{REGISTRY}/hosts.toml", hosts)

    def _containerd_settings(self) -> dict[str, Any]:
        configuration = self._folder.configuration
        runtime = {"runtime_type": "io.containerd.runc.v2", "options": {"SystemdCgroup": False}}
        return {
            "version": 2,
            "root": str(self._folder.containerd),
            "state": "/run/containerd",
            "grpc": {"address": RUNTIME_SOCKET},
            "plugins": {
                "io.containerd.grpc.v1.cri": {
                    "sandbox_image": SANDBOX_IMAGE,
                    # Without the right to lower a process's badness, every sandbox would fail at it.
                    "restrict_oom_score_adj": True,
                    "containerd": {"snapshotter": "overlayfs", "runtimes": {"runc": runtime}},
                    "cni": {"bin_dir": str(CNI_FOLDER), "conf_dir": str(configuration / "cni")},
                    "registry": {"config_path": str(configuration / "registries")},
                },
            },
        }

    def _kubelet_settings(self) -> dict[str, Any]:
        # The bound is that of the cgroup, of which the kubelet knows nothing: it counts the whole machine's memory.
        reserved = max(0, psutil.virtual_memory().total - self._memory)
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self._certificates.certificate("ca"))},
            },
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": f"unix://{RUNTIME_SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup_name(self._folder)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [DNS_SERVICE_ADDRESS],
            "clusterDomain": CLUSTER_DOMAIN,
            "resolvConf": "",
            "podLogsDir": "/var/log/pods",
            "systemReserved": {"memory": str(reserved)},
            # Shares the disk with all else of the machine: only a full one counts as pressure.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "containerLogMaxSize": "1Mi",
            "containerLogMaxFiles": 3,
        }


async def _accepts(path: str) -> bool:
    """Return whether a process accepts connections on a socket of the file system."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
