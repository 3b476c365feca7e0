import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

from porchflow.functions.builtin.toolkit.sdk import Function
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.images import ImageName, parse_image

CATALOGS = ("ghcr.io/kptdev/krm-functions-catalog", "gcr.io/kpt-fn")
"""The present and the former address of the catalog's images; a built-in function stands for images of both."""


@dataclass(frozen=True)
class Builtin:
    """A function that runs without its image.

    Attributes:
        name: Base name of the image.
        tags: Matches the tags whose behaviour it has.
        versions: Those tags, without their patch versions.
    """

    name: str
    tags: re.Pattern[str]
    versions: tuple[str, ...]

    @cached_property
    def run(self) -> Function:
        """The function. Its module is imported at its first use: some load interpreters and schemas."""
        function: Function = import_module(f"porchflow.functions.builtin.{self.name.replace('-', '_')}").run
        return function


_VERSIONS = {
    "apply-replacements": ("0.1",),
    "apply-setters": ("0.2",),
    "create-setters": ("0.1",),
    "ensure-name-substring": ("0.1", "0.2"),
    "kubeconform": ("0.1",),
    "list-setters": ("0.1",),
    "remove-local-config-resources": ("0.1",),
    "search-replace": ("0.2",),
    "set-annotations": ("0.1",),
    "set-image": ("0.1",),
    "set-labels": ("0.2",),
    "set-namespace": ("0.4",),
    "starlark": ("0.5",),
    "upsert-resource": ("0.2",),
}

BUILTINS: dict[str, Builtin] = {
    name: Builtin(
        name,
        re.compile(rf"v?(?:{'|'.join(map(re.escape, versions))})(?:\.\d+)?|latest"),
        tuple(f"v{version}" for version in versions),
    )
    for name, versions in _VERSIONS.items()
}
"""The built-in functions by base name of their image."""


def find(image: str, prefixes: Iterable[str] = ()) -> Builtin | None:
    """Return the built-in function that stands for an image.

    Args:
        image: Full name with a tag; none stands for a name with a digest, which names exact content.
        prefixes: Registries besides the catalog's own whose images of these names are the catalog's.
    """
    name = parse_image(image)
    builtin = of_catalog(name, prefixes)
    return builtin if builtin and not name.digest and builtin.tags.fullmatch(name.tag) else None


def of_catalog(name: ImageName, prefixes: Iterable[str] = ()) -> Builtin | None:
    """Return the built-in function that stands for some tags of a catalog's image; see `find`."""
    known = {*CATALOGS, *(prefix.rstrip("/") for prefix in prefixes)}
    return BUILTINS.get(name.name) if name.repository in known else None


def configured(image: str, configs: FunctionConfigs) -> Builtin | None:
    """Return the built-in function that the `goExecutor` of an image's FunctionConfig names."""
    name = parse_image(image)
    for spec in configs.matching(name):
        executor = spec.go_executor
        if executor is not None and not name.digest and name.tag in executor.tags:
            return BUILTINS.get(executor.id or spec.image)
    return None
