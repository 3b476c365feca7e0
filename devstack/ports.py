"""The ports of the stack: fixed, or free ones that are kept from start to start."""

import contextlib
import json
from pathlib import Path

import psutil

from porchflow.cli.settings import StackSettings, settings_of
from porchflow.devstack.processes import free_port, reserve_port

_KNOWN = settings_of(StackSettings)
_USERS = {
    "api_port": "the Kubernetes API server",
    "etcd_port": "etcd",
    "temporal_port": "Temporal",
    "postgresql_port": "PostgreSQL",
    "ui_port": "the Temporal UI",
    "git_port": "the Git server",
    "runner_port": "the function runner",
    "content_port": "the content API",
}


class PortError(Exception):
    """A port is not usable; the message names its holder and how to choose another."""


def choose_ports(settings: StackSettings, remembered: Path) -> dict[str, int]:
    """Return the port of each part, by the name of its setting.

    Args:
        settings: The wanted ports; 0 means any.
        remembered: File that keeps the choices: objects such as a Repository contain these addresses.

    Raises:
        PortError: A wanted port is in use, or wanted twice.
    """
    before = _read(remembered)
    ports: dict[str, int] = {}
    for name in _wanted(settings):
        port = int(getattr(settings, name)) or _any_port(before.get(name, 0), taken=set(ports.values()))
        if twice := next((other for other, taken in ports.items() if taken == port), None):
            raise PortError(
                f"{_KNOWN[name].flag} and {_KNOWN[twice].flag} are both {port}; give each part a port of its own"
            )
        if not reserve_port(port):
            raise PortError(_in_use(name, port))
        ports[name] = port
    remembered.write_text(json.dumps(before | ports), encoding="utf-8")
    return ports


def _wanted(settings: StackSettings) -> list[str]:
    """Return the names of the ports that parts of the stack listen on."""
    return [name for name in _USERS if name != "postgresql_port" or settings.temporal_store == "postgresql"]


def _read(remembered: Path) -> dict[str, int]:
    with contextlib.suppress(OSError, ValueError):
        return {str(name): int(port) for name, port in json.loads(remembered.read_text(encoding="utf-8")).items()}
    return {}


def _any_port(before: int, *, taken: set[int]) -> int:
    if before and before not in taken and reserve_port(before):
        return before
    while (port := free_port()) in taken:
        continue
    return port


def _in_use(name: str, port: int) -> str:
    return (
        f"port {port}, wanted for {_USERS[name]}, is in use by {_holder(port)}; end that, or choose another port with"
        f" {_KNOWN[name].flag} or {_KNOWN[name].variable} (0 takes any free one)"
    )


def _holder(port: int) -> str:
    """Describe the process that listens on a port, as far as this user may see it."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return "another process"
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.laddr and connection.laddr.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another process"
