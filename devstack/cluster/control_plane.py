"""The control plane of the cluster: an API server with everything that nodes need, controllers, the scheduler."""

from pathlib import Path

import yaml

from porchflow.devstack.certs import Certificates
from porchflow.devstack.cluster.layout import (
    API_PORT,
    API_SERVICE_ADDRESS,
    CLUSTER_DOMAIN,
    ETCD_PORT,
    NODE,
    NODE_ADDRESS,
    SERVICE_RANGE,
    ClusterFolder,
)
from porchflow.devstack.processes import HOST, Process, listens
from porchflow.devstack.servers import api_server_ready, certificate_flags
from porchflow.kube.whole_files import write_whole

URL = f"https://{HOST}:{API_PORT}"

_SERVING = "cluster-apiserver"
_CONTROLLERS_PORT = 10257
_SCHEDULER_PORT = 10259
_USERS = {
    # Kubernetes' own roles are bound to these names.
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "kube-controller-manager": ("system:kube-controller-manager", "porchflow"),
    "kube-scheduler": ("system:kube-scheduler", "porchflow"),
    "kube-proxy": ("system:kube-proxy", "porchflow"),
    "coredns": ("system:coredns", "porchflow"),
}
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    # What porchflow does, for comparing it with its roles. Everything else would only fill the disk.
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:porchflow-system"]},
        {"level": "None"},
    ],
}


class ControlPlane:
    """Describes the parts of a control plane for one state folder.

    Attributes:
        certificates: Certificates of the servers and their clients.
    """

    def __init__(self, folder: ClusterFolder, binaries: dict[str, Path]) -> None:
        """Make certificates and kubeconfigs; nothing is started.

        Args:
            folder: The state.
            binaries: Executables by name.
        """
        self._folder = folder
        self._binaries = binaries
        self.certificates = Certificates.ensure(folder.certificates)
        names = (
            f"kubernetes.default.svc.{CLUSTER_DOMAIN}",
            "kubernetes.default.svc",
            "kubernetes.default",
            "kubernetes",
        )
        self.certificates.ensure_server(_SERVING, *names, NODE_ADDRESS, API_SERVICE_ADDRESS)
        for part, (user, group) in _USERS.items():
            self.certificates.ensure_client(part, user, group)
            self._write_kubeconfig(part)

    def kubeconfig(self, part: str) -> Path:
        """Return the file with which a part connects to the API server."""
        return self._folder.configuration / f"{part}.kubeconfig"

    def apiserver(self) -> Process:
        """Describe the API server."""
        policy = self._folder.configuration / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(_AUDIT_POLICY), encoding="utf-8")
        command: list[str | Path] = [
            *(self._binaries["kube-apiserver"], f"--etcd-servers=http://{HOST}:{ETCD_PORT}"),
            "--authorization-mode=Node,RBAC",
            # Owner references need the right to change the owner's finalizers, as in stricter clusters.
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
            *("--bind-address=0.0.0.0", f"--advertise-address={NODE_ADDRESS}", f"--secure-port={API_PORT}"),
            *(f"--service-cluster-ip-range={SERVICE_RANGE}", "--allow-privileged=true", "--profiling=false"),
            *(f"--audit-policy-file={policy}", f"--audit-log-path={self._folder.audit_log}"),
            f"--kubelet-client-certificate={self.certificates.certificate('admin')}",
            f"--kubelet-client-key={self.certificates.key('admin')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--shutdown-watch-termination-grace-period=2s",
            *certificate_flags(self.certificates, serving=_SERVING),
        ]
        return Process(
            "kube-apiserver",
            command,
            log=self._folder.logs / "kube-apiserver.log",
            ready=api_server_ready(URL, self.certificates),
            address=URL,
            ready_seconds=300,
            stop_seconds=30,
        )

    def controllers(self) -> Process:
        """Describe the controller manager, with every controller that a cluster has without a cloud."""
        return self._part(
            "kube-controller-manager",
            _CONTROLLERS_PORT,
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.certificates.key('service-account')}",
            f"--root-ca-file={self.certificates.certificate('ca')}",
            f"--cluster-signing-cert-file={self.certificates.certificate('ca')}",
            f"--cluster-signing-key-file={self.certificates.key('ca')}",
        )

    def scheduler(self) -> Process:
        """Describe the scheduler."""
        return self._part("kube-scheduler", _SCHEDULER_PORT)

    def _part(self, name: str, port: int, *flags: str) -> Process:
        async def ready() -> bool:
            return await listens(port)

        return Process(
            name,
            [
                *(self._binaries[name], f"--kubeconfig={self.kubeconfig(name)}", "--leader-elect=false"),
                *(f"--bind-address={HOST}", f"--secure-port={port}", "--profiling=false", *flags),
            ],
            log=self._folder.logs / f"{name}.log",
            ready=ready,
            address=f"{HOST}:{port}",
            ready_seconds=300,
        )

    def _write_kubeconfig(self, part: str) -> None:
        credentials = {
            "client-certificate": str(self.certificates.certificate(part)),
            "client-key": str(self.certificates.key(part)),
        }
        config = self.certificates.kubeconfig(f"https://{NODE_ADDRESS}:{API_PORT}", part, credentials)
        write_whole(self.kubeconfig(part), yaml.safe_dump(config).encode())
