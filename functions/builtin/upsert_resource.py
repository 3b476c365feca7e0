"""upsert-resource v0.2: adds resources, or replaces those of the same identity.

Source: docs/reference/kpt-functions.md, "upsert-resource".
"""

from typing import NamedTuple

from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item
from porchflow.kpt.format.krm import krm_problem, map_of, text_of
from porchflow.yamltext.document import dump
from porchflow.yamltext.nodes import Value

TARGET_PATH = "config.kubernetes.io/target-path"
_FUNCTION = ("config.kubernetes.io/function", "config.k8s.io/function")
_PLACE = (
    "internal.config.kubernetes.io/path",
    "internal.config.kubernetes.io/index",
    "config.kubernetes.io/path",
    "config.kubernetes.io/index",
    "config.k8s.io/id",
    "internal.config.kubernetes.io/id",
)


class _Identity(NamedTuple):
    group: str
    kind: str
    namespace: str
    name: str


def run(call: Call) -> None:
    """Upsert the functionConfig, or every item of it if it is a List."""
    for resource in _wanted(call.config):
        _upsert(call, resource)


def _wanted(config: Value) -> list[dict[str, Value]]:
    if not config:
        raise FunctionError("the functionConfig must be the resource to upsert, or a List of them; it is not given")
    resources = config.get("items") or [] if text_of(config, "kind") == "List" else [config]
    for resource in resources:
        problem = krm_problem("", resource)
        if problem:
            raise FunctionError(f"cannot upsert the resource of the functionConfig: {problem}")
    return list(resources)


def _identity(value: Value) -> _Identity:
    return _Identity(
        text_of(value, "apiVersion").rpartition("/")[0],
        text_of(value, "kind"),
        text_of(value, "metadata", "namespace"),
        text_of(value, "metadata", "name"),
    )


def _upsert(call: Call, resource: dict[str, Value]) -> None:
    identity, target = _identity(resource), str(map_of(resource, "metadata", "annotations").get(TARGET_PATH, ""))
    found = False
    for item in call.items:
        if any(key in item.annotations for key in _FUNCTION) or _identity(item.value) != identity:
            continue
        if target and item.path != target:
            continue
        place = {key: text for key, text in item.annotations.items() if key in _PLACE}
        item.replace(_placed(resource, place), by_position=False)
        found = True
    if not found:
        call.items.append(Item(dump(_placed(resource, {"config.kubernetes.io/path": target} if target else {}))))


def _placed(resource: dict[str, Value], place: dict[str, Value]) -> dict[str, Value]:
    """Return the resource with the annotations of its place, and without those that are for this function."""
    metadata = map_of(resource, "metadata")
    given = map_of(metadata, "annotations")
    own = {key: text for key, text in given.items() if key not in (*_PLACE, *_FUNCTION, TARGET_PATH)}
    annotations = {**own, **place}
    rest = {key: value for key, value in metadata.items() if key != "annotations"}
    return {**resource, "metadata": {**rest, "annotations": annotations} if annotations else rest}
