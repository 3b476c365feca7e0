"""set-labels v0.1.5: adds labels to every resource, its selectors and templates, as kustomize's common labels.

Other than v0.2 it labels local configuration and the Kptfile too, makes the labels of templates that are not there, and
writes all labels into selectors that exist.

Source: docs/reference/kpt-functions.md, "set-labels".
"""

from porchflow.functions.builtin.toolkit.fields import FieldSpec, deprecated_specs, select, spec
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, strings
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.nodes import Value

_LABELS = "metadata/labels"
_SELECTOR = "spec/selector/matchLabels"
_TEMPLATE = f"spec/template/{_LABELS}"
_AFFINITIES = [
    f"spec/template/spec/affinity/{affinity}/{term}/labelSelector/matchLabels"
    for affinity in ("podAffinity", "podAntiAffinity")
    for term in (
        "preferredDuringSchedulingIgnoredDuringExecution/podAffinityTerm",
        "requiredDuringSchedulingIgnoredDuringExecution",
    )
]
_SPREAD = "spec/template/spec/topologySpreadConstraints/labelSelector/matchLabels"


def _controller(kind: str, group: str = "") -> list[FieldSpec]:
    return [
        *(spec(path, group=group, kind=kind, create=True) for path in (_SELECTOR, _TEMPLATE)),
        *(spec(path, group="apps", kind=kind) for path in (*_AFFINITIES, _SPREAD) if kind in _PLACED),
    ]


_PLACED = ("Deployment", "StatefulSet")
"""Kinds whose affinities and topology constraints are labelled."""

_FIELDS = [
    spec(_LABELS, create=True),
    spec("spec/selector", version="v1", kind="Service", create=True),
    spec("spec/selector", version="v1", kind="ReplicationController", create=True),
    spec(_TEMPLATE, version="v1", kind="ReplicationController", create=True),
    *_controller("Deployment"),
    *_controller("ReplicaSet"),
    *_controller("DaemonSet"),
    *_controller("StatefulSet", "apps"),
    spec(f"spec/volumeClaimTemplates[]/{_LABELS}", group="apps", kind="StatefulSet", create=True),
    spec(_SELECTOR, group="batch", kind="Job"),
    spec(_TEMPLATE, group="batch", kind="Job", create=True),
    spec(f"spec/jobTemplate/{_SELECTOR}", group="batch", kind="CronJob"),
    spec(f"spec/jobTemplate/{_LABELS}", group="batch", kind="CronJob", create=True),
    spec(f"spec/jobTemplate/{_TEMPLATE}", group="batch", kind="CronJob", create=True),
    spec(_SELECTOR, group="policy", kind="PodDisruptionBudget"),
    *(
        spec(f"spec/{path}podSelector/matchLabels", group="networking.k8s.io", kind="NetworkPolicy")
        for path in ("", "ingress/from/", "egress/to/")
    ),
]


def run(call: Call) -> None:
    """Set the labels of the functionConfig on every item, local configuration included."""
    try:
        labels, additional = _read_config(call)
    except FunctionError as error:
        message = f"failed to configure function: {error}"
        call.say(message, "error")
        raise FunctionError(message) from None
    wanted = dict(sorted(labels.items()))

    def update(old: Value) -> Value:
        present = {} if old is None else old
        if not isinstance(present, dict):
            return old
        changed = {key: text for key, text in wanted.items() if present.get(key) != text}
        return {**present, **changed} if changed else old

    for item in call.items:
        value = item.value
        for field in select([*additional, *_FIELDS], item):
            value = field.change(value, update)
        item.replace(value)


def _read_config(call: Call) -> tuple[dict[str, str], list[FieldSpec]]:
    additional: list[FieldSpec] = []
    if call.config_is_config_map:
        labels = strings(map_of(call.config).get("data"))
    elif call.config_is("SetLabels") or call.config_is("SetLabelConfig"):
        labels = strings(call.config.get("labels"))
        additional = deprecated_specs(call.config, "additionalLabelFields")
    else:
        raise FunctionError("`functionConfig` must be either a `ConfigMap` or `SetLabels`")
    if not labels:
        raise FunctionError("input label list cannot be empty")
    return labels, additional
