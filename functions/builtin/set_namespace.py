"""set-namespace v0.4.1 and v0.4.5: moves the resources of a package to a namespace.

Other than in the catalog, a CustomResourceDefinition or APIService without a service reference does not get
one.

Source: docs/reference/kpt-functions.md, "set-namespace".
"""

import re
from collections.abc import Callable

from porchflow.functions.builtin.toolkit.scopes import is_namespaced
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, change
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.nodes import Value

DEPENDS_ON = "config.kubernetes.io/depends-on"
UPSTREAM_IDENTIFIER = "internal.kpt.dev/upstream-identifier"
_CONTEXT_NAME = "kptfile.kpt.dev"
_DEPENDENCY = re.compile(r"(?P<group>[^/]*)/namespaces/(?P<namespace>[^/]+)/(?P<kind>[^/]+)/(?P<name>[^/]+)")
_EXPECTED = "`ConfigMap.v1` or `SetNamespace.v1alpha1.fn.kpt.dev`"
_DEFAULT = "default"

_DEPENDS_ON_PATH = ("metadata", "annotations", DEPENDS_ON)
_CONVERSION = ("spec", "conversion", "webhook", "clientConfig", "service", "namespace")


class _ConfigError(Exception):
    """The functionConfig is wrong."""


def run(call: Call) -> None:
    """Set the namespace of the functionConfig; a wrong config is an error result, not a failure, as in the catalog."""
    try:
        namespace, matcher = _read_config(call)
    except _ConfigError as error:
        call.say(str(error), "error", **call.config_reference())
        return
    _Mover(call, namespace, matcher).run()


def run_0_4_1(call: Call) -> None:
    """Set the namespace as v0.4.1 does: subjects of RoleBindings too, no matcher, and a wrong config is a failure."""
    try:
        namespace, _ = _read_config(call, "`ConfigMap` or `SetNamespace`", "`SetNamespace` or `ConfigMap`")
    except _ConfigError as error:
        call.say(str(error), "error")
        raise FunctionError(str(error)) from None
    _MoverOf041(call, namespace, "").run()


def _read_config(call: Call, expected: str = _EXPECTED, known: str = _EXPECTED) -> tuple[str, str]:
    """Return the namespace to set, and the only one to replace (empty for any).

    Args:
        call: With the config.
        expected: Kinds of configs, where there is none.
        known: The same, where there is another one.
    """
    config = call.config
    if not config:
        raise _ConfigError(f"FunctionConfig is missing. Expect {expected}")
    if call.config_is_config_map:
        data = map_of(config, "data")
        namespace, source = text_of(data, "namespace"), "namespace"
        if not namespace and text_of(config, "metadata", "name") == _CONTEXT_NAME:
            namespace, source = text_of(data, "name"), "name"
        if not namespace:
            raise _ConfigError(f"`data.{source}` should not be empty")
        return namespace, text_of(data, "namespaceMatcher")
    if call.config_is("SetNamespace"):
        namespace = text_of(config, "namespace")
        if not namespace:
            raise _ConfigError("`namespace` should not be empty")
        return namespace, text_of(config, "namespaceMatcher")
    kind, version = text_of(config, "kind"), text_of(config, "apiVersion")
    raise _ConfigError(f"unknown functionConfig Kind={kind} ApiVersion={version}, expect {known}")


class _Mover:
    """One run over the items of a call, by the rules of v0.4.5."""

    def __init__(self, call: Call, namespace: str, matcher: str) -> None:
        self.call = call
        self.namespace = namespace
        self.matcher = matcher
        self.items = [item for item in call.items if not item.is_local_config]
        self.declared = {(item.group, _namespace(item), item.kind, item.name) for item in self.items}
        self.old: list[str] = []
        self.old_in_dependencies: list[str] = []
        self.matched: list[str] = []

    def run(self) -> None:
        for item in self.items:
            new = change(self._moved(item), _DEPENDS_ON_PATH, self._depending)
            item.replace(new)
        for message in (*self.matched, self._summary(), self._dependency_summary()):
            self.call.say(message, "info")

    def _moved(self, item: Item) -> Value:
        value, kind, version = item.value, item.kind, item.api_version
        if (kind, version) == ("Namespace", "v1"):
            return change(value, ("metadata", "name"), self._replacing(item, _origin(item, _NAME) or item.name))
        if (kind, version) == ("CustomResourceDefinition", "apiextensions.k8s.io/v1"):
            return change(value, _CONVERSION, self._replacing(item))
        if (kind, version) == ("APIService", "apiregistration.k8s.io/v1"):
            return change(value, ("spec", "service", "namespace"), self._replacing(item))
        if kind == "ClusterRoleBinding":
            return change(value, ("subjects", "[]", "namespace"), self._replacing(item))
        namespace = _namespace(item)
        if not namespace:
            return value
        update = self._replacing(item, _origin(item, _NAMESPACE) or namespace, absent=_DEFAULT)
        return change(value, ("metadata", "namespace"), update, create=True)

    def _replacing(self, item: Item, origin: str = "", *, absent: str = "") -> Callable[[Value], Value]:
        """Return the function that updates one namespace field.

        Args:
            item: The item with the field.
            origin: Namespace that the item has upstream.
            absent: The value that an absent field counts as.
        """

        def replace(old: Value) -> Value:
            current = old or absent
            if not isinstance(current, str) or not current:
                return old
            if current == self.namespace or not self._matches(item, current, origin):
                return old or current
            self.old.append(current)
            return self.namespace

        return replace

    def _matches(self, item: Item, current: str, origin: str) -> bool:
        if self.matcher and self.matcher == origin:
            namespace = text_of(item.value, "metadata", "namespace")
            names = f"apiVersion={item.api_version}, kind={item.kind}, namespace={namespace}, name={item.name}"
            self.matched.append(f"[Resource({names})] has matching origin {origin}")
        return self.matcher in ("", current, origin)

    def _depending(self, old: Value) -> Value:
        found = _DEPENDENCY.fullmatch(old) if isinstance(old, str) else None
        if found is None or found.group("group", "namespace", "kind", "name") not in self.declared:
            return old
        current = found["namespace"]
        if current == self.namespace or (self.matcher and current != self.matcher):
            return old
        self.old_in_dependencies.append(current)
        return f"{found['group']}/namespaces/{self.namespace}/{found['kind']}/{found['name']}"

    def _summary(self) -> str:
        if not self.old:
            return f'all matching namespaces are already "{self.namespace}". no value changed'
        return f'namespace [{_words(self.old)}] updated to "{self.namespace}", {len(self.old)} value(s) changed'

    def _dependency_summary(self) -> str:
        old = self.old_in_dependencies
        if not old:
            return "all `depends-on` annotations are up-to-date. no `namespace` changed"
        return (
            f'`depends-on` annotation namespace [{_words(old)}] updated to "{self.namespace}", '
            f"{len(old)} value(s) changed"
        )


class _MoverOf041(_Mover):
    """One run by the rules of v0.4.1."""

    def run(self) -> None:
        for item in self.items:
            item.replace(self._moved(item))
        depended = {
            (item.api_version.partition("/")[0], item.kind, item.name) for item in self.items if self._has(item)
        }
        for item in self.items:
            if self._has(item):
                item.replace(change(item.value, _DEPENDS_ON_PATH, lambda old: self._depending_on(old, depended)))
        self._say()

    def _moved(self, item: Item) -> Value:
        value = super()._moved(item)
        if item.kind == "RoleBinding":
            value = change(value, ("subjects", "[]", "namespace"), self._replacing(item))
        return value

    # These rules look at nothing but the field.
    def _replacing(self, item: Item, origin: str = "", *, absent: str = "") -> Callable[[Value], Value]:  # noqa: ARG002
        def replace(old: Value) -> Value:
            if old == self.namespace or (old is not None and not isinstance(old, str)):
                return old
            self.old.append(old or "")
            return self.namespace

        return replace

    def _has(self, item: Item) -> bool:
        """Return whether the item has a field with a namespace."""
        return item.kind in _NAMING or bool(_namespace(item))

    def _depending_on(self, old: Value, depended: set[tuple[str, str, str]]) -> Value:
        found = _DEPENDENCY.fullmatch(old) if isinstance(old, str) else None
        if found is None or found.group("group", "kind", "name") not in depended or found["namespace"] not in self.old:
            return old
        return f"{found['group']}/namespaces/{self.namespace}/{found['kind']}/{found['name']}"

    def _say(self) -> None:
        seen: set[tuple[str, ...]] = set()
        for item in self.call.items:
            names = (item.api_version, item.kind, text_of(item.value, "metadata", "namespace"), item.name)
            if names in seen:
                about = "apiVersion={}, kind={}, Namespace={}, Name={}".format(*names)
                self.call.say(f"duplicate Resource({about})", "error")
                return
            seen.add(names)
        if not self.old:
            self.call.say(f'all namespaces are already "{self.namespace}". no value changed', "info")
            return
        old = ",".join(f'"{name}"' for name in sorted(set(self.old)))
        self.call.say(f'namespace {old} updated to "{self.namespace}", {len(self.old)} value(s) changed', "info")


_NAMING = ("Namespace", "CustomResourceDefinition", "APIService", "ClusterRoleBinding")
"""Kinds with fields that hold a namespace, though they are in none themselves."""

_IDENTIFIER_PARTS = 4
_NAMESPACE, _NAME = 2, 3


def _origin(item: Item, part: int) -> str:
    """Return one part of the identity that the item has upstream; empty if it states none."""
    parts = str(item.annotations.get(UPSTREAM_IDENTIFIER, "")).strip().split("|")
    return parts[part] if len(parts) == _IDENTIFIER_PARTS else ""


def _namespace(item: Item) -> str:
    """Return the namespace of a resource; empty for a cluster-scoped one."""
    namespaced = is_namespaced(item.group, item.kind)
    if namespaced is False:
        return ""
    return text_of(item.value, "metadata", "namespace") or (_DEFAULT if namespaced else "")


def _words(names: list[str]) -> str:
    return " ".join(sorted(set(names)))
