"""Assembles the content API's process."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from porchflow.api.names import CONTENT_VERSION, PORCH_GROUP
from porchflow.cli.processes.connect import connect_kubernetes
from porchflow.cli.processes.health import ProcessHealth, serve_health
from porchflow.cli.processes.metrics import GitCollector, KubernetesCollector
from porchflow.cli.processes.peers import Peers, kubernetes_probe
from porchflow.cli.processes.process_metrics import new_registry
from porchflow.cli.processes.tracing import exporting_spans
from porchflow.cli.settings import Settings, SettingsError
from porchflow.content.content_settings import ContentSettings
from porchflow.content.serving.app import Clients, serve
from porchflow.content.serving.certificate_keeper import CertificateKeeper
from porchflow.content.serving.request_metrics import ContentMetrics
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.background import in_background
from porchflow.kube.backoff import persist
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError


async def run(settings: Settings) -> None:
    """Serve until cancelled; wait for Kubernetes while it is unavailable.

    Raises:
        SettingsError: There is no certificate to serve with.
    """
    check_certificate(settings.content)
    health, peers, registry = ProcessHealth(), Peers(), new_registry("content-api")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            serve_health(settings.health_address, peers.readiness(health.readiness), registry)
        )
        await stack.enter_async_context(exporting_spans("content-api"))
        kube = await connect_kubernetes(settings, health.waits_for)
        await stack.enter_async_context(kube)
        registry.register(KubernetesCollector(lambda: kube.requests))
        serving = await stack.enter_async_context(_serving(settings.content, kube, health))
        git = await stack.enter_async_context(GitStore.of(settings.git, serves_authors=True))
        registry.register(GitCollector(lambda: git.stats))
        # One connection more, for the watch of the front proxy's configuration.
        watching = await KubeClient.connect(settings.kubeconfig, max_connections=settings.content.watches + 1)
        await stack.enter_async_context(watching)
        await stack.enter_async_context(peers.probing(Kubernetes=kubernetes_probe(kube)))
        health.waits_for("the cluster to say who its front proxy is")
        await serve(serving, Clients(kube, watching, git), health.serves, ContentMetrics(registry))


@contextlib.asynccontextmanager
async def _serving(
    settings: ContentSettings, kube: KubeClient, health: ProcessHealth
) -> AsyncIterator[ContentSettings]:
    """Yield the settings to serve with. With `service`, keep a certificate up to date while the context is open."""
    if not settings.service:
        yield settings
        return
    namespace, _, service = settings.service.partition("/")
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
            yield settings.model_copy(update={"tls_cert": keeper.certificate, "tls_key": keeper.key})


def check_certificate(settings: ContentSettings) -> None:
    """Check that the settings give one source of the certificate: files, or the Service.

    Raises:
        SettingsError: They give none, or both.
    """
    files = {"CERT": settings.tls_cert, "KEY": settings.tls_key}
    if settings.service:
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
