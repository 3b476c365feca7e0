"""Image registries of functions, opened from the settings."""

import contextlib
from collections.abc import AsyncIterator

from porchflow.api.networks import DeniedNetworks
from porchflow.cli.processes.functions.namespace_secrets import namespace_credentials
from porchflow.cli.settings import Settings, SettingsError, told_name
from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.credentials import DockerConfig
from porchflow.functions.registry.guard import Guard
from porchflow.functions.registry.lookup import RegistryLookup, own_platform
from porchflow.functions.registry.private import PrivateImages
from porchflow.functions.registry.session import RegistrySession
from porchflow.functions.runner_settings import RegistrySettings, registry_of
from porchflow.functions.tags import FunctionTags
from porchflow.kube.client import KubeClient


def new_session(settings: RegistrySettings, prefix: str) -> RegistrySession:
    """Return a session with registries; it connects when first needed.

    Args:
        settings: Credentials, certificates and registries that may be anywhere.
        prefix: The default image prefix, whose registry the administrator named.

    Raises:
        SettingsError: The certificates of the authorities cannot be used.
    """
    try:
        return RegistrySession(
            DockerConfig(settings.registry_credentials),
            ca_bundle=settings.registry_ca,
            insecure=settings.insecure_registries,
            guard=Guard(DeniedNetworks(settings.denied_registries), (*settings.named_registries, registry_of(prefix))),
            namespace_secret=settings.namespace_registry_secret,
        )
    except OSError as error:
        # Errors of TLS are subclasses of OSError.
        why = error.strerror or str(error)
        raise SettingsError(f"{told_name('registry_ca')}: cannot use {settings.registry_ca}: {why}") from None


def new_lookup(
    session: RegistrySession, settings: RegistrySettings, platform: str = "", kube: KubeClient | None = None
) -> RegistryLookup:
    """Return the look-up of images through a session.

    Args:
        session: See `new_session`.
        settings: Allowed images, and the Secrets with credentials of namespaces.
        platform: Of the images, such as linux/amd64; empty for that of this process.
        kube: Reads these Secrets; None for a process that works for no namespace.
    """
    return RegistryLookup(
        session,
        platform=platform or own_platform(),
        allowed=AllowedImages(settings.allowed_images),
        namespaces=namespace_credentials(settings, kube),
    )


@contextlib.asynccontextmanager
async def open_registries(
    settings: RegistrySettings, *, prefix: str = "", kube: KubeClient | None = None
) -> AsyncIterator[RegistryLookup]:
    """Open a session and the look-up of images through it; see `new_session` and `new_lookup`.

    Raises:
        SettingsError: The certificates of the authorities cannot be used.
    """
    async with new_session(settings, prefix) as session:
        yield new_lookup(session, settings, kube=kube)


@contextlib.asynccontextmanager
async def open_tags(settings: Settings, kube: KubeClient | None = None) -> AsyncIterator[FunctionTags]:
    """Open the list of tags of functions.

    It uses registries only with a function runner: without one no image of a registry can run.

    Args:
        settings: Of the process.
        kube: As of `new_lookup`.

    Raises:
        SettingsError: The certificates of the authorities cannot be used.
    """
    prefix = settings.calls.default_image_prefix
    if not settings.runner_client.address:
        yield FunctionTags(prefix, None)
        return
    async with open_registries(settings.registries, prefix=prefix, kube=kube) as registries:
        yield FunctionTags(prefix, registries, PrivateImages(settings.registries.private_images))
