"""Credentials, TLS and connections to the API server, as the Kubernetes client library loads them."""

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import (
    ConfigException,
    list_kube_config_contexts,
    load_incluster_config,
    load_kube_config,
)

from porchflow.kube.errors import KubeConfigError

logger = logging.getLogger(__name__)

_RELOAD_INTERVAL = 10.0
"""Seconds between reloads at most: credentials that stay refused must not run an exec plugin for every request."""

_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

Loader = Callable[[], Awaitable[Configuration]]


def credentials_loader(kubeconfig: Path | None, max_connections: int, context: str = "") -> Loader:
    """Return a function that loads the credentials: a kubeconfig, or the service account when running in a pod.

    Args:
        kubeconfig: The file; None means the pod's service account, else `KUBECONFIG`, else `~/.kube/config`.
        max_connections: Open connections at most.
        context: Of the kubeconfig; empty means its current one. A pod's service account has none.
    """

    async def load() -> Configuration:
        configuration = Configuration(connection_pool_maxsize=max_connections)
        if kubeconfig is None and not context and "KUBERNETES_SERVICE_HOST" in os.environ:
            return _with_proxy(_load_service_account(configuration))
        paths = _kubeconfig_paths(kubeconfig)
        try:
            await load_kube_config(  # type: ignore[no-untyped-call] # the library has no types there
                config_file=paths,
                context=context or None,
                client_configuration=configuration,
                persist_config=False,
            )
        except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise KubeConfigError(f"cannot use the kubeconfig {paths}: {error}") from error
        return _with_proxy(configuration)

    return load


def default_namespace(kubeconfig: Path | None) -> str:
    """Return the namespace that kubectl would use: the current context's, or the pod's own; else `default`.

    Args:
        kubeconfig: The file; None means the pod's service account, else `KUBECONFIG`, else `~/.kube/config`.
    """
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
        with contextlib.suppress(OSError):
            return _POD_NAMESPACE.read_text().strip()
        return "default"
    try:
        _, context = list_kube_config_contexts(_kubeconfig_paths(kubeconfig))  # type: ignore[no-untyped-call] # as above
    except (ConfigException, OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise KubeConfigError(f"cannot use the kubeconfig: {error}") from error
    return str(context["context"].get("namespace") or "default")


def _with_proxy(configuration: Configuration) -> Configuration:
    """Take the proxy that the environment names, unless the kubeconfig names one."""
    # Otherwise aiohttp consults the environment and ~/.netrc for each request, on two threads: a fifth of a worker's
    # CPU time.
    configuration.client_session_kwargs = {"trust_env": False}
    server = urlsplit(str(configuration.host))
    if not configuration.proxy and server.hostname and not proxy_bypass(server.hostname):
        configuration.proxy = getproxies().get(server.scheme)
    return configuration


def _load_service_account(configuration: Configuration) -> Configuration:
    try:
        load_incluster_config(configuration)  # type: ignore[no-untyped-call] # the library has no types there
    except (ConfigException, OSError) as error:
        raise KubeConfigError(f"cannot use the pod's service account: {error}") from error
    return configuration


def _kubeconfig_paths(kubeconfig: Path | None) -> str:
    text = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(part).expanduser() for part in text.split(os.pathsep) if part]
    if not any(path.exists() for path in paths):
        raise KubeConfigError(f"there is no kubeconfig at {text}: name one with --kubeconfig or KUBECONFIG")
    return os.pathsep.join(str(path) for path in paths)


class Connection:
    """A pool of connections with credentials, which are loaded again when the API server refuses them."""

    def __init__(self, load: Loader, configuration: Configuration) -> None:
        """Create the pool from a loader and the configuration that it loaded; `open` is the usual way."""
        self._load = load
        self._configuration = configuration
        self._rest = RESTClientObject(configuration)
        self._tls = _tls_fingerprint(configuration)
        self._reloaded = time.monotonic()
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, load: Loader) -> "Connection":
        """Load the credentials.

        Raises:
            KubeConfigError: They cannot be loaded.
        """
        configuration = await load()
        with _usable(configuration):
            return cls(load, configuration)

    @property
    def host(self) -> str:
        """The API server's address, such as `https://127.0.0.1:6443`."""
        return str(self._configuration.host)

    @property
    def rest(self) -> RESTClientObject:
        """The pool to send requests with."""
        return self._rest

    async def authorization(self) -> str | None:
        """Return the `Authorization` header; a service account's token is read anew every minute."""
        try:
            value = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except (ConfigException, OSError) as error:
            raise KubeConfigError(f"cannot read the service account's token: {error}") from error
        return str(value) if value else None

    async def reload(self) -> bool:
        """Load the credentials again after they were refused.

        Returns:
            Whether another attempt makes sense: False when the credentials were loaded a moment ago.
        """
        asked = time.monotonic()
        async with self._lock:
            if self._reloaded > asked:
                return True
            if asked - self._reloaded < _RELOAD_INTERVAL:
                return False
            configuration = await self._load()
            with _usable(configuration):
                await self._use(configuration)
            self._reloaded = time.monotonic()
            logger.info("loaded the credentials for %s again", self.host)
            return True

    async def _use(self, configuration: Configuration) -> None:
        # Requests in flight keep their connections where only a token changed.
        tls = _tls_fingerprint(configuration)
        if tls == self._tls:
            self._configuration = configuration
            return
        before, self._rest = self._rest, RESTClientObject(configuration)
        self._configuration, self._tls = configuration, tls
        await before.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._rest.close()


@contextlib.contextmanager
def _usable(configuration: Configuration) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise KubeConfigError(f"cannot use the TLS certificates for {configuration.host}: {error}") from error


def _tls_fingerprint(configuration: Configuration) -> str:
    digest = hashlib.sha256(str(configuration.host).encode())
    files: list[Any] = [configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file]
    for file in files:
        if file:
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()
