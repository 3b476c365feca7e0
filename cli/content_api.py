"""Assembles the content API's process."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.connect import connect_kubernetes
from cli.health import serve_health
from cli.settings import Settings, SettingsError
from content.app import ServerSettings, serve
from gitrepo.packages import GitStore


async def run(settings: Settings) -> None:
    """Serve until cancelled; waits for Kubernetes when it is away.

    Raises:
        SettingsError: There is no certificate to serve with.
    """
    serving = _server_settings(settings)
    health = _Health()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(settings.health_address, health.readiness))
        kube = await connect_kubernetes(settings, health.waits_for)
        await stack.enter_async_context(kube)
        git = GitStore(
            settings.git_cache_dir.expanduser(), threads=settings.git_threads, server_timeout=settings.git_timeout
        )
        await stack.enter_async_context(git)
        health.waits_for("the cluster to say who its front proxy is")
        await serve(serving, kube, git, health.serves)


class _Health:
    """Ready when requests are answered; until then, says what is waited for."""

    def __init__(self) -> None:
        self._serves = False
        self._waiting_for = "the start"

    def waits_for(self, what: str) -> None:
        self._waiting_for = what

    def serves(self) -> None:
        self._serves = True

    def readiness(self) -> tuple[bool, Mapping[str, Any]]:
        return (True, {}) if self._serves else (False, {"waitingFor": self._waiting_for})


def _server_settings(settings: Settings) -> ServerSettings:
    host, _, port = settings.content_address.rpartition(":")
    return ServerSettings(
        host=host.removeprefix("[").removesuffix("]"),
        port=int(port),
        certificate=_file(settings.content_tls_cert, "CERT", "--content-tls-cert"),
        key=_file(settings.content_tls_key, "KEY", "--content-tls-key"),
        max_body=settings.content_max_body,
        timeout=settings.content_timeout,
        rate=settings.content_rate,
        burst=settings.content_burst,
        cache=settings.content_cache,
    )


def _file(path: Path | None, what: str, flag: str) -> Path:
    if path is None:
        raise SettingsError(f"PORCHFLOW_CONTENT_TLS_{what} ({flag}): give a PEM file; the API server speaks HTTPS only")
    if not path.is_file():
        raise SettingsError(f"PORCHFLOW_CONTENT_TLS_{what} ({flag}): there is no file {path}")
    return path
