"""Assembles the content API's process."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from porchflow.api.names import CONTENT_VERSION, PORCH_GROUP
from porchflow.cli.processes.connect import connect_kubernetes
from porchflow.cli.processes.health import ProcessHealth, serve_health
from porchflow.cli.processes.listening import host_and_port
from porchflow.cli.processes.metrics import GitCollector, KubernetesCollector, new_registry
from porchflow.cli.processes.tracing import exporting_spans
from porchflow.cli.settings import Settings, SettingsError
from porchflow.content.serving.app import Clients, ServerSettings, serve
from porchflow.content.serving.certificate_keeper import CertificateKeeper
from porchflow.content.serving.request_metrics import ContentMetrics
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.background import in_background
from porchflow.kube.backoff import persist
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError


async def run(settings: Settings) -> None:
    """Serve until cancelled; waits for Kubernetes when it is away.

    Raises:
        SettingsError: There is no certificate to serve with.
    """
    check_certificate(settings)
    health, registry = ProcessHealth(), new_registry()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(settings.health_address, health.readiness, registry))
        await stack.enter_async_context(exporting_spans("content-api"))
        kube = await connect_kubernetes(settings, health.waits_for)
        await stack.enter_async_context(kube)
        registry.register(KubernetesCollector(kube))
        serving = await stack.enter_async_context(_serving(settings, kube, health))
        git = GitStore(
            settings.git_cache_dir.expanduser(), threads=settings.git_threads, server_timeout=settings.git_timeout
        )
        await stack.enter_async_context(git)
        registry.register(GitCollector(git))
        # One more for what follows the front proxy's configuration.
        watching = await KubeClient.connect(settings.kubeconfig, max_connections=settings.content_watches + 1)
        await stack.enter_async_context(watching)
        health.waits_for("the cluster to say who its front proxy is")
        await serve(serving, Clients(kube, watching, git), health.serves, ContentMetrics(registry))


@contextlib.asynccontextmanager
async def _serving(settings: Settings, kube: KubeClient, health: ProcessHealth) -> AsyncIterator[ServerSettings]:
    """Give what to serve with; looks after the certificate while the context is open, unless somebody else does."""
    if settings.content_tls_cert and settings.content_tls_key:
        yield _server_settings(settings, settings.content_tls_cert, settings.content_tls_key)
        return
    namespace, _, service = settings.content_service.partition("/")
    with tempfile.TemporaryDirectory(prefix="porchflow-tls-") as folder:
        keeper = CertificateKeeper(
            kube,
            namespace=namespace,
            secret=f"{service}-tls",
            apiservice=f"{CONTENT_VERSION}.{PORCH_GROUP}",
            names=(f"{service}.{namespace}.svc",),
            folder=Path(folder),
        )
        await persist("the certificate in the cluster", keeper.check, (KubeError,), health.waits_for)
        async with in_background(keeper.run()):
            yield _server_settings(settings, keeper.certificate, keeper.key)


def _server_settings(settings: Settings, certificate: Path, key: Path) -> ServerSettings:
    host, port = host_and_port(settings.content_address)
    return ServerSettings(
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        max_body=settings.content_max_body,
        timeout=settings.content_timeout,
        rate=settings.content_rate,
        burst=settings.content_burst,
        cache=settings.content_cache,
        watches=settings.content_watches,
    )


def check_certificate(settings: Settings) -> None:
    """Check that there is one way to a certificate.

    Raises:
        SettingsError: There is none, or there are two.
    """
    files = {"CERT": settings.content_tls_cert, "KEY": settings.content_tls_key}
    if settings.content_service:
        if any(files.values()):
            raise SettingsError(
                "PORCHFLOW_CONTENT_SERVICE (--content-service) makes the content API keep its certificate itself: unset"
                " it, or PORCHFLOW_CONTENT_TLS_CERT and PORCHFLOW_CONTENT_TLS_KEY"
            )
        return
    for what, path in files.items():
        setting = f"PORCHFLOW_CONTENT_TLS_{what} (--content-tls-{what.lower()})"
        if path is None:
            raise SettingsError(
                f"{setting}: give a PEM file, because the API server speaks HTTPS only; or set"
                " PORCHFLOW_CONTENT_SERVICE, then the content API makes its certificate itself"
            )
        if not path.is_file():
            raise SettingsError(f"{setting}: there is no file {path}")
