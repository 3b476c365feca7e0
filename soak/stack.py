"""The stack of a soak: the embedded one, with a relay in each connection that a fault may cut."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client

from porchflow.cli.processes.installation import read_installation
from porchflow.cli.settings import StackSettings
from porchflow.cli.stack_settings import load_stack_settings
from porchflow.cli.stack_state import StackRecord, StateFolder
from porchflow.devstack.certs import Certificates
from porchflow.devstack.logs import STACK
from porchflow.devstack.processes import HOST, free_port
from porchflow.devstack.run import running_stack
from porchflow.kube.client import KubeClient
from porchflow.workflows.ids import Installation
from porchflow.workflows.installation_settings import InstallationSettings
from soak.journal import Journal
from soak.places import WATCHED_SECONDS
from soak.trouble.fault_plan import PAIRS
from soak.trouble.relay import Relay
from soak.trouble.small_disk import can_mount, small_disk

_SMALL_CACHE = "small-cache"
_STACK_PORTS = ("api_port", "temporal_port", "runner_port", "git_port")
_SERVER_PORTS = {"kube": "api_port", "temporal": "temporal_port", "runner": "runner_port"}


@dataclass
class SoakStack:
    """A running stack.

    Attributes:
        folder: Its state.
        record: Its parts.
        relays: By pair of parts, such as `worker-1>temporal`; `git` leads to the Git server for everybody.
        certificates: Of its API server.
        admin: Client of an administrator, through no relay.
        temporal: Client of Temporal, through no relay.
        installation: Begins the ids in Temporal.
        small_cache: Folder of a worker's Git cache, on a file system of its own; None without the right to make one.
    """

    folder: StateFolder
    record: StackRecord
    relays: Mapping[str, Relay]
    certificates: Certificates
    admin: KubeClient
    temporal: Client
    installation: Installation
    small_cache: Path | None = None
    clients: dict[str, KubeClient] = field(default_factory=dict)

    @property
    def git_url(self) -> str:
        """Address of the Git server as everybody uses it."""
        return f"http://{self.relays['git'].address}"

    def bare(self, repository: str) -> Path:
        """Return the folder of a Git repository."""
        return self.folder.git / f"{repository}.git"


@contextlib.asynccontextmanager
async def running_soak_stack(state: Path, journal: Journal) -> AsyncIterator[SoakStack]:
    """Run a stack in a folder while the context is open; its events go to the journal."""
    settings = _settings(state)
    folder = StateFolder(settings.state_dir)
    folder.make()
    certificates = Certificates.ensure(folder.certificates)

    def say(about: str, line: str) -> None:
        if about == STACK:
            journal.say(STACK, line)

    async with contextlib.AsyncExitStack() as opened:
        small = _small_cache(folder, opened)
        relays = await _relays(settings, opened)
        environments = _environments(folder, certificates, relays, small)
        record = await opened.enter_async_context(running_stack(settings, say, environments=environments))
        admin = await opened.enter_async_context(await KubeClient.connect(folder.kubeconfig))
        installation = await read_installation(InstallationSettings(installation=record.installation), admin)
        temporal = await Client.connect(record.temporal)
        yield SoakStack(folder, record, relays, certificates, admin, temporal, installation, small)


def _settings(state: Path) -> StackSettings:
    """Return settings whose ports are known before the stack runs: relays lead to them."""
    ports = {name: 0 for name in StackSettings.model_fields if name.endswith("_port")}
    return load_stack_settings({"state_dir": state, **ports, **{name: free_port() for name in _STACK_PORTS}})


def _small_cache(folder: StateFolder, opened: contextlib.AsyncExitStack) -> Path | None:
    if not can_mount():
        return None
    small = folder.root / _SMALL_CACHE
    opened.enter_context(small_disk(small))
    return small


async def _relays(settings: StackSettings, opened: contextlib.AsyncExitStack) -> dict[str, Relay]:
    ports = {pair: getattr(settings, _SERVER_PORTS[pair.partition(">")[2]]) for pair in PAIRS}
    return {
        name: await opened.enter_async_context(Relay(port))
        for name, port in {**ports, "git": settings.git_port}.items()
    }


def _environments(
    folder: StateFolder, certificates: Certificates, relays: Mapping[str, Relay], small: Path | None
) -> dict[str, dict[str, str]]:
    environments: dict[str, dict[str, str]] = {"watcher": {"PORCHFLOW_SYNC_SECONDS": str(WATCHED_SECONDS)}}
    for pair in PAIRS:
        client, _, server = pair.partition(">")
        variable, value = _way(folder, certificates, pair, server, relays[pair])
        environments.setdefault(client, {})[variable] = value
    if small:
        environments["worker-1"]["GIT_CACHE_DIR"] = str(small)
    return environments


def _way(folder: StateFolder, certificates: Certificates, pair: str, server: str, relay: Relay) -> tuple[str, str]:
    """Return the variable that leads a part to a server, and its value for the way through a relay."""
    if server == "kube":
        path = folder.root / f"kubeconfig-{pair.partition('>')[0]}"
        return "PORCHFLOW_KUBECONFIG", str(certificates.write_kubeconfig(path, f"https://{HOST}:{relay.port}"))
    return ("PORCHFLOW_TEMPORAL_ADDRESS" if server == "temporal" else "FUNCTION_RUNNER_ADDRESS"), relay.address
