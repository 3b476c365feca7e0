"""set-annotations v0.1: adds annotations to resources and to the templates in them.

Source: docs/reference/kpt-functions.md, "set-annotations".
"""

import json

from porchflow.functions.builtin.toolkit.fields import FieldSpec, deprecated_specs, select, spec
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, strings
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.nodes import Value

_TEMPLATE = "spec/template/metadata/annotations"
_FIELDS = [
    spec("metadata/annotations", create=True),
    spec(_TEMPLATE, version="v1", kind="ReplicationController", create=True),
    *(spec(_TEMPLATE, kind=kind, create=True) for kind in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet")),
    spec(_TEMPLATE, group="batch", kind="Job", create=True),
    spec("spec/jobTemplate/metadata/annotations", group="batch", kind="CronJob", create=True),
    spec(f"spec/jobTemplate/{_TEMPLATE}", group="batch", kind="CronJob", create=True),
]


def run(call: Call) -> None:
    """Set the annotations of the functionConfig on every item, local configuration included."""
    try:
        annotations, fields = _read_config(call)
    except FunctionError as error:
        message = f"failed to configure function: {error}"
        call.say(message, "error")
        raise FunctionError(message) from None
    for item in call.items:
        _annotate(call, item, annotations, [*fields, *_FIELDS])
    call.results.sort(key=lambda result: (result["file"]["path"], result["file"]["index"], result["field"]["path"]))
    if not call.results:
        call.say("no annotations applied")


def run_0_1_4(call: Call) -> None:
    """Set the annotations as v0.1.4 does, which reports nothing but errors."""
    run(call)
    call.results.clear()


def _read_config(call: Call) -> tuple[dict[str, str], list[FieldSpec]]:
    fields: list[FieldSpec] = []
    if call.config_is_config_map:
        annotations = strings(map_of(call.config).get("data"))
    elif call.config_is("SetAnnotations") or call.config_is("SetAnnotationConfig"):
        annotations = strings(call.config.get("annotations"))
        fields = deprecated_specs(call.config, "additionalAnnotationFields")
    else:
        raise FunctionError("`functionConfig` must be a `ConfigMap` or `SetAnnotations`")
    if not annotations:
        raise FunctionError("input annotation list cannot be empty")
    return annotations, fields


def _annotate(call: Call, item: Item, annotations: dict[str, str], fields: list[FieldSpec]) -> None:
    """Set the annotations in one item, and report where, each place once."""
    value = item.value
    places: set[str] = set()
    place = {"path": item.path, "index": item.index}
    wanted = dict(sorted(annotations.items()))
    said = json.dumps(wanted, separators=(",", ":"), ensure_ascii=False)

    def update(old: Value) -> Value:
        if old is not None and not isinstance(old, dict):
            return old
        path = ".".join(field.path)
        if path not in places:
            call.say(f"set annotations: {said}", field={"path": path}, file=place)
            places.add(path)
        present = old or {}
        changed = {key: text for key, text in wanted.items() if present.get(key) != text}
        return {**present, **changed} if changed else old

    for field in select(fields, item):
        value = field.change(value, update)
    item.replace(value)
