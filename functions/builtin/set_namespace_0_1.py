"""set-namespace v0.1.4 and v0.2.0: moves the resources of a package to a namespace, as kustomize does.

Other than v0.4 they move every resource that is not known to be cluster-scoped: custom resources without a namespace,
local configuration and the Kptfile too.

Source: docs/reference/kpt-functions.md, "set-namespace".
"""

from collections.abc import Callable

from porchflow.functions.builtin.toolkit.fields import FieldSpec, deprecated_specs, select, spec
from porchflow.functions.builtin.toolkit.scopes import is_namespaced
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, change
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.nodes import Value

_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_NAMESPACE = ("metadata", "namespace")
_FIELDS = [
    spec("metadata/name", kind="Namespace", create=True),
    spec("spec/service/namespace", group="apiregistration.k8s.io", kind="APIService", create=True),
    spec(
        "spec/conversion/webhook/clientConfig/service/namespace",
        group="apiextensions.k8s.io",
        kind="CustomResourceDefinition",
    ),
]

_Subject = Callable[[dict[str, Value]], bool]
"""Says whether the namespace of a subject of a binding is set."""


def run(call: Call) -> None:
    """Set the namespace as v0.1.4 does: of subjects, that of names `default`."""
    _move(call, _is_default)


def run_0_2(call: Call) -> None:
    """Set the namespace as v0.2.0 does: that of subjects whose ServiceAccount is in the package too."""
    accounts = {item.name for item in call.items if item.kind == "ServiceAccount"}

    def is_moved(subject: dict[str, Value]) -> bool:
        return _is_default(subject) or (subject.get("kind") == "ServiceAccount" and subject.get("name") in accounts)

    _move(call, is_moved)


def _is_default(subject: dict[str, Value]) -> bool:
    return bool(subject.get("name") == "default")


def _move(call: Call, is_moved: _Subject) -> None:
    try:
        namespace, additional = _read_config(call)
    except FunctionError as error:
        message = f"failed to configure function: {error}"
        call.say(message, "error")
        raise FunctionError(message) from None

    def moved(old: Value) -> Value:
        return old if isinstance(old, dict | list) else namespace

    def moved_subject(subject: Value) -> Value:
        if not isinstance(subject, dict) or not is_moved(subject) or subject.get("namespace") == namespace:
            return subject
        return {**subject, "namespace": namespace}

    for item in call.items:
        value = item.value
        if is_namespaced(item.group, item.kind) is not False:
            value = change(value, _NAMESPACE, moved, create=True)
        if item.kind in _BINDINGS:
            value = change(value, ("subjects", "[]"), moved_subject)
        for field in _specs(item, additional):
            value = field.change(value, moved)
        item.replace(value)


def _specs(item: Item, additional: list[FieldSpec]) -> list[FieldSpec]:
    """Return the further fields of an item; those that the rules above are about are theirs alone."""
    found = select([*additional, *_FIELDS], item)
    return [
        field
        for field in found
        if field.path != _NAMESPACE and not (field.kind in _BINDINGS and field.path == ("subjects",))
    ]


def _read_config(call: Call) -> tuple[str, list[FieldSpec]]:
    additional: list[FieldSpec] = []
    if call.config_is_config_map:
        namespace = text_of(map_of(call.config, "data"), "namespace")
    elif call.config_is("SetNamespace") or call.config_is("SetNamespaceConfig"):
        namespace = text_of(call.config, "namespace")
        additional = deprecated_specs(call.config, "additionalNamespaceFields")
    else:
        raise FunctionError("`functionConfig` must be a `ConfigMap` or `SetNamespace`")
    if not namespace:
        raise FunctionError("input namespace cannot be empty")
    return namespace, additional
