"""Temporal's real server as a process: its four services in one, with PostgreSQL below them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from porchflow.devstack.dynamic_config import DYNAMIC_CONFIG
from porchflow.devstack.processes import HOST, Process, free_port
from porchflow.devstack.servers import GO_ENVIRONMENT, temporal_answers
from porchflow.devstack.temporal_server.postgresql import DATABASE_USER, PostgreSQL
from porchflow.devstack.temporal_server.schema import DEFAULT_DATABASE, PLUGIN, VISIBILITY_DATABASE

HISTORY_SHARDS = 4
"""Parts of the history that are written one change at a time each; cannot be changed once there is data."""

_SERVICES = ("history", "matching", "worker")
"""Those that only the server itself calls."""
_CONFIGURATION = "server.yaml"
_CLUSTER = "active"
# Each of the four services has pools of its own: together at most 4 * (20 + 10).
_POOLS = {DEFAULT_DATABASE: 20, VISIBILITY_DATABASE: 10}
"""Most connections of one service, by database."""


def server_process(binary: Path, folder: Path, *, log: Path, port: int) -> Process:
    """Describe the process of a server.

    Args:
        binary: The executable.
        folder: Folder of its configuration, which `write_configuration` must have written before it starts.
        log: Its log file.
        port: Port of the frontend, on the loopback interface.
    """
    address = f"{HOST}:{port}"

    async def ready() -> bool:
        return await temporal_answers(address, needs_namespace=False)

    return Process(
        "temporal",
        [binary, f"--config-file={folder / _CONFIGURATION}", "--allow-no-auth", "start"],
        log=log,
        ready=ready,
        address=address,
        environment=GO_ENVIRONMENT,
        ready_seconds=120,
        stop_seconds=30,
    )


def write_configuration(folder: Path, database: PostgreSQL, *, port: int) -> None:
    """Write the configuration of a server, readable for its user only: it has the password of the database.

    Args:
        folder: Where to; made if it is not there.
        database: Where the server keeps everything; its data must be there.
        port: Port of the frontend.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    dynamic = folder / "dynamic.yaml"
    _write(dynamic, {key: [{"value": value}] for key, value in DYNAMIC_CONFIG.items()})
    _write(folder / _CONFIGURATION, _configuration(database, port, dynamic))


def _configuration(database: PostgreSQL, port: int, dynamic: Path) -> Mapping[str, Any]:
    return {
        "log": {"stdout": True, "level": "warn"},
        "persistence": {
            "defaultStore": DEFAULT_DATABASE,
            "visibilityStore": VISIBILITY_DATABASE,
            "numHistoryShards": HISTORY_SHARDS,
            "datastores": {name: {"sql": _store(database, name)} for name in _POOLS},
        },
        "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": HOST}},
        "services": {
            "frontend": _service(port),
            **{name: _service(free_port()) for name in _SERVICES},
        },
        "clusterMetadata": {
            "enableGlobalNamespace": False,
            "failoverVersionIncrement": 10,
            "masterClusterName": _CLUSTER,
            "currentClusterName": _CLUSTER,
            "clusterInformation": {
                _CLUSTER: {
                    "enabled": True,
                    "initialFailoverVersion": 1,
                    "rpcName": "frontend",
                    "rpcAddress": f"{HOST}:{port}",
                }
            },
        },
        "dcRedirectionPolicy": {"policy": "noop"},
        "dynamicConfigClient": {"filepath": str(dynamic), "pollInterval": "60s"},
    }


def _store(database: PostgreSQL, name: str) -> Mapping[str, Any]:
    return {
        "pluginName": PLUGIN,
        "databaseName": name,
        "connectAddr": database.address,
        "connectProtocol": "tcp",
        "user": DATABASE_USER,
        "password": database.password,
        "maxConns": _POOLS[name],
        "maxIdleConns": _POOLS[name],
        "maxConnLifetime": "1h",
    }


def _service(port: int) -> Mapping[str, Any]:
    return {"rpc": {"grpcPort": port, "membershipPort": free_port(), "bindOnLocalHost": True}}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
