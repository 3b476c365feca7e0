"""Commands of the servers of the embedded stack, and when each is ready."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import aiohttp
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from porchflow.devstack.certs import FRONT_PROXY_NAME, Certificates
from porchflow.devstack.dynamic_config import DYNAMIC_CONFIG
from porchflow.devstack.processes import HOST, Process, Ready
from porchflow.workflows.ids import Attributes

_ANSWER = aiohttp.ClientTimeout(total=5)

# Go's default of 100 collects garbage twice as often, which is a sixth of the API server's CPU time in a burst. The
# stacks of new goroutines start at the average size of earlier ones: growing them took a twelfth of it.
GO_ENVIRONMENT = {
    "GOGC": os.environ.get("GOGC", "200"),
    "GODEBUG": ",".join(filter(None, ("adaptivestackstart=1", os.environ.get("GODEBUG")))),
}


def etcd(binary: Path, data: Path, *, log: Path, port: int, durable: bool = True) -> Process:
    """Describe an etcd of one member.

    Args:
        binary: The executable.
        data: Folder of its data.
        log: Its log file.
        port: Port for clients, on the loopback interface.
        durable: Whether writes are forced to the disk. Without it a power cut, not a crash, can lose the data.
    """
    url = f"http://{HOST}:{port}"
    command: list[str | Path] = [
        *(binary, "--name=default", f"--data-dir={data}", "--log-level=warn"),
        *(f"--listen-client-urls={url}", f"--advertise-client-urls={url}"),
        # A single member has no peers, but requires a port for them: any free one.
        f"--listen-peer-urls=http://{HOST}:0",
        *(() if durable else ("--unsafe-no-fsync",)),
    ]

    async def ready() -> bool:
        return '"true"' in await _get(f"{url}/health")

    return Process("etcd", command, log=log, ready=ready, address=url, environment=GO_ENVIRONMENT)


def kube_apiserver(binary: Path, certificates: Certificates, *, etcd_url: str, log: Path, port: int) -> Process:
    """Describe a kube-apiserver for a cluster without nodes and without controllers.

    Args:
        binary: The executable.
        certificates: Certificates of the server and of its clients.
        etcd_url: Address of its etcd.
        log: Its log file.
        port: Port for HTTPS, on the loopback interface.
    """
    url = f"https://{HOST}:{port}"
    command: list[str | Path] = [
        *(binary, f"--etcd-servers={etcd_url}", "--authorization-mode=RBAC"),
        *(f"--bind-address={HOST}", f"--advertise-address={HOST}", f"--secure-port={port}"),
        # No controller makes the service accounts that this plugin requires, and no client outside reads endpoints.
        *("--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"),
        *("--service-cluster-ip-range=10.0.0.0/24", "--profiling=false"),
        # Without it a stop waits a minute for open watches.
        "--shutdown-watch-termination-grace-period=2s",
        *certificate_flags(certificates),
    ]
    return Process(
        "kube-apiserver",
        command,
        log=log,
        ready=api_server_ready(url, certificates),
        address=url,
        environment=GO_ENVIRONMENT,
        ready_seconds=120,
        stop_seconds=30,
        # An API server whose etcd has ended too waits for it, and ends at no SIGTERM.
        death=signal.SIGKILL,
    )


def api_server_ready(url: str, certificates: Certificates) -> Ready:
    """Return whether an API server can be used, as a function to call again and again."""
    trust = certificates.admin_context()

    async def ready() -> bool:
        # A first start reports that it is ready before the background has made the namespace.
        if await _get(f"{url}/readyz", trust) != "ok":
            return False
        return await _get(f"{url}/api/v1/namespaces/default", trust) != ""

    return ready


def certificate_flags(certificates: Certificates, *, serving: str = "apiserver") -> Sequence[str]:
    """Return the flags with which an API server serves, identifies its clients and signs tokens.

    Args:
        certificates: The files.
        serving: Name of the certificate that it shows.
    """
    certificate, key = certificates.certificate, certificates.key
    return (
        f"--client-ca-file={certificate('ca')}",
        f"--token-auth-file={certificates.tokens}",
        f"--tls-cert-file={certificate(serving)}",
        f"--tls-private-key-file={key(serving)}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key('service-account')}",
        f"--service-account-signing-key-file={key('service-account')}",
        f"--requestheader-client-ca-file={certificate('front-proxy-ca')}",
        f"--requestheader-allowed-names={FRONT_PROXY_NAME}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={certificate('front-proxy-client')}",
        f"--proxy-client-key-file={key('front-proxy-client')}",
    )


def temporal(
    binary: Path,
    *,
    log: Path,
    port: int,
    ui_port: int | None,
    database: Path | None = None,
    durable: bool = True,
    searchable: bool = True,
    host: str = HOST,
) -> Process:
    """Describe a Temporal development server.

    Args:
        binary: The executable.
        log: Its log file.
        port: Port of the frontend, on the loopback interface.
        ui_port: Port of the Web UI; None means no Web UI.
        database: File of its state; None keeps it in memory.
        durable: Whether writes are forced to the disk. Without it a power cut, not a crash, can lose the last ones.
        searchable: Whether the search attributes of runs are registered from the start; otherwise the watcher does it.
        host: Address to listen on.
    """
    address = f"{host}:{port}"
    command: list[str | Path] = [
        *(binary, "server", "start-dev", "--log-level=warn", "--disable-config-file", "--disable-config-env"),
        *(f"--ip={host}", f"--port={port}"),
        *(("--headless",) if ui_port is None else (f"--ui-port={ui_port}",)),
        *(f"--search-attribute={key.name}=Keyword" for key in Attributes().all if searchable),
        *(f"--dynamic-config-value={key}={json.dumps(value)}" for key, value in DYNAMIC_CONFIG.items()),
    ]
    if database is not None:
        synchronous = "NORMAL" if durable else "OFF"
        command += [f"--db-filename={database}", "--sqlite-pragma=journal_mode=WAL"]
        command += [f"--sqlite-pragma=synchronous={synchronous}"]

    async def ready() -> bool:
        return await temporal_answers(address, searchable=searchable)

    return Process(
        "temporal",
        command,
        log=log,
        ready=ready,
        address=address,
        environment=GO_ENVIRONMENT,
        ready_seconds=120,
    )


async def temporal_answers(address: str, *, searchable: bool = False, needs_namespace: bool = True) -> bool:
    """Return whether Temporal can count runs of the default namespace.

    Args:
        address: Its frontend, as `host:port`.
        searchable: Whether it must know our search attributes.
        needs_namespace: Whether it must have the namespace.
    """
    query = f"{Attributes().repository.name} = 'none'" if searchable else ""
    second = timedelta(seconds=5)
    try:
        async with asyncio.timeout(10):
            client = await Client.connect(address)
            await client.count_workflows(query or None, rpc_timeout=second)
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND and not needs_namespace
    except (RuntimeError, OSError, TimeoutError):
        return False
    return True


async def answers(url: str) -> bool:
    """Return whether an HTTP address answers with status 200."""
    return await _get(url) != ""


async def _get(url: str, trust: ssl.SSLContext | None = None) -> str:
    """Return the body of an answer with status 200; empty for anything else."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=_ANSWER, trust_env=False) as session,
            session.get(url, ssl=trust if trust is not None else True) as answer,
        ):
            return await answer.text() if answer.status == 200 else ""  # noqa: PLR2004 - HTTP's OK
    return ""
