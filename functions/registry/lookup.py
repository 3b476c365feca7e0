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
from porchflow.functions.registry.memory import Memory
from porchflow.functions.registry.references import DIGEST, TAG, Reference, parse_reference
from porchflow.functions.registry.session import Answer, RegistrySession
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


def own_platform() -> str:
    """Return the platform of this machine, as images name it."""
    machine = platform.machine().lower()
    return f"linux/{_MACHINES.get(machine, machine)}"


class RegistryLookup:
    """Reads images from registries; see `porchflow.functions.image_facts.ImageLookup`.

    The meaning of a digest is kept for good, that of a tag for five minutes, a list of tags for one.
    """

    def __init__(
        self,
        session: RegistrySession,
        *,
        platform: str,
        allowed: AllowedImages | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the look-up.

        Args:
            session: Connections to registries.
            platform: Operating system and architecture that images run on, such as `linux/amd64`.
            allowed: Images that may be looked up; other images cause no request. None for all.
            clock: Seconds that pass.
        """
        self._allowed = allowed or AllowedImages()
        self._session = session
        self._platform = platform
        self._images: Memory[Reference, ImageInfo] = Memory(limit=_KEPT, clock=clock)
        # A repository without tags is an answer too, so the weight of each list is one more than its length.
        self._lists: Memory[tuple[str, str], tuple[str, ...]] = Memory(
            limit=_KEPT_TAGS, weigh=lambda tags: len(tags) + 1, clock=clock
        )

    async def describe(self, image: str) -> ImageInfo:
        """Look an image up; concurrent requests for one image share one look-up.

        Raises:
            ImageNotFound: There is no such image, it may not be read or used, or it has no command.
            RegistryUnavailable: The registry does not answer now.
        """
        self._allowed.check(image)
        reference = parse_reference(image)
        kept = self._images.kept(reference, math.inf if reference.by_digest else _TAG_SECONDS)
        return kept or await self._images.look(reference, lambda: self._look(image, reference))

    async def tags(self, image: str, wanted: Constraint | None = None) -> Sequence[str]:
        """List the tags of an image's repository, in the registry's order.

        Args:
            image: Full name; its own tag or digest does not count.
            wanted: The constraint that the caller looks for. A kept list without any such tag is not used: the tag may
                just have been pushed.

        Raises:
            ImageNotFound: There is no such repository, or it may not be read or used.
            RegistryUnavailable: The registry does not answer now.
        """
        self._allowed.check(image)
        reference = parse_reference(image)
        key = (reference.registry, reference.repository)
        kept = self._lists.kept(key, _LIST_SECONDS)
        if kept is not None and (wanted is None or wanted.highest(kept) is not None):
            return kept
        return await self._lists.look(key, lambda: self._list(image, reference))

    async def _list(self, image: str, reference: Reference) -> tuple[str, ...]:
        tags: list[str] = []
        url = self._session.url(reference, "tags/list")
        for _ in range(IMAGE_TAG_PAGES):
            answer = await self._session.get(image, reference, url, limit=MANIFEST_BYTES)
            listed = _parse(image, answer).get("tags")
            if isinstance(listed, list):
                tags += [tag for tag in listed if isinstance(tag, str) and TAG.fullmatch(tag)]
            if answer.next is None or len(tags) >= IMAGE_TAGS:
                break
            if answer.next.origin() != url.origin():
                raise ImageNotFound(image, f"the registry {reference.registry} lists its tags in another place")
            url = answer.next
        return tuple(tags[:IMAGE_TAGS])

    async def _look(self, image: str, reference: Reference) -> ImageInfo:
        answer = await self._manifest(image, reference, reference.version)
        manifest = _parse(image, answer)
        if _type(answer, manifest) in _INDEXES:
            answer = await self._manifest(image, reference, self._choose(image, manifest))
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
            limit=IMAGE_CONFIG_BYTES,
            digest=digest,
        )
        _check_digest(image, digest, blob)
        return ImageInfo(answer.digest, _command(image, _parse(image, blob)))

    async def _manifest(self, image: str, reference: Reference, version: str) -> Answer:
        url = self._session.url(reference, f"manifests/{version}")
        digest = version if DIGEST.fullmatch(version) else ""
        answer = await self._session.get(image, reference, url, accept=_ACCEPT, limit=MANIFEST_BYTES, digest=digest)
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
