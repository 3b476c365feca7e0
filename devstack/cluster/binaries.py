"""The programs of the cluster: builds from pinned Go modules, and packages of Debian."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from porchflow.devstack.toolchain.executables import KUBERNETES_FLAGS, MODULES, SERVERS, Server, ToolchainError
from porchflow.devstack.toolchain.finding import ensure_servers
from porchflow.devstack.toolchain.gobuild import Progress

_OLDEST_KUBERNETES = (1, 32)


def _kubernetes(name: str) -> Server:
    return Server(
        name,
        MODULES / "kubernetes-node",
        f"k8s.io/kubernetes/cmd/{name}",
        f"PORCHFLOW_{name.upper().replace('-', '_')}",
        r"Kubernetes v(\d+)\.(\d+)",
        _OLDEST_KUBERNETES,
        KUBERNETES_FLAGS,
    )


REGISTRY = Server(
    "registry",
    MODULES / "registry",
    "github.com/distribution/distribution/v3/cmd/registry",
    "PORCHFLOW_REGISTRY",
    r"distribution/v3 v?(\d+)\.(\d+)",
    (3, 0),
)
"""A registry of container images."""

NODE_SERVERS = (
    # The longest build first.
    _kubernetes("kubelet"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kube-proxy"),
    Server("coredns", MODULES / "coredns", ".", "PORCHFLOW_COREDNS", r"CoreDNS-(\d+)\.(\d+)", (1, 11)),
    REGISTRY,
)

PACKAGES = {
    "busybox": "busybox-static",
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "runc": "runc",
    "unshare": "util-linux",
}
"""The package of Debian for each program that is taken from the system."""

CNI_FOLDER = Path("/usr/lib/cni")
_CNI_PACKAGE = "containernetworking-plugins"

_INSTALL_SECONDS = 900


def ensure_binaries(progress: Progress) -> dict[str, Path]:
    """Find, install or build every program of the cluster.

    Args:
        progress: Receives lines about builds and installations.

    Returns:
        The executables that are built, by name; those of Debian are on PATH.

    Raises:
        ToolchainError: One is not to be had; the message states what to do.
    """
    _ensure_packages(progress)
    return ensure_servers(progress, servers=(*SERVERS, *NODE_SERVERS))


def missing_packages() -> list[str]:
    """Return the packages of Debian that are needed and not installed."""
    missing = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    if not (CNI_FOLDER / "bridge").exists():
        missing.add(_CNI_PACKAGE)
    return sorted(missing)


def _ensure_packages(progress: Progress) -> None:
    missing = missing_packages()
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ToolchainError(
            f"the cluster needs packages that are not installed: as root, run `apt-get install {names}`"
        )
    progress(f"apt-get: installing {names}")
    # Another installation may hold the lock of the package manager.
    apt = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=600"]
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--no-install-recommends", *missing])
    if left := missing_packages():
        raise ToolchainError(f"apt-get installed {names}, and still missing are: {', '.join(left)}")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_INSTALL_SECONDS,
        # Packages start no services here: the cluster runs its own containerd.
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"},
        check=False,
    )
    if done.returncode != 0:
        tail = "".join(f"\n    {line}" for line in (done.stdout + done.stderr).splitlines()[-15:])
        raise ToolchainError(f"`{' '.join(command)}` ended with {done.returncode}; mend it and try again:{tail}")
