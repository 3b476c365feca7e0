"""All parts of the cluster, in the order of their start."""

import sys
from pathlib import Path

from porchflow.devstack.cluster.control_plane import ControlPlane
from porchflow.devstack.cluster.layout import (
    ETCD_PORT,
    GIT_PORT,
    GIT_URL,
    REGISTRY,
    REGISTRY_PORT,
    TEMPORAL_PORT,
    UI_PORT,
    ClusterFolder,
)
from porchflow.devstack.cluster.node import Node
from porchflow.devstack.parts import SOURCES
from porchflow.devstack.processes import Process, Ready, listens
from porchflow.devstack.servers import etcd, temporal

_ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - in a network of the cluster's own


def groups(folder: ClusterFolder, binaries: dict[str, Path], *, memory: int) -> list[tuple[Process, ...]]:
    """Return all parts in the order of their start; those of one group do not need one another.

    Args:
        folder: The state.
        binaries: Executables by name.
        memory: Bytes that pods may have together.
    """
    plane = ControlPlane(folder, binaries)
    node = Node(folder, binaries, plane.certificates, memory=memory)
    return [
        (
            etcd(binaries["etcd"], folder.etcd, log=folder.logs / "etcd.log", port=ETCD_PORT, durable=False),
            _temporal(folder, binaries),
            _git_server(folder),
            _registry(folder, binaries),
            node.containerd(),
        ),
        (plane.apiserver(),),
        (plane.controllers(), plane.scheduler(), node.dns(plane.kubeconfig("coredns"))),
        (node.kubelet(plane.kubeconfig("kubelet")), node.proxy(plane.kubeconfig("kube-proxy"))),
    ]


def _temporal(folder: ClusterFolder, binaries: dict[str, Path]) -> Process:
    return temporal(
        binaries["temporal"],
        log=folder.logs / "temporal.log",
        port=TEMPORAL_PORT,
        ui_port=UI_PORT,
        database=folder.temporal,
        durable=False,
        # As a server that has never heard of porchflow: the watcher registers what it needs.
        searchable=False,
        # Its own services call one another at the loopback address.
        host=_ANY_ADDRESS,
    )


def _git_server(folder: ClusterFolder) -> Process:
    return Process(
        "git-server",
        [
            *(sys.executable, "-m", "porchflow.devstack.git.gitserver"),
            *("--root", folder.git, "--host", _ANY_ADDRESS, "--port", str(GIT_PORT)),
        ],
        log=folder.logs / "git-server.log",
        ready=_listening(GIT_PORT),
        address=GIT_URL,
        folder=SOURCES,
    )


def _registry(folder: ClusterFolder, binaries: dict[str, Path]) -> Process:
    settings = folder.configuration / "registry.yaml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {folder.registry}}}}}\n"
        f"http: {{addr: {_ANY_ADDRESS}:{REGISTRY_PORT}}}\n",
        encoding="utf-8",
    )
    return Process(
        "registry",
        [binaries["registry"], "serve", settings],
        log=folder.logs / "registry.log",
        ready=_listening(REGISTRY_PORT),
        address=REGISTRY,
    )


def _listening(port: int) -> Ready:
    async def ready() -> bool:
        return await listens(port)

    return ready
