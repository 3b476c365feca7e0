"""list-setters v0.1: the setters of a package, their values, and how often each is used.

Source: docs/reference/kpt-functions.md, "list-setters".
"""

from dataclasses import dataclass, field

from porchflow.functions.builtin.apply_setters import derive, setter_pattern, setters_in
from porchflow.functions.builtin.toolkit.sdk import Call, FunctionError, Item, scalar_text, strings
from porchflow.functions.builtin.toolkit.setter_comments import fields
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.yamltext.document import load
from porchflow.yamltext.nodes import ScalarNode, SequenceNode, Value
from porchflow.yamltext.yaml_error import YamlError

_TEXT = "str"


@dataclass
class _Setter:
    value: str
    kind: str
    count: int = 0


@dataclass
class _Inventory:
    """The setters of a package, lists and scalars apart: one name may be both."""

    lists: dict[str, _Setter] = field(default_factory=dict)
    scalars: dict[str, _Setter] = field(default_factory=dict)

    def declare(self, name: str, text: str) -> None:
        """Record a setter of the Kptfile's pipeline."""
        elements = _elements(text)
        if elements is None:
            self.scalars[name] = _Setter(text, _TEXT)
        else:
            self.lists[name] = _Setter(_listed(elements), "array")

    def use_list(self, name: str, elements: list[str]) -> None:
        """Count a list that a setter writes."""
        self.lists.setdefault(name, _Setter(_listed(elements), "array")).count += 1

    def use(self, name: str, text: str, kind: str) -> None:
        """Count a scalar that a setter is part of; a type other than string is the more exact one."""
        setter = self.scalars.setdefault(name, _Setter(text, kind))
        if setter.kind == _TEXT:
            setter.kind = kind
        setter.count += 1


def run(call: Call) -> None:
    """Report every setter, by name."""
    if not _reported(call):
        call.say("no setters found", "warning")


def run_0_1_0(call: Call) -> None:
    """Report every setter as v0.1.0 does, which fails where there is none."""
    if not _reported(call):
        message = "failed to list setters: no setters found"
        call.say(message, "error")
        raise FunctionError(message)


def _reported(call: Call) -> bool:
    """Report every setter, and return whether there is any."""
    inventory = _Inventory()
    for name, text in _declared(call).items():
        inventory.declare(name, text)
    for item in call.items:
        _count(item, inventory)
    found = [*inventory.lists.items(), *inventory.scalars.items()]
    for name, setter in sorted(found, key=lambda entry: entry[0]):
        call.say(f"Name: {name}, Value: {setter.value}, Type: {setter.kind}, Count: {setter.count}")
    return bool(found)


def _declared(call: Call) -> dict[str, str]:
    """Return the setters of the apply-setters functions in the top Kptfile's pipeline."""
    kptfile = next((item.value for item in call.items if item.path == "Kptfile"), None)
    mutators = map_of(kptfile, "pipeline").get("mutators")
    declared: dict[str, str] = {}
    for function in mutators if isinstance(mutators, list) else []:
        if "apply-setters" not in text_of(function, "image"):
            continue
        config = map_of(function, "configMap")
        if not config:
            path = text_of(function, "configPath")
            config = next((map_of(item.value, "data") for item in call.items if path and item.path == path), {})
        declared |= strings(config)
    return declared


def _count(item: Item, inventory: _Inventory) -> None:
    for found in fields(item.document.root):
        pattern = setter_pattern(item.text, found)
        if not pattern:
            continue
        if isinstance(found.node, SequenceNode):
            name = pattern.removeprefix("${").removesuffix("}")
            inventory.use_list(name, sorted(_raw(found.node)))
            continue
        values = derive(pattern, found.node.raw)
        for name in setters_in(pattern):
            if name in values:
                inventory.use(name, values[name], _type_of(found.node.value))


def _raw(node: SequenceNode) -> list[str]:
    return [element.raw if isinstance(element, ScalarNode) else "" for element in node.items]


def _type_of(value: Value) -> str:
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, _TEXT)):
        if isinstance(value, kind):
            return name
    return "null"


def _elements(text: str) -> list[str] | None:
    """Return the elements of a setter's value that is a list; None if it is none."""
    try:
        value = load(text)
    except YamlError:
        return None
    if not isinstance(value, list):
        return None
    return sorted("" if isinstance(element, dict | list) else scalar_text(element) for element in value)


def _listed(elements: list[str]) -> str:
    return f"[{', '.join(elements)}]"
