"""ensure-name-substring v0.1 and v0.2: adds a substring to every name, and to the fields that refer to it.

Other than in the catalog, resources of one name in two subpackages are no error: a reference goes to the one in its own
directory, else to the one nearest above.

Source: docs/reference/kpt-functions.md, "ensure-name-substring".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import dirname
from typing import NamedTuple

from porchflow.functions.builtin.toolkit.fields import FieldSpec, deprecated_specs, select, spec
from porchflow.functions.builtin.toolkit.name_references import NAME_REFERENCES
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, strings
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.nodes import Value

DEPENDS_ON = "config.kubernetes.io/depends-on"
_DEPENDENCY = re.compile(
    r"(?P<group>[-.\w]*)/(?:namespaces/(?P<namespace>[-.\w]*)/)?(?P<kind>[-.\w]*)/(?P<name>[-.\w]*)", re.ASCII
)
_SKIPPED_0_1 = (
    spec("", kind="CustomResourceDefinition"),
    spec("", group="apiregistration.k8s.io", kind="APIService"),
    spec("", kind="Namespace"),
)
_SKIPPED = (*_SKIPPED_0_1, spec("", group="kpt.dev", kind="Kptfile"))
_NAME = ("metadata", "name")
_DEFAULT = "default"
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")


@dataclass(frozen=True)
class _Edit:
    """How the substring is added to a name."""

    substring: str
    append: bool

    def __call__(self, name: Value) -> Value:
        if not isinstance(name, str) or not name or self.substring in name:
            return name
        return name + self.substring if self.append else self.substring + name


class _Renamed(NamedTuple):
    """A resource whose name changed."""

    item: Item
    old: str


def run(call: Call) -> None:
    """Change the names, then the fields that hold them."""
    renamed = _rename_all(call, _SKIPPED)
    # Only renamed resources have an identity that a dependency names, so only these are compared.
    for changed in renamed:
        _depend(changed.item, renamed)


def run_0_1(call: Call) -> None:
    """Change the names as v0.1.1 does: the Kptfile's too, and dependencies stay as they are."""
    _rename_all(call, _SKIPPED_0_1)


def _rename_all(call: Call, skipped: tuple[FieldSpec, ...]) -> list[_Renamed]:
    """Change the names and the fields that refer to them, and return the resources whose name changed."""
    try:
        edit, additional = _read_config(call.config)
    except FunctionError as error:
        raise FunctionError(f"failed to load the `functionConfig`: {error}") from None
    items = [item for item in call.items if not any(kind.selects(item) for kind in skipped)]
    renamed = [found for item in items if (found := _rename(item, edit, additional))]
    for item in call.items:
        _follow(item, renamed)
    return renamed


def _read_config(config: Value) -> tuple[_Edit, list[FieldSpec]]:
    kind, version = text_of(config, "kind"), text_of(config, "apiVersion")
    if (version, kind) == ("v1", "ConfigMap"):
        return _edit_of(strings(map_of(config, "data"))), []
    if (version, kind) != ("fn.kpt.dev/v1alpha1", "EnsureNameSubstring"):
        raise FunctionError(
            "function config must be either v1, Kind=ConfigMap or fn.kpt.dev/v1alpha1, Kind=EnsureNameSubstring, "
            f"but we got: {version}, Kind={kind}"
        )
    mode = text_of(config, "editMode") or "prepend"
    specs = deprecated_specs(config, "additionalNameFields")
    return _edit_of({mode: text_of(config, "substring")}), specs


def _edit_of(data: dict[str, str]) -> _Edit:
    if len(data) != 1:
        raise FunctionError(f"only 1 entry is allowed in the ConfigMap, but got: {len(data)}")
    [(mode, substring)] = data.items()
    if mode not in ("prepend", "append"):
        raise FunctionError(f"unknown editMode: {mode}, only prepend and append are allowed")
    if not substring:
        raise FunctionError("substring must not be empty")
    return _Edit(substring, mode == "append")


def _rename(item: Item, edit: _Edit, additional: list[FieldSpec]) -> _Renamed | None:
    old, value = item.name, item.value
    for field in [spec("/".join(_NAME)), *select(additional, item)]:
        value = field.change(value, edit)
    item.replace(value)
    return _Renamed(item, old) if item.name != old else None


def _follow(item: Item, renamed: list[_Renamed]) -> None:
    """Write the new names into the fields of an item that refer to renamed resources."""
    value = item.value
    for reference in NAME_REFERENCES:
        fields = select(reference.referrers, item)
        if not fields:
            continue
        candidates = [changed for changed in renamed if reference.target.selects(changed.item)]
        for field in fields if candidates else []:
            value = field.change(value, _following(item, candidates, field))
    item.replace(value)


def _following(item: Item, candidates: list[_Renamed], field: FieldSpec) -> Callable[[Value], Value]:
    is_role_reference = field.path == ("roleRef", "name")

    def new_name(name: str, wanted_namespace: str | None) -> str:
        if is_role_reference and not _is_role_of(item, candidates[0].item):
            return name
        found = [
            changed.item
            for changed in candidates
            if changed.old == name and _is_reachable(changed.item, item, wanted_namespace)
        ]
        return _nearest(item, found).name if found else name

    def update(old: Value) -> Value:
        if isinstance(old, str):
            return new_name(old, None)
        if isinstance(old, list):
            new = [update(element) for element in old]
            return old if new == old else new
        if isinstance(old, dict) and isinstance(old.get("name"), str):
            if "kind" in old and old["kind"] != candidates[0].item.kind:
                return old
            name = new_name(old["name"], text_of(old, "namespace") or None)
            return old if name == old["name"] else {**old, "name": name}
        return old

    return update


def _is_role_of(binding: Item, role: Item) -> bool:
    reference = map_of(binding.value, "roleRef")
    return bool(reference.get("kind", role.kind) == role.kind and reference.get("apiGroup", role.group) == role.group)


def _is_reachable(target: Item, referrer: Item, wanted: str | None) -> bool:
    """Return whether a reference can mean the target: they share a namespace, where none is the default one.

    Args:
        target: The resource that may be meant.
        referrer: The resource with the reference.
        wanted: Namespace that the reference names.
    """
    own = text_of(target.value, "metadata", "namespace") or _DEFAULT
    if wanted is not None:
        return own == wanted
    if target.kind == "ServiceAccount" and referrer.kind in _BINDINGS:
        return True
    return own == (text_of(referrer.value, "metadata", "namespace") or _DEFAULT)


def _nearest(item: Item, found: list[Item]) -> Item:
    """Return the item whose directory is nearest above the given item's; otherwise the first."""
    own = dirname(item.path)
    above = [target for target in found if f"{own}/".startswith(f"{dirname(target.path)}/".lstrip("/"))]
    return max(above, key=lambda target: len(dirname(target.path)), default=found[0])


def _depend(item: Item, renamed: list[_Renamed]) -> None:
    text = item.annotations.get(DEPENDS_ON)
    found = _DEPENDENCY.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return
    wanted = (found["group"], found["kind"], found["name"])
    target = next((new.item for new in renamed if (new.item.group, new.item.kind, new.old) == wanted), None)
    if target is not None:
        changed = f"{found[0].removesuffix(found['name'])}{target.name}"
        field = FieldSpec(("metadata", "annotations", DEPENDS_ON))
        item.replace(field.change(item.value, lambda _: changed))
