"""Images that are for some namespaces only."""

from collections.abc import Iterable

from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.allowed import prefix_of
from porchflow.functions.registry.references import parse_reference
from porchflow.functions.slots import tenant


class BadPrivateImages(ValueError):  # noqa: N818 - named for what happened
    """A text does not say which images are for which namespace."""


class PrivateImages:
    """Images below registries and folders that run on behalf of some namespaces only; all others are for everybody.

    The function runner's credentials are one set. So without this an author of one namespace could run the private
    images of another.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Create the list.

        Args:
            entries: Each a registry or folder and one namespace, such as `registry.example.com/team-a=team-a`; several
                entries of one place give it several namespaces. Matched by whole path segments; the longest place that
                leads to an image counts.

        Raises:
            BadPrivateImages: An entry has another form.
        """
        self._namespaces: dict[str, set[str]] = {}
        for entry in entries:
            place, sign, namespace = (part.strip() for part in entry.partition("="))
            if not place or not sign or not namespace or "=" in namespace:
                raise BadPrivateImages(
                    f"{entry!r} gives no images to a namespace: write entries such as"
                    " registry.example.com/team-a=team-a, separated by commas"
                )
            self._namespaces.setdefault(prefix_of(place), set()).add(namespace)

    def check(self, image: str) -> None:
        """Refuse an image that is not for the namespace on whose behalf this context calls.

        Raises:
            ImageNotFound: It is for other namespaces, or its name is no name of an image.
        """
        if not self._namespaces:
            return
        reference = parse_reference(image)
        path = f"{reference.registry.lower()}/{reference.repository}/"
        place = max((each for each in self._namespaces if path.startswith(each)), key=len, default="")
        if place and tenant() not in self._namespaces[place]:
            caller = f"namespace {tenant()!r}" if tenant() else "a call that names no namespace"
            why = f"images below {place.rstrip('/')} are not for {caller}: take one from elsewhere, or have"
            raise ImageNotFound(image, f"{why} PORCHFLOW_PRIVATE_IMAGES (--private-images) give them to it")
