"""Credentials for registries, from a file in the format of `docker login` and Kubernetes pull secrets."""

import base64
import json
from pathlib import Path
from typing import NamedTuple

from porchflow.functions.function_errors import RegistryUnavailable
from porchflow.functions.registry.references import DOCKER_HUB, Reference

_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB, "registry-1.docker.io")


class Credentials(NamedTuple):
    """Credentials for a registry or its token server.

    Attributes:
        user: Empty where there is only a token.
        password: Password of the user.
        identity_token: Token that is exchanged for an access token; empty for none.
        access_token: Token that is sent to the registry as it is; empty for none.
    """

    user: str = ""
    password: str = ""
    identity_token: str = ""
    access_token: str = ""


class DockerConfig:
    """A `config.json` or `.dockerconfigjson`; read for every look-up, so that it can be renewed at any time."""

    def __init__(self, path: Path | None) -> None:
        """Create the access to a file; None means that registries are used without credentials."""
        self._path = path

    def credentials(self, reference: Reference, image: str) -> Credentials | None:
        """Find the credentials for an image: those of the longest path that leads to it.

        Returns:
            None if the file names none.

        Raises:
            RegistryUnavailable: The file cannot be read. The error is transient: the file may be mended.
        """
        if self._path is None:
            return None
        try:
            entries = json.loads(self._path.read_bytes()).get("auths") or {}
            for key in _keys(reference):
                if isinstance(entry := entries.get(key), dict):
                    return _credentials(entry)
        except (OSError, ValueError, AttributeError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is not a Docker configuration in JSON"
            raise RegistryUnavailable(image, f"the credentials in {self._path} cannot be read: {what}") from None
        return None


def _keys(reference: Reference) -> list[str]:
    if reference.registry == DOCKER_HUB:
        return list(_HUB_KEYS)
    folders = reference.repository.split("/")
    paths = ["/".join([reference.registry, *folders[:count]]) for count in range(len(folders), -1, -1)]
    return [*paths, *(f"https://{reference.registry}{end}" for end in ("", "/", "/v1/", "/v2/"))]


def _credentials(entry: dict[str, str]) -> Credentials:
    user, password = entry.get("username", ""), entry.get("password", "")
    if encoded := entry.get("auth"):
        user, _, password = base64.b64decode(encoded, validate=True).decode().rstrip("\0").partition(":")
    return Credentials(user, password, entry.get("identitytoken", ""), entry.get("registrytoken", ""))
