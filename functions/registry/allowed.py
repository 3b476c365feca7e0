"""The allow-list of images, for look-ups and for pods."""

from collections.abc import Sequence

from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.references import hub_or, parse_reference


class AllowedImages:
    """Images below given registries and folders; all images if none is given."""

    def __init__(self, places: Sequence[str] = ()) -> None:
        """Create the allow-list.

        Args:
            places: Registries and folders, such as `ghcr.io/kptdev/krm-functions-catalog` or `registry.example.com`;
                matched by whole path segments. `docker.io` is Docker Hub.
        """
        self._places = tuple(places)
        self._prefixes = tuple(prefix_of(place) for place in places)

    def check(self, image: str) -> None:
        """Refuse an image that is below none of the places.

        Raises:
            ImageNotFound: The image may not be used; the message names the places.
        """
        if not self._prefixes:
            return
        reference = parse_reference(image)
        if not f"{reference.registry.lower()}/{reference.repository}/".startswith(self._prefixes):
            allowed = " or ".join(self._places)
            why = f"only images below {allowed} may be used here: take one from there, or have its registry added to"
            raise ImageNotFound(image, f"{why} PORCHFLOW_ALLOWED_IMAGES (--allowed-images)")


def prefix_of(place: str) -> str:
    """Return a registry or folder as the beginning of the full names of its images, in one spelling."""
    registry, _, folders = place.strip("/").partition("/")
    return f"{hub_or(registry.lower())}/{folders}/" if folders else f"{hub_or(registry.lower())}/"
