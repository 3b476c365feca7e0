"""Connections to Temporal and Kubernetes at start: a process waits for its peers, and reports for which."""

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from datetime import timedelta

import grpc
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RetryConfig, RPCError

from porchflow.api.host_port import host_and_port
from porchflow.cli.processes.temporal.temporal_connection import read_connection
from porchflow.cli.settings import Settings, SettingsError, told_name
from porchflow.kube.backoff import WaitsFor, persist
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeConfigError, KubeError
from porchflow.kube.kinds import PACKAGEREVISIONS

_IDENTITY = f"{os.getpid()}@{socket.gethostname()}@{secrets.token_hex(4)}"
"""Of this process, for Temporal: a container that is started again has the same process id and the same name."""

_ANSWER = timedelta(seconds=10)
"""Time of one attempt. An address can accept connections and never answer."""


async def connect_temporal(settings: Settings, waits_for: WaitsFor, *, retries: int | None = None) -> Client:
    """Connect to Temporal; wait until it answers, accepts our credentials and has the namespace.

    Args:
        settings: Hold its address and credentials.
        waits_for: Receives the reason while the connection fails.
        retries: How often the client repeats a failed call, for callers that retry themselves; None is the library's
            default, which retries for ten seconds.

    Raises:
        SettingsError: A file of the settings cannot be used.
    """
    connection, runtime = read_connection(settings.temporal), _runtime(settings.temporal_metrics_address)

    async def attempt() -> Client:
        # Files may have been replaced since the last attempt.
        now = read_connection(settings.temporal)
        options = {"runtime": runtime, "identity": _IDENTITY}
        try:
            await answers_calls(now.address, _ANSWER.total_seconds())
            # With one retry, because the library's default attempts report nothing and cannot be interrupted.
            quick = await now.connect(retry_config=RetryConfig(max_retries=1), **options)
            await quick.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=now.namespace), timeout=_ANSWER
            )
            return await now.connect(
                retry_config=None if retries is None else RetryConfig(max_retries=retries), **options
            )
        except (RuntimeError, RPCError, OSError) as error:
            raise ConnectionError(await now.explain(error, _ANSWER.total_seconds())) from error

    what = f"Temporal at {connection.address} with namespace {connection.namespace!r}"
    return await persist(what, attempt, (ConnectionError, SettingsError), waits_for)


async def answers_calls(address: str, seconds: float) -> None:
    """Wait until a server at host:port speaks gRPC or refuses the connection; Temporal's client explains a refusal.

    That client would wait for ever where a server accepts connections and never answers, even after it is cancelled,
    and would keep its process from ending.

    Raises:
        TimeoutError: No answer came within `seconds`.
    """
    ends = (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE)
    try:
        async with (
            grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel,
            asyncio.timeout(seconds),
        ):
            while (state := channel.get_state(try_to_connect=True)) not in ends:
                await channel.wait_for_state_change(state)
    except TimeoutError:
        raise TimeoutError(f"{address} says nothing within {seconds:g} s") from None


def _runtime(address: str) -> Runtime | None:
    """Return a runtime that serves the metrics of Temporal's SDK at host:port; None without an address.

    Raises:
        SettingsError: It cannot listen there.
    """
    if not address:
        return None
    host, port = host_and_port(address)
    prometheus = PrometheusConfig(bind_address=f"{host or '0.0.0.0'}:{port}", durations_as_seconds=True)  # noqa: S104 - as was asked
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=prometheus))
    except (RuntimeError, ValueError) as error:
        raise SettingsError(f"{told_name('temporal_metrics_address')}: cannot listen on {address}: {error}") from None


async def connect_kubernetes(settings: Settings, waits_for: WaitsFor, *, namespaces: Sequence[str] = ()) -> KubeClient:
    """Connect to the Kubernetes API; wait until it serves PackageRevisions.

    Args:
        settings: Hold the kubeconfig.
        waits_for: Receives the reason while the connection fails.
        namespaces: Where PackageRevisions may be listed; none means in all of them.

    Raises:
        SettingsError: The credentials cannot be loaded, which waiting would not change.
    """
    try:
        client = await KubeClient.connect(settings.kubeconfig)
    except KubeConfigError as error:
        raise SettingsError(f"{told_name('kubeconfig')}: {error}") from None

    async def attempt() -> KubeClient:
        for namespace in namespaces or (None,):
            await client.list_page(PACKAGEREVISIONS, namespace, limit=1)
        return client

    try:
        return await persist("the Kubernetes API to serve PackageRevisions", attempt, (KubeError,), waits_for)
    except BaseException:
        await client.aclose()
        raise
