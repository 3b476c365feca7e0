"""Which images may be looked up and run, whoever names them."""

from collections.abc import Sequence

from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.references import hub_or, parse_reference


class AllowedImages:
    """Images below some registries and folders; all images where none is given."""

    def __init__(self, places: Sequence[str] = ()) -> None:
        """Create the list.

        Args:
            places: Registries and folders, such as `ghcr.io/kptdev/krm-functions-catalog` or `registry.example.com`;
                matched by whole path segments. `docker.io` is Docker Hub.
        """
        self._places = tuple(places)
        self._prefixes = tuple(_prefix(place) for place in places)

    def check(self, image: str) -> None:
        """Refuse an image that is nowhere below.

        Raises:
            ImageNotFound: it may not be used; says which may.
        """
        if not self._prefixes:
            return
        reference = parse_reference(image)
        if not f"{reference.registry.lower()}/{reference.repository}/".startswith(self._prefixes):
            allowed = " or ".join(self._places)
            why = f"only images below {allowed} may be used here: take one from there, or have its registry added to"
            raise ImageNotFound(image, f"{why} PORCHFLOW_ALLOWED_IMAGES (--allowed-images)")


def _prefix(place: str) -> str:
    registry, _, folders = place.strip("/").partition("/")
    return f"{hub_or(registry.lower())}/{folders}/" if folders else f"{hub_or(registry.lower())}/"
