"""porchflow's own processes, started as a user would, against the real servers of the test session."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from porchflow.devstack.launch import launched
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import EVENTS, NAMESPACES, PACKAGEREVISIONS
from porchflow.workflows.ids import Installation
from tests.e2e.rules import check_rules
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
PR = "porch.kpt.dev/v1alpha2"


@dataclass
class System:
    """One namespace in Kubernetes, one in Temporal, one repository, and the processes that serve them."""

    kube: KubeClient
    control_plane: ControlPlane
    namespace: str
    temporal_address: str
    temporal_namespace: str
    state: Path
    installation: str = "e2e"
    """Empty: the processes take that of the cluster."""
    environment: dict[str, str] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    async def neighbour(self) -> "System":
        """Make another namespace; return the same system, with the same processes, as it is used there."""
        other = f"{self.namespace}-other"
        await self.kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
        return replace(self, namespace=other)

    def start(
        self, name: str, *command: str, module: str = "porchflow.cli.main", **environment: str
    ) -> "subprocess.Popen[bytes]":
        """Start one porchflow process; its output goes to a file named after it."""
        env = {
            **os.environ,
            "PORCHFLOW_TEMPORAL_ADDRESS": self.temporal_address,
            "PORCHFLOW_TEMPORAL_NAMESPACE": self.temporal_namespace,
            "PORCHFLOW_TEMPORAL_INSTALLATION": self.installation,
            "PORCHFLOW_KUBECONFIG": str(self.control_plane.kubeconfig),
            "GIT_CACHE_DIR": str(self.state / f"git-{name}"),
            # The servers of the tests are on this machine.
            "PORCHFLOW_GIT_DENIED_UPSTREAMS": "169.254.0.0/16",
            **self.environment,
            **environment,
        }
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [*launched(os.getpid()), sys.executable, "-m", module, *command],
                cwd=ROOT,
                env=env,
                stderr=log,
            )
        self.processes[name] = process
        return process

    def start_worker(self, name: str = "worker", **environment: str) -> "subprocess.Popen[bytes]":
        return self.start(name, "worker", **environment)

    def start_watcher(self) -> "subprocess.Popen[bytes]":
        # What waits for credentials goes on at once, and not with the next sync of its Repository.
        return self.start("watcher", "watcher", "--namespaces", self.namespace, "--watch-secrets", "true")

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl in the system's namespace."""
        return await self.control_plane.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop_all(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
            if process.poll() is None:
                process.kill()
                process.wait()

    def workflow_id(self, name: str) -> str:
        """Return the id of the workflow of a PackageRevision."""
        return Installation(self.installation).workflow_id(self.namespace, name)

    def log(self, name: str) -> Path:
        return self.state / f"{name}.log"

    async def get(self, name: str) -> dict[str, Any] | None:
        try:
            return await self.kube.get(PACKAGEREVISIONS, self.namespace, name)
        except NotFound:
            return None

    async def until(self, name: str, wanted: str, holds: Any, *, timeout: float = 60) -> dict[str, Any]:
        """Wait until an object fulfils a condition, then check the rules that every status keeps to."""

        async def fulfilled() -> dict[str, Any] | None:
            obj = await self.get(name)
            return obj if obj is not None and holds(obj) else None

        try:
            obj: dict[str, Any] = await eventually(fulfilled, timeout=timeout, what=f"{name} {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(await self.get(name), indent=1)}\n{self._tails()}") from None
        check_rules(obj)
        return obj

    async def ready(self, name: str, **kwargs: Any) -> dict[str, Any]:
        """Wait until the newest generation is Ready."""
        return await self.until(name, "is Ready", is_ready, **kwargs)

    async def stalled(self, name: str, reason: str, **kwargs: Any) -> dict[str, Any]:
        """Wait until the object says that a person must act."""
        return await self.until(
            name, f"is Stalled: {reason}", lambda obj: condition(obj, "Stalled").get("reason") == reason, **kwargs
        )

    async def patch(self, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        return await self.kube.merge_patch(PACKAGEREVISIONS, self.namespace, name, patch)

    async def lifecycle(self, name: str, lifecycle: str) -> dict[str, Any]:
        return await self.patch(name, {"spec": {"lifecycle": lifecycle}})

    async def create_draft(self, repository: str, package: str, workspace: str = "v1", **spec: Any) -> str:
        name = f"{repository}.{package.replace('/', '.')}.{workspace}"
        await self.kube.create(
            PACKAGEREVISIONS,
            {
                "apiVersion": PR,
                "kind": "PackageRevision",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {
                    "packageName": package,
                    "repository": repository,
                    "workspaceName": workspace,
                    "lifecycle": "Draft",
                    "source": {"init": {"description": f"the {package} package"}},
                    **spec,
                },
            },
        )
        return name

    async def told(self, name: str, reason: str, message: str) -> None:
        """Wait for an Event that begins so: it is written in the background, a moment after the status."""

        async def there() -> bool:
            return any(why == reason and said.startswith(message) for why, said in await self.events(name))

        await eventually(there, what=f"an Event {reason} of {name}: {message}")

    async def events(self, name: str) -> list[tuple[str, str]]:
        return [
            (event["reason"], event["message"])
            async for event in self.kube.list_all(EVENTS, self.namespace, field_selector=f"involvedObject.name={name}")
        ]

    def _tails(self) -> str:
        return "\n".join(
            f"--- {name}\n" + self.log(name).read_text(errors="replace")[-2000:] for name in self.processes
        )


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions", [])
    return next((item for item in conditions if item["type"] == kind), {})


def is_ready(obj: dict[str, Any]) -> bool:
    fresh = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return fresh and condition(obj, "Ready").get("status") == "True"
