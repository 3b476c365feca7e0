"""set-labels v0.2: adds labels to resources, their selectors and templates.

Source: docs/reference/kpt-functions.md, "set-labels".
"""

from typing import NamedTuple

from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, change, strings
from porchflow.kpt.format.krm import text_of
from porchflow.yamltext.nodes import Value


class Place(NamedTuple):
    """A place of labels, as paths of keys (`[]` for every element): from the item to a mapping, and on from there.

    Attributes:
        parent: To the mapping; nothing is set, nor counted, where it is missing.
        path: From the mapping to the labels.
        create: Whether missing mappings on that path and missing labels are made.
    """

    parent: tuple[str, ...]
    path: tuple[str, ...]
    create: bool


def _place(path: str, *, parent: str = "", create: bool = True) -> Place:
    return Place(tuple(parent.split("/")) if parent else (), tuple(path.split("/")), create)


_METADATA = _place("metadata/labels")
_SELECTOR = _place("spec/selector")
_MATCH_LABELS = _place("spec/selector/matchLabels")
_EXISTING_MATCH_LABELS = _place("spec/selector/matchLabels", create=False)

_CONTROLLERS = ("Deployment", "ReplicaSet", "DaemonSet")


def run(call: Call) -> None:
    """Set the labels of the functionConfig on every item that is not local configuration."""
    labels = _labels(call) if call.config else {}
    items = [item for item in call.items if not item.is_local_config]
    if not call.config:
        call.say("`FunctionConfig` is not given", "info")
        if items:
            raise FunctionError("`FunctionConfig` is not given")
    if not items:
        call.say("no input resources", "info")
        return
    if not labels:
        call.say("no `labels` arguments are given in FunctionConfig", "warning")
        return
    total = sum(_label(item, labels) for item in items)
    call.say(f"set {total} labels in total", "info")


def _labels(call: Call) -> dict[str, str]:
    if call.config_is_config_map:
        return _sorted(call, "data")
    if call.config_is("SetLabels"):
        return _sorted(call, "labels")
    version, kind = text_of(call.config, "apiVersion"), text_of(call.config, "kind")
    message = (
        f"unknown FunctionConfig `{kind}.{version.rpartition('/')[0]}`, expect `SetLabels.fn.kpt.dev` or `ConfigMap.v1`"
    )
    call.say(message, "error", **call.config_reference())
    raise FunctionError(message)


def _sorted(call: Call, field: str) -> dict[str, str]:
    """Return the labels of a field of the functionConfig in the order in which they are added."""
    value = call.config.get(field)
    if value is None:
        return {}
    wrong = "a list" if isinstance(value, list) else "no mapping" if not isinstance(value, dict) else ""
    texts = {} if wrong else strings(value)
    if not wrong:
        wrong = next((f"a mapping whose value of `{key}` is no text" for key in value if key not in texts), "")
    if wrong:
        message = f"`{field}` of the FunctionConfig must be a mapping of texts; it is {wrong}"
        call.say(message, "error", **call.config_reference())
        raise FunctionError(message)
    return dict(sorted(texts.items()))


def _label(item: Item, labels: dict[str, str]) -> int:
    """Set the labels in one item.

    Returns:
        The catalog's count: keys times places, whether or not a label was set there.
    """
    count = 0

    def update(old: Value) -> Value:
        present = {} if old is None else old
        if not isinstance(present, dict):
            return old
        wanted = labels if place.create else {key: value for key, value in labels.items() if key in present}
        changed = {key: value for key, value in wanted.items() if present.get(key) != value}
        return {**present, **changed} if changed else old

    def visit(parent: Value) -> Value:
        nonlocal count
        if not isinstance(parent, dict):
            return parent
        count += len(labels)
        return change(parent, place.path, update, create=place.create)

    value = item.value
    for place in _places(item):
        value = change(value, place.parent, visit)
    item.replace(value)
    return count


def _places(item: Item) -> list[Place]:
    places = [_METADATA]
    group, kind = item.group, item.kind
    core = item.api_version.rpartition("/")[2] == "v1"
    controller = kind in _CONTROLLERS or (kind, group) == ("StatefulSet", "apps")
    replication = kind == "ReplicationController" and core
    if replication or (kind == "Service" and core):
        places.append(_SELECTOR)
    if controller:
        places.append(_MATCH_LABELS)
    if (kind, group) in (("Job", "batch"), ("PodDisruptionBudget", "policy")):
        places.append(_EXISTING_MATCH_LABELS)
    if controller or replication or (kind, group) == ("Job", "batch"):
        places += _template("spec/template")
    if (kind, group) == ("CronJob", "batch"):
        places += _CRON_JOB
    if (kind, group) == ("StatefulSet", "apps"):
        places += _VOLUME_CLAIMS
    if (kind, group) == ("NetworkPolicy", "networking.k8s.io"):
        places += _NETWORK_POLICY
    return places


def _template(parent: str) -> list[Place]:
    spread = f"{parent}/spec/topologySpreadConstraints/[]"
    return [
        _place("metadata/labels", parent=parent),
        _place("labelSelector/matchLabels", parent=spread, create=False),
    ]


_CRON_JOB = [
    _place("metadata/labels", parent="spec/jobTemplate"),
    _place("selector/matchLabels", parent="spec/jobTemplate/spec", create=False),
    *_template("spec/jobTemplate/spec/template"),
]
_VOLUME_CLAIMS = [
    _place("metadata/labels", parent="spec/volumeClaimTemplates/[]"),
    _place("selector/matchLabels", parent="spec/volumeClaimTemplates/[]", create=False),
]
_NETWORK_POLICY = [
    _place("spec/podSelector/matchLabels", create=False),
    _place("podSelector/matchLabels", parent="spec/ingress/[]/from/[]", create=False),
    _place("podSelector/matchLabels", parent="spec/egress/[]/to/[]", create=False),
]
