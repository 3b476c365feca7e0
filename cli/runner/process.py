"""The function runner as a process: its settings, the FunctionConfigs it follows, its metrics."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from cli.runner.configs import ConfigFollower
from cli.settings import Settings, SettingsError
from functions.configs import FunctionConfigs
from functions.executable import ExecutableRuntime
from functions.metrics import RunnerMetrics
from functions.server import serve
from functions.tls import CertificateError, Identity
from kube.client import KubeClient
from kube.watching import WatchState

logger = logging.getLogger(__name__)


async def run_function_runner(settings: Settings) -> None:
    """Run the function runner until it is told to stop.

    Raises:
        SettingsError: a certificate or the folder of executables cannot be used.
    """
    configs, metrics = FunctionConfigs(settings.default_image_prefix), RunnerMetrics()
    executables = _executables(settings, configs)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_serve_metrics(settings.metrics_address, metrics))
        if settings.function_config_namespace:
            await stack.enter_async_context(_following(settings, configs, executables))
        try:
            await serve(
                settings.function_runner_listen,
                max_message_size=settings.max_grpc_message_size,
                processes=settings.function_processes,
                time_limit=settings.function_timeout,
                default_image_prefix=settings.default_image_prefix,
                configs=configs,
                runtimes=[executables] if executables else [],
                identity=_identity(settings),
                metrics=metrics,
            )
        except CertificateError as error:
            raise SettingsError(str(error)) from None


def _executables(settings: Settings, configs: FunctionConfigs) -> ExecutableRuntime | None:
    folder = settings.functions_dir
    if folder is None:
        return None
    if not folder.is_dir():
        raise SettingsError(f"PORCHFLOW_FUNCTIONS_DIR (--functions-dir): {folder} is no folder")
    return ExecutableRuntime(
        folder, configs, slots=settings.function_processes, max_output=settings.max_grpc_message_size
    )


def _identity(settings: Settings) -> Identity:
    try:
        return Identity(
            settings.function_runner_tls_cert, settings.function_runner_tls_key, settings.function_runner_client_ca
        )
    except CertificateError as error:
        raise SettingsError(f"the function runner's TLS: {error}") from None


@contextlib.asynccontextmanager
async def _following(
    settings: Settings, configs: FunctionConfigs, executables: ExecutableRuntime | None
) -> AsyncIterator[None]:
    """Follow the FunctionConfigs while the context is open."""
    namespace = settings.function_config_namespace
    async with await KubeClient.connect(settings.kubeconfig, user_agent="porchflow-function-runner") as client:
        state = WatchState(f"FunctionConfigs in {namespace}")
        follower = asyncio.create_task(ConfigFollower(client, namespace, configs, executables, state).run())
        try:
            yield
        finally:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower


@contextlib.asynccontextmanager
async def _serve_metrics(address: str, metrics: RunnerMetrics) -> AsyncIterator[None]:
    """Answer /metrics while the context is open; on no port when the address is empty."""
    if not address:
        yield
        return

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    host, _, port = address.rpartition(":")
    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
        yield
    finally:
        await runner.cleanup()
