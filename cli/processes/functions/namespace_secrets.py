"""The Secrets with which namespaces bring credentials for registries, read from the Kubernetes API."""

import logging
from collections.abc import Mapping
from typing import Any

from porchflow.functions.registry.namespaces import NamespaceCredentials, SecretError
from porchflow.functions.runner_settings import RegistrySettings
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, KubeError, NotFound
from porchflow.kube.kinds import SECRETS

logger = logging.getLogger(__name__)


class KubeSecrets:
    """Reads the Secrets of one name; see `porchflow.functions.registry.namespaces.Secrets`."""

    def __init__(self, client: KubeClient, name: str) -> None:
        self._client = client
        self._name = name

    async def read(self, namespace: str) -> Mapping[str, Any] | None:
        """Read the Secret of a namespace; see `Secrets.read`."""
        try:
            return await self._client.get(SECRETS, namespace, self._name)
        except NotFound:
            return None
        except Forbidden:
            # The rights are given namespace by namespace, to those that bring credentials.
            logger.debug("Secret %s/%s may not be read: it counts as missing", namespace, self._name)
            return None
        except KubeError as error:
            raise SecretError(f"Secret {self._name!r} of namespace {namespace!r} cannot be read: {error}") from None


def namespace_credentials(settings: RegistrySettings, kube: KubeClient | None) -> NamespaceCredentials | None:
    """Return the credentials of namespaces; None where they bring none, or there is no API server to read them from."""
    name = settings.namespace_registry_secret
    return NamespaceCredentials(KubeSecrets(kube, name), name) if name and kube is not None else None
