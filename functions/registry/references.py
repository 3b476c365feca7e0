"""Image names, parsed as Docker and the OCI do: registry, repository, and tag or digest."""

import re
from typing import Final, NamedTuple

from porchflow.functions.function_errors import ImageNotFound
from porchflow.kpt.format.images import parse_image

DOCKER_HUB: Final = "docker.io"

_HUB_HOST: Final = "registry-1.docker.io"
_HUB_NAMES: Final = frozenset({DOCKER_HUB, "index.docker.io", _HUB_HOST})
_HOST: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_VERSION: Final = re.compile(rf"(?::{TAG.pattern})?(?:@{DIGEST.pattern})?", re.ASCII)
_LONGEST: Final = 255


class Reference(NamedTuple):
    """An image in a registry.

    Attributes:
        registry: Host and port as people name it, `docker.io` for Docker Hub.
        repository: Path of the image there.
        version: The digest if the name has one, else the tag, `latest` if it has neither.
    """

    registry: str
    repository: str
    version: str

    @property
    def host(self) -> str:
        """Host and port to connect to."""
        return _HUB_HOST if self.registry == DOCKER_HUB else self.registry

    @property
    def by_digest(self) -> bool:
        """Whether it names exact content."""
        return self.version.startswith("sha256:")


def parse_reference(image: str) -> Reference:
    """Parse an image name.

    Args:
        image: Such as `ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2`. Without a registry it is Docker Hub's.

    Raises:
        ImageNotFound: No registry can have an image of that name.
    """
    name = parse_image(image)
    registry, repository = _split_registry(name.base)
    if not _HOST.fullmatch(registry) or not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST:
        raise ImageNotFound(image, "that is no name of an image; it has the form registry/folder/name:tag")
    if not _VERSION.fullmatch(name.version):
        raise ImageNotFound(image, "what follows the name is neither a tag nor a sha256 digest")
    return Reference(registry, repository, name.digest or name.tag or "latest")


def hub_or(registry: str) -> str:
    """Return a registry's host, or the one name of Docker Hub for all that it is called."""
    return DOCKER_HUB if registry in _HUB_NAMES else registry


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = DOCKER_HUB, name
    if hub_or(registry) != DOCKER_HUB:
        return registry, repository
    return DOCKER_HUB, repository if "/" in repository else f"library/{repository}"
