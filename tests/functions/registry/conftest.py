"""A real registry, and look-ups at it."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.credentials import DockerConfig
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.namespaces import SECRET_KEY, SECRET_TYPE, NamespaceCredentials, SecretError
from porchflow.functions.registry.session import RegistrySession
from tests.servers.registry import PASSWORD, USER, Registry, running_registry

SECRET = "function-images"


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
async def lookup(registry: Registry) -> AsyncIterator[RegistryLookup]:
    async with looking(registry) as lookup:
        yield lookup


class Secrets:
    """The Secrets of namespaces, as the API server has them.

    Attributes:
        reads: namespaces whose Secret was read, in order.
        away: whether the API server does not answer.
    """

    def __init__(self) -> None:
        self.raw: dict[str, dict[str, Any]] = {}
        self.reads: list[str] = []
        self.away = False

    async def read(self, namespace: str) -> dict[str, Any] | None:
        self.reads.append(namespace)
        if self.away:
            raise SecretError(f"Secret {SECRET!r} of namespace {namespace!r} cannot be read: no answer")
        return self.raw.get(namespace)

    def put(self, namespace: str, *places: str, password: str = PASSWORD) -> None:
        """Make a Secret as `kubectl create secret docker-registry` does."""
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.put_text(namespace, json.dumps({"auths": {place: {"auth": auth} for place in places}}).encode())

    def put_text(self, namespace: str, text: bytes) -> None:
        """Make a Secret of any content."""
        self.raw[namespace] = {"type": SECRET_TYPE, "data": {SECRET_KEY: base64.b64encode(text).decode()}}


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


class looking:  # noqa: N801 - a context manager that reads like a function
    """A look-up at a registry without encryption, unless told otherwise."""

    def __init__(
        self,
        *registries: Registry,
        config: Path | None = None,
        platform: str = "linux/amd64",
        allowed: Sequence[str] = (),
        secrets: "Secrets | None" = None,
        **options: Any,
    ) -> None:
        insecure = [registry.address for registry in registries]
        self.now = 0.0
        namespaces = None
        if secrets is not None:
            namespaces = NamespaceCredentials(secrets, SECRET, clock=lambda: self.now)
            options["namespace_secret"] = SECRET
        self._session = RegistrySession(DockerConfig(config), **{"trust_env": False, "insecure": insecure, **options})
        self._lookup = RegistryLookup(
            self._session,
            platform=platform,
            allowed=AllowedImages(allowed),
            namespaces=namespaces,
            clock=lambda: self.now,
        )

    async def __aenter__(self) -> RegistryLookup:
        return self._lookup

    async def __aexit__(self, *_: object) -> None:
        await self._session.__aexit__(None, None, None)
