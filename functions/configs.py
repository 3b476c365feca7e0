"""FunctionConfigs by image: which function an image stands for, and how it runs.

Source: docs/reference/porch-function-runner.md, "FunctionConfigs".
"""

from collections.abc import Callable, Iterator, Sequence

from porchflow.api.models.functionconfig import FunctionConfig, FunctionConfigSpec
from porchflow.functions.config_tags import admits
from porchflow.kpt.format.images import ImageName

ConfigKey = tuple[str, str]
"""Namespace and name of a FunctionConfig."""

TagsOf = Callable[[FunctionConfigSpec], Sequence[str] | None]
"""Reads the tags of one kind of executor; None for a FunctionConfig without it."""


class FunctionConfigs:
    """The FunctionConfigs of the cluster; a change takes effect at the next call of a function.

    Attributes:
        default_image_prefix: The registry that an empty prefix in a FunctionConfig means.
    """

    def __init__(self, default_image_prefix: str = "") -> None:
        self.default_image_prefix = default_image_prefix
        self._by_key: dict[ConfigKey, FunctionConfigSpec] = {}
        self._complete = True
        self._listeners: list[Callable[[], None]] = []

    @property
    def complete(self) -> bool:
        """Whether all FunctionConfigs were listed. Before that, one of them may know an image that is not found."""
        return self._complete

    @complete.setter
    def complete(self, complete: bool) -> None:
        self._complete = complete
        self._tell()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function after each change."""
        self._listeners.append(listener)

    def put(self, key: ConfigKey, config: FunctionConfig) -> None:
        """Add an object, or replace its spec."""
        if self._by_key.get(key) != config.spec:
            self._by_key[key] = config.spec
            self._tell()

    def remove(self, key: ConfigKey) -> None:
        """Forget an object that is gone or cannot be used."""
        if self._by_key.pop(key, None) is not None:
            self._tell()

    def keys(self) -> set[ConfigKey]:
        """Return the keys of all objects."""
        return set(self._by_key)

    def specs(self) -> list[FunctionConfigSpec]:
        """Return the specs of all objects, sorted by key."""
        return [spec for _, spec in sorted(self._by_key.items(), key=lambda item: item[0])]

    def matching(self, image: ImageName) -> Iterator[FunctionConfigSpec]:
        """Yield the specs that mean an image, sorted by key; specs without a prefix come last."""
        found = [spec for spec in self.specs() if self._means(spec, image)]
        yield from sorted(found, key=lambda spec: not spec.prefixes)

    def chosen(self, image: ImageName, tags_of: TagsOf) -> FunctionConfigSpec | None:
        """Return the spec whose executor of one kind stands for the tag of an image; None if there is none.

        A spec that lists the tag itself comes before those whose constraints admit it; else the order is that of
        `matching`.
        """
        specs = [(spec, tags) for spec in self.matching(image) if (tags := tags_of(spec)) is not None]
        exact = next((spec for spec, tags in specs if image.tag in tags), None)
        admitting = (spec for spec, tags in specs if any(admits(each, image.tag) for each in tags))
        return exact or next(admitting, None)

    def _means(self, spec: FunctionConfigSpec, image: ImageName) -> bool:
        if spec.image != image.name:
            return False
        prefixes = [prefix or self.default_image_prefix for prefix in spec.prefixes]
        return not prefixes or any(image.is_below(prefix) for prefix in prefixes)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
