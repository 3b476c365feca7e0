"""The parts of the stack, as processes that a supervisor starts."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from porchflow.cli.stack_state import StateFolder
from porchflow.devstack.api_service import SERVED_AS
from porchflow.devstack.certs import Certificates
from porchflow.devstack.processes import HOST, Process, Ready, free_port, listens
from porchflow.devstack.servers import answers, etcd, kube_apiserver, temporal

SOURCES = Path(__file__).parents[2]
_CONTENT_API = "content-api"
_WORKER_STOP_SECONDS = 40.0
"""Longer than a worker waits for its activities to finish."""


class Parts:
    """Describes every part, for one state folder and its ports."""

    def __init__(
        self,
        folder: StateFolder,
        ports: Mapping[str, int],
        binaries: Mapping[str, Path],
        *,
        has_runner: bool = True,
        git_latency: float = 0,
    ) -> None:
        """Describe the parts; nothing is started.

        Args:
            folder: The state.
            ports: By name of the setting.
            binaries: By name of the server.
            has_runner: Whether there is a function runner.
            git_latency: Milliseconds by which the Git server delays each request.
        """
        self._has_runner = has_runner
        self._git_latency = git_latency
        self._folder = folder
        self._ports = ports
        self._binaries = binaries
        self._certificates = Certificates.ensure(folder.certificates)
        self._certificates.ensure_server(_CONTENT_API, SERVED_AS)

        self.apiserver = self._kube_apiserver()
        self.content_api = self._content_api()

    def groups(self, workers: int) -> list[tuple[Process, ...]]:
        """Return all parts in the order of their start; those of one group do not need one another."""
        return [
            (self._etcd(), self._temporal(), self._git_server(), *self._runners()),
            (self.apiserver,),
            (
                self.content_api,
                self._reconciler("watcher", "watcher"),
                *(self._reconciler(f"worker-{number}", "worker") for number in range(1, workers + 1)),
            ),
        ]

    @property
    def git_url(self) -> str:
        """Address of the Git server."""
        return f"http://{HOST}:{self._ports['git_port']}"

    @property
    def authority(self) -> Path:
        """PEM file with the authority of the stack's servers."""
        return self._certificates.certificate("ca")

    @property
    def ui_url(self) -> str:
        """Address of the Temporal Web UI."""
        return f"http://{HOST}:{self._ports['ui_port']}"

    @property
    def temporal_address(self) -> str:
        """Address of Temporal's frontend, as `host:port`."""
        return f"{HOST}:{self._ports['temporal_port']}"

    @property
    def runner_address(self) -> str:
        """Address of the function runner, as `host:port`; empty where there is none."""
        return f"{HOST}:{self._ports['runner_port']}" if self._has_runner else ""

    def _etcd(self) -> Process:
        return etcd(self._binaries["etcd"], self._folder.etcd, log=self._log("etcd"), port=self._ports["etcd_port"])

    def _kube_apiserver(self) -> Process:
        process = kube_apiserver(
            self._binaries["kube-apiserver"],
            self._certificates,
            etcd_url=f"http://{HOST}:{self._ports['etcd_port']}",
            log=self._log("kube-apiserver"),
            port=self._ports["api_port"],
        )
        self._certificates.write_kubeconfig(self._folder.kubeconfig, process.address)
        return process

    def _temporal(self) -> Process:
        return temporal(
            self._binaries["temporal"],
            log=self._log("temporal"),
            port=self._ports["temporal_port"],
            ui_port=self._ports["ui_port"],
            database=self._folder.temporal,
        )

    def _git_server(self) -> Process:
        port = self._ports["git_port"]
        arguments = ["--root", str(self._folder.git), "--host", HOST, "--port", str(port)]
        arguments += ["--latency", str(self._git_latency)] if self._git_latency else []
        return self._python(
            "git-server", "porchflow.devstack.gitserver", *arguments, ready=_listening(port), address=self.git_url
        )

    def _runners(self) -> tuple[Process, ...]:
        return (self._function_runner(),) if self._has_runner else ()

    def _function_runner(self) -> Process:
        environment = {
            "PORCHFLOW_FUNCTION_RUNNER_LISTEN": self.runner_address,
            # For FunctionConfigs, where their namespace is set.
            "PORCHFLOW_KUBECONFIG": str(self._folder.kubeconfig),
        }
        ready = _listening(self._ports["runner_port"])
        return self._python(
            "function-runner",
            *("porchflow.cli.main", "function-runner"),
            ready=ready,
            address=self.runner_address,
            environment=environment,
        )

    def _content_api(self) -> Process:
        address, health = f"{HOST}:{self._ports['content_port']}", f"{HOST}:{free_port()}"
        environment = {
            "PORCHFLOW_CONTENT_ADDRESS": address,
            "PORCHFLOW_CONTENT_TLS_CERT": str(self._certificates.certificate(_CONTENT_API)),
            "PORCHFLOW_CONTENT_TLS_KEY": str(self._certificates.key(_CONTENT_API)),
            "PORCHFLOW_KUBECONFIG": str(self._folder.kubeconfig),
            "PORCHFLOW_HEALTH_ADDRESS": health,
            "GIT_CACHE_DIR": str(self._folder.git_cache),
        }
        return self._python(
            _CONTENT_API,
            *("porchflow.cli.main", "content-api"),
            ready=_answering(health),
            address=f"https://{address}",
            environment=environment,
        )

    def _reconciler(self, name: str, command: str) -> Process:
        health = f"{HOST}:{free_port()}"
        environment = {
            "PORCHFLOW_TEMPORAL_ADDRESS": self.temporal_address,
            "PORCHFLOW_TEMPORAL_NAMESPACE": "default",
            "PORCHFLOW_TEMPORAL_TLS": "false",
            # The user's own profiles name other servers.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_PROFILE": "",
            "PORCHFLOW_KUBECONFIG": str(self._folder.kubeconfig),
            "PORCHFLOW_HEALTH_ADDRESS": health,
            "FUNCTION_RUNNER_ADDRESS": self.runner_address,
            "GIT_CACHE_DIR": str(self._folder.git_cache),
        }
        return self._python(
            name, "porchflow.cli.main", command, ready=_answering(health), address=health, environment=environment
        )

    def _python(
        self, name: str, *module: str, ready: Ready, address: str, environment: Mapping[str, str] | None = None
    ) -> Process:
        return Process(
            name,
            [sys.executable, "-m", *module],
            log=self._log(name),
            ready=ready,
            address=address,
            # Without compiled files, Temporal's sandbox compiles the workflow again for every run: 5 ms each.
            environment={**(environment or {}), "PYTHONDONTWRITEBYTECODE": ""},
            folder=SOURCES,
            stop_seconds=_WORKER_STOP_SECONDS,
        )

    def _log(self, name: str) -> Path:
        return self._folder.logs / f"{name}.log"


def _answering(health: str) -> Ready:
    async def ready() -> bool:
        return await answers(f"http://{health}/readyz")

    return ready


def _listening(port: int) -> Ready:
    async def ready() -> bool:
        return await listens(port)

    return ready
