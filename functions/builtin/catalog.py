import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

from porchflow.api.models.functionconfig import FunctionConfigSpec
from porchflow.functions.builtin.toolkit.sdk import Function
from porchflow.functions.configs import FunctionConfigs
from porchflow.kpt.format.images import ImageName, parse_image

CATALOGS = ("ghcr.io/kptdev/krm-functions-catalog", "gcr.io/kpt-fn")
"""The present and the former address of the catalog's images; a built-in function stands for images of both."""

_LATEST = "latest"
_VERSION = re.compile(r"v\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Builtin:
    """The rules of some tags of a function, which run without its image.

    Attributes:
        name: Base name of the image.
        key: Names these rules among all: the base name for the newest, else with one of the tags.
        tags: The tags that have these rules, with their `v`.
        entry: The module and its function, such as `set_labels.run`.
    """

    name: str
    key: str
    tags: tuple[str, ...]
    entry: str

    @cached_property
    def run(self) -> Function:
        """The function. Its module is imported at its first use: some load interpreters and schemas."""
        module, _, function = self.entry.partition(".")
        found: Function = getattr(import_module(f"porchflow.functions.builtin.{module}"), function)
        return found


_RULES: dict[str, dict[str, str]] = {
    "apply-replacements": {
        "apply_replacements.run": "0.1 0.1.2 0.1.3 0.1.4 0.1.5",
        "apply_replacements.run_0_1_1": "0.1.1 0.1.0",
    },
    "apply-setters": {
        "apply_setters.run": "0.2 0.2.0 0.2.1 0.2.2",
        "apply_setters.run_0_1": "0.1 0.1.1",
    },
    "create-setters": {"create_setters.run": "0.1"},
    "ensure-name-substring": {
        "ensure_name_substring.run": "0.2 0.2.0 0.2.1",
        "ensure_name_substring.run_0_1": "0.1 0.1.1",
    },
    "kubeconform": {"kubeconform.run": "0.1 0.1.0 0.1.1 0.1.2 0.1.3"},
    "list-setters": {"list_setters.run": "0.1", "list_setters.run_0_1_0": "0.1.0"},
    "remove-local-config-resources": {"remove_local_config_resources.run": "0.1 0.1.0"},
    "search-replace": {"search_replace.run": "0.2 0.2.0 0.2.1"},
    "set-annotations": {"set_annotations.run": "0.1 0.1.5", "set_annotations.run_0_1_4": "0.1.4"},
    "set-image": {"set_image.run": "0.1 0.1.2"},
    "set-labels": {"set_labels.run": "0.2 0.2.0 0.2.1 0.2.2 0.2.3", "set_labels_0_1.run": "0.1 0.1.5"},
    "set-namespace": {
        "set_namespace.run": "0.4 0.4.5",
        "set_namespace.run_0_4_1": "0.4.1",
        "set_namespace_0_1.run_0_2": "0.2 0.2.0",
        "set_namespace_0_1.run": "0.1 0.1.4",
    },
    "starlark": {"starlark.run": "0.5 0.5.0 0.5.1 0.5.2 0.5.3 0.5.4 0.5.5", "starlark.run_0_4": "0.4 0.4.3"},
    "upsert-resource": {"upsert_resource.run": "0.2 0.2.0 0.2.1"},
}
"""Of each function the rules, newest first, and the tags that have them: all that were compared, and no others.

Source: docs/guides/functions.md, "A tag is a version".
"""


def _builtins(name: str) -> list[Builtin]:
    listed = list(_RULES[name].items())
    tags = {entry: tuple(f"v{tag}" for tag in text.split()) for entry, text in listed}
    newest = listed[0][0]
    return [
        Builtin(name, name, (*tags[entry], _LATEST), entry)
        if entry == newest
        else Builtin(name, f"{name}:{tags[entry][0]}", tags[entry], entry)
        for entry in tags
    ]


BUILTINS: dict[str, Builtin] = {builtin.key: builtin for name in _RULES for builtin in _builtins(name)}
"""All rules by their keys; the newest of a function have its name."""


def find(image: str, prefixes: Iterable[str] = ()) -> Builtin | None:
    """Return the built-in rules that stand for an image.

    Args:
        image: Full name with a tag; none stands for a name with a digest, which names exact content.
        prefixes: Registries besides the catalog's own whose images of these names are the catalog's.
    """
    name = parse_image(image)
    tag = name.tag if name.tag.startswith("v") or name.tag == _LATEST else f"v{name.tag}"
    return next((each for each in of_catalog(name, prefixes) if not name.digest and tag in each.tags), None)


def of_catalog(name: ImageName, prefixes: Iterable[str] = ()) -> list[Builtin]:
    """Return the built-in rules of all tags of a catalog's image, newest first; see `find`."""
    known = {*CATALOGS, *(prefix.rstrip("/") for prefix in prefixes)}
    return _OF_NAME.get(name.name, []) if name.repository in known else []


def versions_of(name: ImageName, prefixes: Iterable[str] = ()) -> list[str]:
    """Return the full versions of a catalog's image that are built in, such as `v0.2.1`, else `v0.2`; see `find`."""
    tags = [tag for each in of_catalog(name, prefixes) for tag in each.tags if tag != _LATEST]
    return [tag for tag in tags if _VERSION.fullmatch(tag)] or tags


def absence(image: str, prefixes: Iterable[str] = ()) -> str:
    """Return why an image is not built in: a clause that names the tags that are; empty for images of no such name."""
    name = parse_image(image)
    tags = [tag for each in of_catalog(name, prefixes) for tag in each.tags]
    if not tags:
        return ""
    given = "named by its digest" if name.digest else f"with the tag {name.tag}" if name.tag else "without a tag"
    return f"{name.name} {given} is not built in: its built-in tags are {', '.join(tags)}"


_OF_NAME: dict[str, list[Builtin]] = {name: _builtins(name) for name in _RULES}


def configured(image: str, configs: FunctionConfigs) -> Builtin | None:
    """Return the built-in rules that the `goExecutor` of an image's FunctionConfig names."""

    def tags_of(spec: FunctionConfigSpec) -> list[str] | None:
        return spec.go_executor.tags if spec.go_executor is not None else None

    name = parse_image(image)
    chosen = None if name.digest else configs.chosen(name, tags_of)
    if chosen is None or chosen.go_executor is None:
        return None
    return BUILTINS.get(chosen.go_executor.id or chosen.image)
