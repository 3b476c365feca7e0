"""Names, addresses and ports of the cluster. The addresses exist only in its own network namespace."""

import hashlib
from pathlib import Path

from porchflow.cli.stack_state import StateFolder

NODE = "porchflow-node"
NODE_ADDRESS = "10.250.0.1"
POD_RANGE = "10.251.0.0/16"
POD_GATEWAY = "10.251.0.1"
SERVICE_RANGE = "10.252.0.0/16"
API_SERVICE_ADDRESS = "10.252.0.1"
DNS_SERVICE_ADDRESS = "10.252.0.10"
CLUSTER_DOMAIN = "cluster.local"

API_PORT = 6443
ETCD_PORT = 2379
TEMPORAL_PORT = 7233
UI_PORT = 8233
GIT_PORT = 3000
REGISTRY_PORT = 5000
DNS_PORT = 53

RUNTIME_SOCKET = "/run/containerd/containerd.sock"
"""Below the cluster's own `/run`: the path of a socket may have 107 bytes, and a state folder is often deep."""

GIT_URL = f"http://{NODE_ADDRESS}:{GIT_PORT}"
REGISTRY = f"{NODE_ADDRESS}:{REGISTRY_PORT}"


class ClusterFolder(StateFolder):
    """The state folder of a cluster: that of the embedded stack, and the files of the node."""

    def __init__(self, root: Path) -> None:
        """Name the files below a folder; `make` creates the folders."""
        super().__init__(root)
        self.configuration = self.root / "configuration"
        """Files that the parts read: kubeconfigs, settings of kubelet, containerd and network."""
        self.images = self.root / "images"
        """Archives of images for the node."""
        self.run = self.root / "run"
        """Shown as `/run` to the parts."""
        self.pod_logs = self.root / "var-log"
        """Shown as `/var/log` to the parts."""
        self.kernel = self.root / "kernel"
        """Shown in place of settings of the kernel."""
        self.containerd = self.root / "containerd"
        self.kubelet = self.root / "kubelet"
        self.registry = self.root / "registry"
        self.audit_log = self.logs / "audit.log"

    def make_all(self) -> None:
        """Create every folder."""
        self.make()
        for folder in (
            *(self.configuration, self.images, self.run, self.pod_logs, self.kernel),
            *(self.containerd, self.kubelet, self.registry),
        ):
            folder.mkdir(exist_ok=True)


def cgroup_name(folder: StateFolder) -> str:
    """Return the name of the cgroup of a cluster; one for each state folder."""
    # The name of a folder may have any character; a digest keeps two folders apart.
    return f"porchflow-{hashlib.sha256(str(folder.root).encode()).hexdigest()[:8]}"
