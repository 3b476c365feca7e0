"""A real registry, and look-ups at it."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.credentials import DockerConfig
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.session import RegistrySession
from tests.servers.registry import Registry, running_registry


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
async def lookup(registry: Registry) -> AsyncIterator[RegistryLookup]:
    async with looking(registry) as lookup:
        yield lookup


class looking:  # noqa: N801 - a context manager that reads like a function
    """A look-up at a registry without encryption, unless told otherwise."""

    def __init__(
        self,
        *registries: Registry,
        config: Path | None = None,
        platform: str = "linux/amd64",
        allowed: Sequence[str] = (),
        **options: Any,
    ) -> None:
        insecure = [registry.address for registry in registries]
        self.now = 0.0
        self._session = RegistrySession(DockerConfig(config), **{"trust_env": False, "insecure": insecure, **options})
        self._lookup = RegistryLookup(
            self._session, platform=platform, allowed=AllowedImages(allowed), clock=lambda: self.now
        )

    async def __aenter__(self) -> RegistryLookup:
        return self._lookup

    async def __aexit__(self, *_: object) -> None:
        await self._session.__aexit__(None, None, None)
