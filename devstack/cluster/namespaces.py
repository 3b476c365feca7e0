"""Mounts and network of the cluster, inside its own namespaces. Nothing here is seen outside, and nothing stays."""

import subprocess
from pathlib import Path

from porchflow.devstack.cluster.layout import NODE_ADDRESS, ClusterFolder

# A kubelet sets these for the whole kernel where they differ. It sees files with the values that it wants, so the
# machine keeps its own.
_KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}
_SYSCTL = Path("/proc/sys")


def prepare_mounts(folder: ClusterFolder) -> None:
    """Show the parts a `/run` and a `/var/log` of their own, and settings of the kernel that suit a kubelet."""
    # Mounts of the kubelet reach containers that are there already, as on any node.
    _run("mount", "--make-rshared", "/")
    _run("mount", "--bind", str(folder.run), "/run")
    _run("mount", "--bind", str(folder.pod_logs), "/var/log")
    for name, value in _KERNEL_SETTINGS.items():
        shown = folder.kernel / name.replace("/", "-")
        shown.write_text(f"{value}\n", encoding="ascii")
        _run("mount", "--bind", str(shown), str(_SYSCTL / name))


def prepare_network() -> None:
    """Give the node its address, and let it forward what pods send."""
    _run("ip", "link", "set", "lo", "up")
    # A bridge without ports: not every kernel has devices of type dummy.
    _run("ip", "link", "add", "node0", "type", "bridge")
    _run("ip", "address", "add", f"{NODE_ADDRESS}/32", "dev", "node0")
    _run("ip", "link", "set", "node0", "up")
    # Addresses of Services have no interface: without a route a connection fails before kube-proxy's rules see it.
    _run("ip", "route", "add", "default", "dev", "node0", "src", NODE_ADDRESS)
    (_SYSCTL / "net/ipv4/ip_forward").write_text("1", encoding="ascii")


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
