"""set-labels v0.2: labels on resources, their selectors and templates (`reference/kpt.md` 6.5)."""

from typing import NamedTuple

from functions.builtin.sdk import Call, FunctionError, Item, change, strings
from kpt.krm import map_of, text_of
from kpt.yaml_nodes import Value


class Place(NamedTuple):
    """Where labels go: a path of keys (`[]` for every element), and whether missing parents and keys are made."""

    path: tuple[str, ...]
    create: bool


def _place(path: str, *, create: bool = True) -> Place:
    return Place(tuple(path.split("/")), create)


_METADATA = _place("metadata/labels")
_SELECTOR = _place("spec/selector")
_MATCH_LABELS = _place("spec/selector/matchLabels")
_EXISTING_MATCH_LABELS = _place("spec/selector/matchLabels", create=False)
_SPREAD = "spec/topologySpreadConstraints/[]/labelSelector/matchLabels"

_CONTROLLERS = ("Deployment", "ReplicaSet", "DaemonSet")
_TEMPLATED = ("ReplicationController", *_CONTROLLERS, "StatefulSet", "Job")


def run(call: Call) -> None:
    """Set the labels of the functionConfig on every item that is not local configuration."""
    if not call.config:
        call.say("`FunctionConfig` is not given", "info")
        raise FunctionError("`FunctionConfig` is not given")
    labels = _labels(call)
    if not labels:
        call.say("no `labels` arguments are given in FunctionConfig", "warning")
        return
    if not call.items:
        call.say("no input resources", "info")
        return
    total = 0
    for item in call.items:
        if not item.is_local_config:
            total += _label(item, labels)
    call.say(f"set {total} labels in total", "info")


def _labels(call: Call) -> dict[str, str]:
    if call.config_is_config_map:
        return strings(call.config.get("data"))
    if call.config_is("SetLabels"):
        return strings(call.config.get("labels"))
    version, kind = text_of(call.config, "apiVersion"), text_of(call.config, "kind")
    message = (
        f"unknown FunctionConfig `{kind}.{version.rpartition('/')[0]}`, expect `SetLabels.fn.kpt.dev` or `ConfigMap.v1`"
    )
    call.say(message, "error", **call.config_reference())
    raise FunctionError(message)


def _label(item: Item, labels: dict[str, str]) -> int:
    """Set the labels in one item.

    Returns:
        How many were set, whether or not they had the value before: keys times places.
    """
    count = 0

    def update(old: Value) -> Value:
        nonlocal count
        present = {} if old is None else old
        if not isinstance(present, dict):
            return old
        wanted = labels if place.create else {key: value for key, value in labels.items() if key in present}
        count += len(wanted)
        changed = {key: value for key, value in wanted.items() if present.get(key) != value}
        return {**present, **changed} if changed else old

    value = item.value
    for place in _places(item):
        value = change(value, place.path, update, create=place.create)
    item.replace(value)
    return count


def _places(item: Item) -> list[Place]:
    places = [_METADATA]
    group, kind = item.group, item.kind
    core = item.api_version.rpartition("/")[2] == "v1"
    if kind in ("Service", "ReplicationController") and core:
        places.append(_SELECTOR)
    if kind in _CONTROLLERS or (kind == "StatefulSet" and group == "apps"):
        places.append(_MATCH_LABELS)
    if (kind, group) in (("Job", "batch"), ("PodDisruptionBudget", "policy")):
        places.append(_EXISTING_MATCH_LABELS)
    if kind in _TEMPLATED and "template" in map_of(item.value, "spec"):
        places += _template("spec/template")
    if (kind, group) == ("CronJob", "batch") and "jobTemplate" in map_of(item.value, "spec"):
        places += _cron_job(item)
    if (kind, group) == ("StatefulSet", "apps"):
        places += _volume_claims(item)
    if (kind, group) == ("NetworkPolicy", "networking.k8s.io"):
        places += _NETWORK_POLICY
    return places


def _template(prefix: str) -> list[Place]:
    return [_place(f"{prefix}/metadata/labels"), _place(f"{prefix}/{_SPREAD}", create=False)]


def _cron_job(item: Item) -> list[Place]:
    places = [
        _place("spec/jobTemplate/metadata/labels"),
        _place("spec/jobTemplate/spec/selector/matchLabels", create=False),
    ]
    if "template" in map_of(item.value, "spec", "jobTemplate", "spec"):
        places += _template("spec/jobTemplate/spec/template")
    return places


def _volume_claims(item: Item) -> list[Place]:
    if "volumeClaimTemplates" not in map_of(item.value, "spec"):
        return []
    return [
        _place("spec/volumeClaimTemplates/[]/metadata/labels"),
        _place("spec/volumeClaimTemplates/[]/spec/selector/matchLabels", create=False),
    ]


_NETWORK_POLICY = [
    _place("spec/podSelector/matchLabels", create=False),
    _place("spec/ingress/[]/from/[]/podSelector/matchLabels", create=False),
    _place("spec/egress/[]/to/[]/podSelector/matchLabels", create=False),
]
