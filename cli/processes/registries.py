"""Registries of function images, as the settings say."""

import contextlib
from collections.abc import AsyncIterator

from porchflow.cli.settings import Settings, SettingsError
from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.credentials import DockerConfig
from porchflow.functions.registry.lookup import RegistryLookup, own_platform
from porchflow.functions.registry.session import RegistrySession
from porchflow.functions.tags import FunctionTags


@contextlib.asynccontextmanager
async def open_registries(settings: Settings) -> AsyncIterator[RegistryLookup]:
    """Look images up while the context is open; connects when first needed.

    Raises:
        SettingsError: the CAs cannot be used.
    """
    try:
        session = RegistrySession(
            DockerConfig(settings.registry_credentials),
            ca_bundle=settings.registry_ca,
            insecure=settings.insecure_registries,
        )
    except OSError as error:
        # Errors of TLS are such too.
        why = error.strerror or str(error)
        raise SettingsError(
            f"PORCHFLOW_REGISTRY_CA (--registry-ca): cannot use {settings.registry_ca}: {why}"
        ) from None
    async with session:
        allowed = AllowedImages(settings.allowed_images)
        yield RegistryLookup(session, platform=settings.image_platform or own_platform(), allowed=allowed)


@contextlib.asynccontextmanager
async def open_tags(settings: Settings) -> AsyncIterator[FunctionTags]:
    """List tags of functions while the context is open.

    Registries are asked only where a function runner could run what they have.

    Raises:
        SettingsError: the CAs cannot be used.
    """
    if not settings.function_runner_address:
        yield FunctionTags(settings.default_image_prefix, None)
        return
    async with open_registries(settings) as registries:
        yield FunctionTags(settings.default_image_prefix, registries)
