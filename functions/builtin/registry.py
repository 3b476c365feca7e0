import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

from functions.builtin.sdk import Function
from functions.configs import FunctionConfigs
from functions.images import parse_image

CATALOGS = ("ghcr.io/kptdev/krm-functions-catalog", "gcr.io/kpt-fn")
"""Where the catalog's images live today and where they lived before; a builtin stands for those of both."""


@dataclass(frozen=True)
class Builtin:
    """A function that runs without its image.

    Attributes:
        name: base name of the image.
        tags: matches the tags whose behaviour it has.
    """

    name: str
    tags: re.Pattern[str]

    @cached_property
    def run(self) -> Function:
        """The function. Its module is imported when first needed: some bring interpreters and schemas along."""
        function: Function = import_module(f"functions.builtin.{self.name.replace('-', '_')}").run
        return function


_VERSIONS = {
    "apply-replacements": r"0\.1",
    "apply-setters": r"0\.2",
    "create-setters": r"0\.1",
    "ensure-name-substring": r"0\.[12]",
    "kubeconform": r"0\.1",
    "list-setters": r"0\.1",
    "remove-local-config-resources": r"0\.1",
    "search-replace": r"0\.2",
    "set-annotations": r"0\.1",
    "set-image": r"0\.1",
    "set-labels": r"0\.2",
    "set-namespace": r"0\.4",
    "starlark": r"0\.5",
    "upsert-resource": r"0\.2",
}

BUILTINS: dict[str, Builtin] = {
    name: Builtin(name, re.compile(rf"v?{version}(?:\.\d+)?|latest")) for name, version in _VERSIONS.items()
}
"""The builtin functions by base name of their image."""


def find(image: str, prefixes: Iterable[str] = ()) -> Builtin | None:
    """The builtin that stands for an image.

    Args:
        image: full name with a tag; one with a digest is never a builtin, since it names exact content.
        prefixes: registries besides the catalog's own whose images of these names are the catalog's.
    """
    name = parse_image(image)
    builtin = BUILTINS.get(name.name)
    known = {*CATALOGS, *(prefix.rstrip("/") for prefix in prefixes)}
    if builtin is None or name.digest or name.repository not in known or not builtin.tags.fullmatch(name.tag):
        return None
    return builtin


def configured(image: str, configs: FunctionConfigs) -> Builtin | None:
    """The builtin that a FunctionConfig's `goExecutor` says an image is."""
    name = parse_image(image)
    for spec in configs.matching(name):
        executor = spec.go_executor
        if executor is not None and not name.digest and name.tag in executor.tags:
            return BUILTINS.get(executor.id or spec.image)
    return None
