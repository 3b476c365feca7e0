"""Assembles the function runner's process: server, FunctionConfigs, pods and metrics."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from porchflow.cli.processes.functions.function_configs import ConfigFollower
from porchflow.cli.processes.functions.function_pods import KubeCluster, PodFollower
from porchflow.cli.processes.functions.registries import new_lookup, new_session
from porchflow.cli.processes.health import serve_metrics
from porchflow.cli.processes.process_metrics import new_registry
from porchflow.cli.settings import Settings, SettingsError, told_name
from porchflow.functions.calls.tls import CertificateError
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.executable import ExecutableRuntime
from porchflow.functions.pods.pod_metrics import PodMetrics
from porchflow.functions.pods.pool import PodPool
from porchflow.functions.pods.runtime import PodRuntime
from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.private import PrivateImages
from porchflow.functions.runner.call_metrics import RunnerMetrics
from porchflow.functions.runner.evaluators import FunctionRuntime
from porchflow.functions.runner.server import serve
from porchflow.kube.background import end
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeConfigError
from porchflow.kube.watching import WatchState

logger = logging.getLogger(__name__)

_COLLECT_SECONDS = 15.0
"""Between two checks for unused pods."""


async def run_function_runner(settings: Settings) -> None:
    """Run the function runner until it is cancelled or one of its watches fails.

    Raises:
        SettingsError: A certificate, the folder of executables or the kubeconfig cannot be used.
    """
    configs, stop = FunctionConfigs(settings.calls.default_image_prefix), asyncio.Event()
    metrics = RunnerMetrics(new_registry("function-runner"))
    executables = _executables(settings, configs)
    runtimes: list[FunctionRuntime] = [executables] if executables else []
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serve_metrics(settings.metrics_address, metrics.registry))
        if settings.runner.function_config_namespace or settings.pods.wrapper_server_image:
            registries = new_session(settings.registries, settings.calls.default_image_prefix)
            await stack.enter_async_context(registries)
            client = await stack.enter_async_context(await _connect(settings))
            images = new_lookup(registries, settings.registries, settings.pods.image_platform, client)
            pool = _pool(settings, client, images, configs, metrics) if settings.pods.wrapper_server_image else None
            if settings.runner.function_config_namespace:
                follower = _config_follower(settings, client, configs, executables, pool)
                await stack.enter_async_context(_beside(stop, follower.run()))
            if pool is not None:
                runtimes.append(await stack.enter_async_context(_pods(settings, client, configs, pool, stop)))
        try:
            await serve(
                settings.runner_listen,
                settings.calls,
                processes=settings.runner.function_processes,
                configs=configs,
                runtimes=runtimes,
                runs_images=bool(settings.pods.wrapper_server_image),
                metrics=metrics,
                stop=stop,
            )
        except CertificateError as error:
            raise SettingsError(f"the function runner's TLS: {error}") from None


def _executables(settings: Settings, configs: FunctionConfigs) -> ExecutableRuntime | None:
    folder = settings.runner.functions_dir
    if folder is None:
        return None
    if not folder.is_dir():
        raise SettingsError(f"{told_name('functions_dir')}: {folder} is no folder")
    return ExecutableRuntime(
        folder, configs, slots=settings.runner.function_processes, max_output=settings.calls.max_grpc_message_size
    )


def _config_follower(
    settings: Settings,
    client: KubeClient,
    configs: FunctionConfigs,
    executables: ExecutableRuntime | None,
    pool: PodPool | None,
) -> ConfigFollower:
    namespace = settings.runner.function_config_namespace
    state = WatchState(f"FunctionConfigs in {namespace}")
    return ConfigFollower(client, namespace, configs, executables, state, pods=pool)


def _pool(
    settings: Settings, client: KubeClient, images: RegistryLookup, configs: FunctionConfigs, metrics: RunnerMetrics
) -> PodPool:
    return PodPool(
        KubeCluster(client, settings.pods.pod_namespace),
        images,
        configs,
        settings.pods,
        max_message_size=settings.calls.max_grpc_message_size,
        metrics=PodMetrics(metrics.registry, metrics.name),
    )


@contextlib.asynccontextmanager
async def _pods(
    settings: Settings, client: KubeClient, configs: FunctionConfigs, pool: PodPool, stop: asyncio.Event
) -> AsyncIterator[PodRuntime]:
    """Run functions in pods while the context is open."""
    follower = PodFollower(client, settings.pods.pod_namespace, pool)
    async with pool, _beside(stop, follower.run(), pool.run(_COLLECT_SECONDS)):
        allowed, private = settings.registries.allowed_images, settings.registries.private_images
        yield PodRuntime(pool, configs, AllowedImages(allowed), PrivateImages(private))


async def _connect(settings: Settings) -> KubeClient:
    try:
        return await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-function-runner")
    except KubeConfigError as error:
        raise SettingsError(f"{told_name('kubeconfig')}: {error}") from None


@contextlib.asynccontextmanager
async def _beside(stop: asyncio.Event, *work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless work while the context is open; if it ends, set `stop`, and raise its error at the context's end."""
    tasks = [asyncio.create_task(each) for each in work]
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        for ended in await end(tasks):
            if ended is not None and not isinstance(ended, asyncio.CancelledError):
                raise ended
