"""The parts of the stack, as processes that a supervisor starts."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from porchflow.api.host_port import host_and_port
from porchflow.cli.settings import Settings, load
from porchflow.cli.stack_state import StateFolder
from porchflow.devstack.certs import Certificates
from porchflow.devstack.git.gitserver import SECRET_VARIABLE
from porchflow.devstack.objects.api_service import SERVED_AS
from porchflow.devstack.processes import HOST, Process, Ready, free_port, listens
from porchflow.devstack.servers import answers, etcd, kube_apiserver, temporal
from porchflow.devstack.temporal_server.stack import TemporalOnPostgreSQL
from porchflow.watcher.watcher_settings import WEBHOOK_PATH

SOURCES = Path(__file__).parents[2]
_CONTENT_API = "content-api"
_INSTALLATION = "local"
"""Begins the ids in the stack's Temporal, which nobody shares: the uid of a Namespace would fill the UI's lists."""
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
        on_postgresql: bool = False,
        has_runner: bool = True,
        git_latency: float = 0,
        environments: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Describe the parts; nothing is started.

        Args:
            folder: The state.
            ports: By name of the setting.
            binaries: By name of the server.
            on_postgresql: Whether Temporal is its real server on PostgreSQL, not the development server.
            has_runner: Whether there is a function runner.
            git_latency: Milliseconds by which the Git server delays each request.
            environments: Variables of single processes of porchflow, by name of the part, in place of the stack's own.

        Raises:
            ToolchainError: PostgreSQL is needed and not there, or cannot be used.
        """
        self._has_runner = has_runner
        self._git_latency = git_latency
        self._environments = environments or {}
        self._folder = folder
        self._ports = ports
        self._binaries = binaries
        self._certificates = Certificates.ensure(folder.certificates)
        self._certificates.ensure_server(_CONTENT_API, SERVED_AS)

        # The stack's own, unless the environment has webhooks of another server come here, too.
        given = load(Settings, {})
        self._webhook_address = given.watcher.webhook_address or f"{HOST}:{free_port()}"
        self._webhook_secrets = given.watcher.webhook_secrets or (secrets.token_hex(32),)
        self.installation = given.installation.installation or _INSTALLATION
        self.temporal_on_postgresql = self._temporal_on_postgresql() if on_postgresql else None
        self.apiserver = self._kube_apiserver()
        self.content_api = self._content_api()

    def groups(self, workers: int) -> list[tuple[Process, ...]]:
        """Return all parts in the order of their start; those of one group do not need one another."""
        real = self.temporal_on_postgresql
        below, beside = ((real.database,), real.servers) if real else ((self._temporal(),), ())
        return [
            (self._etcd(), *below, self._git_server(), *self._runners()),
            (self.apiserver, *beside),
            (
                self.content_api,
                self._watcher(),
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
        """Address of the Temporal UI."""
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

    def _temporal_on_postgresql(self) -> TemporalOnPostgreSQL:
        return TemporalOnPostgreSQL(
            self._folder.postgresql,
            self._folder.temporal_server,
            self._binaries,
            logs=self._folder.logs,
            port=self._ports["temporal_port"],
            database_port=self._ports["postgresql_port"],
            ui_port=self._ports["ui_port"],
        )

    def _git_server(self) -> Process:
        port = self._ports["git_port"]
        arguments = ["--root", str(self._folder.git), "--host", HOST, "--port", str(port)]
        arguments += ["--latency", str(self._git_latency)] if self._git_latency else []
        host, webhook_port = host_and_port(self._webhook_address)
        arguments += ["--webhook", f"http://{host or HOST}:{webhook_port}{WEBHOOK_PATH}"]
        return self._python(
            "git-server",
            *("porchflow.devstack.git.gitserver", *arguments),
            ready=_listening(port),
            address=self.git_url,
            environment={SECRET_VARIABLE: self._webhook_secrets[0]},
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

    def _watcher(self) -> Process:
        webhooks = {
            "PORCHFLOW_WEBHOOK_ADDRESS": self._webhook_address,
            SECRET_VARIABLE: ",".join(self._webhook_secrets),
        }
        return self._reconciler("watcher", "watcher", webhooks)

    def _reconciler(self, name: str, command: str, more: Mapping[str, str] | None = None) -> Process:
        health = f"{HOST}:{free_port()}"
        environment = {
            "PORCHFLOW_TEMPORAL_ADDRESS": self.temporal_address,
            "PORCHFLOW_TEMPORAL_NAMESPACE": "default",
            "PORCHFLOW_TEMPORAL_TLS": "false",
            "PORCHFLOW_TEMPORAL_INSTALLATION": self.installation,
            "PORCHFLOW_TEMPORAL_UI_URL": self.ui_url,
            # The user's own profiles name other servers.
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_PROFILE": "",
            "PORCHFLOW_KUBECONFIG": str(self._folder.kubeconfig),
            "PORCHFLOW_HEALTH_ADDRESS": health,
            "FUNCTION_RUNNER_ADDRESS": self.runner_address,
            "GIT_CACHE_DIR": str(self._folder.git_cache),
            # All servers of the stack are at loopback addresses.
            "PORCHFLOW_GIT_DENIED_UPSTREAMS": "169.254.0.0/16,fe80::/10",
            **(more or {}),
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
            environment={
                **(environment or {}),
                "PYTHONDONTWRITEBYTECODE": "",
                **self._environments.get(name, {}),
            },
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
