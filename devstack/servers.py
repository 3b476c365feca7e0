"""Commands of the servers of the embedded stack, and when each is ready."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import aiohttp
from temporalio.client import Client
from temporalio.service import RPCError

from porchflow.devstack.certs import FRONT_PROXY_NAME, Certificates
from porchflow.devstack.processes import HOST, Process
from porchflow.workflows.ids import Attributes

_ANSWER = aiohttp.ClientTimeout(total=5)

# Go's default of 100 collects garbage twice as often, which is a sixth of the API server's CPU time in a burst. The
# stacks of new goroutines start at the average size of earlier ones: growing them took a twelfth of it.
_GO_ENVIRONMENT = {
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

    return Process("etcd", command, log=log, ready=ready, address=url, environment=_GO_ENVIRONMENT)


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
        *_certificate_flags(certificates),
    ]
    trust = certificates.admin_context()

    async def ready() -> bool:
        # A first start reports that it is ready before the background has made the namespace.
        if await _get(f"{url}/readyz", trust) != "ok":
            return False
        return await _get(f"{url}/api/v1/namespaces/default", trust) != ""

    return Process(
        "kube-apiserver",
        command,
        log=log,
        ready=ready,
        address=url,
        environment=_GO_ENVIRONMENT,
        ready_seconds=120,
        stop_seconds=30,
    )


def _certificate_flags(certificates: Certificates) -> Sequence[str]:
    certificate, key = certificates.certificate, certificates.key
    return (
        f"--client-ca-file={certificate('ca')}",
        f"--token-auth-file={certificates.tokens}",
        f"--tls-cert-file={certificate('apiserver')}",
        f"--tls-private-key-file={key('apiserver')}",
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
    """
    address = f"{HOST}:{port}"
    command: list[str | Path] = [
        *(binary, "server", "start-dev", "--log-level=warn", "--disable-config-file", "--disable-config-env"),
        *(f"--ip={HOST}", f"--port={port}"),
        *(("--headless",) if ui_port is None else (f"--ui-port={ui_port}",)),
        *(f"--search-attribute={key.name}=Keyword" for key in Attributes().all if searchable),
        # A worker that schedules an activity of its own queue receives it with the answer, without another poll.
        "--dynamic-config-value=system.enableActivityEagerExecution=true",
        # Repositories take turns while a queue has a backlog (`porchflow.workflows.policies.fairness`).
        "--dynamic-config-value=matching.enableFairness=true",
        # Fairness holds within a partition of a queue; one server on one machine needs no more than one.
        "--dynamic-config-value=matching.numTaskqueueReadPartitions=1",
        "--dynamic-config-value=matching.numTaskqueueWritePartitions=1",
        # A development server reads its search attributes from the database for every run; ours do not change.
        "--dynamic-config-value=system.forceSearchAttributesCacheRefreshOnRead=false",
        # The list of runs is up to a second behind: a run that has ended by then is written once, not twice.
        "--dynamic-config-value=history.visibilityProcessorMaxPollRPS=1",
        "--dynamic-config-value=history.visibilityTaskBatchSize=1000",
    ]
    if database is not None:
        synchronous = "NORMAL" if durable else "OFF"
        command += [f"--db-filename={database}", "--sqlite-pragma=journal_mode=WAL"]
        command += [f"--sqlite-pragma=synchronous={synchronous}"]

    async def ready() -> bool:
        return await _temporal_answers(address, searchable=searchable)

    return Process(
        "temporal",
        command,
        log=log,
        ready=ready,
        address=address,
        environment=_GO_ENVIRONMENT,
        ready_seconds=120,
    )


async def _temporal_answers(address: str, *, searchable: bool) -> bool:
    """Return whether Temporal can count runs of the default namespace, by our search attributes if it has them."""
    query = f"{Attributes().repository.name} = 'none'" if searchable else ""
    second = timedelta(seconds=5)
    try:
        async with asyncio.timeout(10):
            client = await Client.connect(address)
            await client.count_workflows(query or None, rpc_timeout=second)
    except (RPCError, RuntimeError, OSError, TimeoutError):
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
