"""Facts about images from their registries: digest, command and tags."""

import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from porchflow.api.limits import IMAGE_CONFIG_BYTES, IMAGE_TAG_PAGES, IMAGE_TAGS, MANIFEST_BYTES
from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.registry.allowed import AllowedImages
from porchflow.functions.registry.credentials import OwnCredentials, configuration_for
from porchflow.functions.registry.memory import Memory
from porchflow.functions.registry.namespaces import NamespaceCredentials
from porchflow.functions.registry.references import DIGEST, TAG, Reference, parse_reference
from porchflow.functions.registry.session import Answer, RegistrySession
from porchflow.functions.slots import tenant
from porchflow.kpt.render.versions import Constraint

_INDEXES: Final = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_MANIFESTS: Final = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
_ACCEPT: Final = ", ".join(sorted(_INDEXES | _MANIFESTS))
_KEPT: Final = 1000
_TAG_SECONDS: Final = 300.0
_LIST_SECONDS: Final = 60.0
_KEPT_TAGS: Final = 100_000
_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}

_Image = tuple[Reference, OwnCredentials | None]
_Repository = tuple[str, str, OwnCredentials | None]
"""Keys of answers: what was asked for, and with which credentials."""


def own_platform() -> str:
    """Return the platform of this machine, as images name it."""
    machine = platform.machine().lower()
    return f"linux/{_MACHINES.get(machine, machine)}"


class RegistryLookup:
    """Reads images from registries; see `porchflow.functions.image_facts.ImageLookup`.

    The meaning of a digest is kept for good, that of a tag for five minutes, a list of tags for one. Answers that a
    namespace's own credentials opened are kept for that namespace and those credentials alone, digests for five
    minutes too: so the registry says again and again whether the namespace may have the image.
    """

    def __init__(
        self,
        session: RegistrySession,
        *,
        platform: str,
        allowed: AllowedImages | None = None,
        namespaces: NamespaceCredentials | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the look-up.

        Args:
            session: Connections to registries.
            platform: Operating system and architecture that images run on, such as `linux/amd64`.
            allowed: Images that may be looked up; other images cause no request. None for all.
            namespaces: Credentials that namespaces bring themselves; None if they bring none.
            clock: Seconds that pass.
        """
        self._allowed = allowed or AllowedImages()
        self._session = session
        self._platform = platform
        self._namespaces = namespaces
        self._images: Memory[_Image, ImageInfo] = Memory(limit=_KEPT, clock=clock)
        # A repository without tags is an answer too, so the weight of each list is one more than its length.
        self._lists: Memory[_Repository, tuple[str, ...]] = Memory(
            limit=_KEPT_TAGS, weigh=lambda tags: len(tags) + 1, clock=clock
        )

    async def owner(self, image: str) -> str:
        """Return the namespace of this context if its own credentials count for an image; else empty.

        Raises:
            ImageNotFound: The image may not be used, or its name is no name of an image.
            RegistryUnavailable: The namespace's Secret cannot be read or used.
        """
        self._allowed.check(image)
        own = await self._own(image, parse_reference(image), tenant()) if self._namespaces is not None else None
        return own.namespace if own is not None else ""

    async def pull_configuration(self, image: str, owner: str) -> str:
        """Return a Docker configuration with the namespace's own credentials for an image; empty if it has none.

        Raises:
            RegistryUnavailable: The namespace's Secret cannot be read or used.
        """
        reference = parse_reference(image)
        own = await self._own(image, reference, owner)
        return configuration_for(reference, own.credentials) if own is not None else ""

    async def describe(self, image: str, owner: str = "") -> ImageInfo:
        """Look an image up; concurrent requests for one image share one look-up.

        Args:
            image: Full name with a tag or digest.
            owner: The namespace whose own credentials count, where it has some; empty for those of the session.

        Raises:
            ImageNotFound: There is no such image, it may not be read or used, or it has no command.
            RegistryUnavailable: The registry does not answer now.
        """
        self._allowed.check(image)
        reference = parse_reference(image)
        own = await self._own(image, reference, owner)
        key = (reference, own)
        kept = self._images.kept(key, math.inf if reference.by_digest and own is None else _TAG_SECONDS)
        return kept or await self._images.look(key, lambda: self._look(image, reference, own))

    async def tags(self, image: str, wanted: Constraint | None = None, owner: str = "") -> Sequence[str]:
        """List the tags of an image's repository, in the registry's order.

        Args:
            image: Full name; its own tag or digest does not count.
            wanted: The constraint that the caller looks for. A kept list without any such tag is not used: the tag may
                just have been pushed.
            owner: As of `describe`.

        Raises:
            ImageNotFound: There is no such repository, or it may not be read or used.
            RegistryUnavailable: The registry does not answer now.
        """
        self._allowed.check(image)
        reference = parse_reference(image)
        own = await self._own(image, reference, owner)
        key = (reference.registry, reference.repository, own)
        kept = self._lists.kept(key, _LIST_SECONDS)
        if kept is not None and (wanted is None or wanted.highest(kept) is not None):
            return kept
        return await self._lists.look(key, lambda: self._list(image, reference, own))

    async def _own(self, image: str, reference: Reference, owner: str) -> OwnCredentials | None:
        if self._namespaces is None or not owner:
            return None
        return await self._namespaces.own(image, reference, owner)

    async def _list(self, image: str, reference: Reference, own: OwnCredentials | None) -> tuple[str, ...]:
        tags: list[str] = []
        url = self._session.url(reference, "tags/list")
        for _ in range(IMAGE_TAG_PAGES):
            answer = await self._session.get(image, reference, url, own=own, limit=MANIFEST_BYTES)
            listed = _parse(image, answer).get("tags")
            if isinstance(listed, list):
                tags += [tag for tag in listed if isinstance(tag, str) and TAG.fullmatch(tag)]
            if answer.next is None or len(tags) >= IMAGE_TAGS:
                break
            if answer.next.origin() != url.origin():
                raise ImageNotFound(image, f"the registry {reference.registry} lists its tags in another place")
            url = answer.next
        return tuple(tags[:IMAGE_TAGS])

    async def _look(self, image: str, reference: Reference, own: OwnCredentials | None) -> ImageInfo:
        answer = await self._manifest(image, reference, reference.version, own)
        manifest = _parse(image, answer)
        if _type(answer, manifest) in _INDEXES:
            answer = await self._manifest(image, reference, self._choose(image, manifest), own)
            manifest = _parse(image, answer)
        if (kind := _type(answer, manifest)) not in _MANIFESTS:
            raise ImageNotFound(image, f"its manifest has the type {kind!r}, which stands for no image to run")
        described = manifest.get("config")
        digest = str(described.get("digest")) if isinstance(described, dict) else ""
        if not DIGEST.fullmatch(digest):
            raise ImageNotFound(image, "its manifest names no configuration")
        blob = await self._session.get(
            image,
            reference,
            self._session.url(reference, f"blobs/{digest}"),
            own=own,
            limit=IMAGE_CONFIG_BYTES,
            digest=digest,
        )
        _check_digest(image, digest, blob)
        return ImageInfo(answer.digest, _command(image, _parse(image, blob)))

    async def _manifest(self, image: str, reference: Reference, version: str, own: OwnCredentials | None) -> Answer:
        url = self._session.url(reference, f"manifests/{version}")
        digest = version if DIGEST.fullmatch(version) else ""
        answer = await self._session.get(
            image, reference, url, own=own, accept=_ACCEPT, limit=MANIFEST_BYTES, digest=digest
        )
        if version.startswith("sha256:"):
            _check_digest(image, version, answer)
        return answer

    def _choose(self, image: str, index: dict[str, Any]) -> str:
        """Return the digest of the manifest for the platform."""
        there: dict[str, str] = {}
        for entry in index.get("manifests") or []:
            about = entry.get("platform") if isinstance(entry, dict) else None
            if isinstance(about, dict) and isinstance(entry.get("digest"), str):
                there.setdefault(f"{about.get('os')}/{about.get('architecture')}", entry["digest"])
        if self._platform not in there:
            # A manifest without a platform is a statement about the image, not the image.
            others = ", ".join(sorted(name for name in there if "unknown" not in name)) or "none"
            raise ImageNotFound(image, f"it is not made for {self._platform}; it is for: {others}")
        return there[self._platform]


def _type(answer: Answer, manifest: dict[str, Any]) -> str:
    """Return the type of a manifest, which some registries state in the manifest only."""
    stated = manifest.get("mediaType")
    return stated if isinstance(stated, str) else answer.content_type


def _parse(image: str, answer: Answer) -> dict[str, Any]:
    try:
        parsed = json.loads(answer.body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ImageNotFound(image, "the registry's description of it is no JSON object")
    return parsed


def _check_digest(image: str, wanted: str, answer: Answer) -> None:
    if wanted != answer.digest:
        raise ImageNotFound(image, f"the registry gives other content than {wanted}")


def _command(image: str, config: dict[str, Any]) -> tuple[str, ...]:
    container = config.get("config")
    parts = [(container or {}).get(key) or [] for key in ("Entrypoint", "Cmd")] if isinstance(container, dict) else []
    command = tuple(str(word) for part in parts if isinstance(part, list) for word in part)
    if not command:
        raise ImageNotFound(image, "it has neither an entrypoint nor a command; a function's image needs one")
    return command
