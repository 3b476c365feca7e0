"""Credentials for registries, from texts in the format of `docker login` and Kubernetes pull secrets."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from porchflow.functions.function_errors import RegistryUnavailable
from porchflow.functions.registry.references import DOCKER_HUB, Reference

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_KEYS = (_HUB_KEY, "index.docker.io", DOCKER_HUB, "registry-1.docker.io")
_FIELDS = ("username", "password", "auth", "identitytoken", "registrytoken")


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


class OwnCredentials(NamedTuple):
    """Credentials that a namespace brings itself, for one image.

    They are part of the keys of caches: an answer that they opened is for this namespace with these credentials.

    Attributes:
        namespace: The namespace.
        secret: Name of its Secret.
        credentials: The credentials.
    """

    namespace: str
    secret: str
    credentials: Credentials


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
            found = find_entry(entries_of(self._path.read_bytes()), reference)
            return credentials_of(found[1]) if found is not None else None
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is not a Docker configuration in JSON"
            raise RegistryUnavailable(image, f"the credentials in {self._path} cannot be read: {what}") from None


def entries_of(text: bytes) -> dict[str, Any]:
    """Return the entries of a Docker configuration, by registry or folder.

    Raises:
        ValueError: It is none. The message may hold parts of the text.
    """
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise ValueError("too many brackets") from None
    entries = parsed.get("auths") or {} if isinstance(parsed, dict) else None
    if not isinstance(entries, dict):
        raise ValueError("no object 'auths'")  # noqa: TRY004 - of the text, not of a caller
    return entries


def find_entry(entries: Mapping[str, Any], reference: Reference) -> tuple[str, dict[str, Any]] | None:
    """Return the entry of the longest path that leads to an image, after its key; None if none leads there."""
    for key in _keys(reference):
        if isinstance(entry := entries.get(key), dict):
            return key, entry
    return None


def credentials_of(entry: Mapping[str, Any]) -> Credentials:
    """Return the credentials of an entry.

    Raises:
        ValueError: A field has another form. The message may hold parts of it.
    """
    fields = {name: entry.get(name) or "" for name in _FIELDS}
    if not all(isinstance(value, str) for value in fields.values()):
        raise ValueError("a field is no text")
    # Fails for halves of characters, which JSON can hold.
    "".join(fields.values()).encode()
    user, password = fields["username"], fields["password"]
    if encoded := fields["auth"]:
        user, _, password = base64.b64decode(encoded, validate=True).decode().rstrip("\0").partition(":")
    return Credentials(user, password, fields["identitytoken"], fields["registrytoken"])


def configuration_for(reference: Reference, credentials: Credentials) -> str:
    """Return a Docker configuration with credentials for the repository of one image alone, as kubelets read it.

    Docker Hub has one entry only: kubelets know no other.
    """
    key = _HUB_KEY if reference.registry == DOCKER_HUB else f"{reference.registry}/{reference.repository}"
    auth = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode() if credentials.user else ""
    values = (credentials.user, credentials.password, auth, credentials.identity_token, credentials.access_token)
    given = {name: value for name, value in zip(_FIELDS, values, strict=True) if value}
    return json.dumps({"auths": {key: given}})


def lacking(own: OwnCredentials | None, secret: str) -> str:
    """Return why a registry may not show an image that it has, for the author of a package."""
    if own is not None:
        return f"the credentials in Secret {own.secret!r} of namespace {own.namespace!r} do not open it"
    if not secret:
        return "it takes credentials that the function runner does not have"
    # Callers of several namespaces share the answer, so it names none of them.
    return (
        "it takes credentials, which neither the function runner has nor, where the runner may read it, Secret"
        f" {secret!r} of the package's namespace"
    )


def _keys(reference: Reference) -> list[str]:
    if reference.registry == DOCKER_HUB:
        return list(_HUB_KEYS)
    folders = reference.repository.split("/")
    paths = ["/".join([reference.registry, *folders[:count]]) for count in range(len(folders), -1, -1)]
    return [*paths, *(f"https://{reference.registry}{end}" for end in ("", "/", "/v1/", "/v2/"))]
