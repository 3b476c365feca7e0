"""The base of built-in functions: their input list, items as text and values, and their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from porchflow.kpt.format.krm import map_of, text_of
from porchflow.kpt.format.resource_list import compose_list, split_list
from porchflow.yamltext.aliases import followed, has_aliases
from porchflow.yamltext.document import Document, dump
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.yaml_error import YamlError

LOCAL_CONFIG = "config.kubernetes.io/local-config"
_PATHS = ("internal.config.kubernetes.io/path", "config.kubernetes.io/path")
_INDICES = ("internal.config.kubernetes.io/index", "config.kubernetes.io/index")


class FunctionError(Exception):
    """Ends a function with exit code 1; the message goes to its log."""


@dataclass(frozen=True)
class Reply:
    """The result of a function: a ResourceList, its log, and its exit code."""

    resource_list: bytes
    log: str = ""
    exit_code: int = 0


class Item:
    """One resource of the list; its text is parsed when its value is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def document(self) -> Document:
        """The parsed text."""
        return Document(self.text)

    @property
    def value(self) -> Value:
        """The item's value. Shared: copy before changing."""
        return self.document.value

    def replace(self, value: Value, *, by_position: bool = True) -> None:
        """Change the item; text of equal meaning stays.

        Args:
            value: The new value.
            by_position: Whether the function changes fields where they stand: the elements of each list that keeps its
                length keep their places, and aliases follow their anchors. Otherwise all is as the value says.
        """
        if value is not self.value:
            root = self.document.root
            if by_position and root is not None and has_aliases(self.text, root):
                value = followed(root, value)
            self.text = self.document.edit_text(value, by_position=by_position)
            del self.document

    def rewrite(self, text: str) -> None:
        """Change the item's text itself, where more than its value changes."""
        if text != self.text:
            self.text = text
            self.__dict__.pop("document", None)

    @property
    def annotations(self) -> dict[str, Value]:
        """The annotations; empty if there are none."""
        return map_of(self.value, "metadata", "annotations")

    @property
    def is_local_config(self) -> bool:
        """Whether the resource is for kpt and its functions only, and never applied to a cluster."""
        return self.annotations.get(LOCAL_CONFIG, "false") not in ("", "false", False)

    @property
    def api_version(self) -> str:
        """Group and version, or the version alone for the core group."""
        return text_of(self.value, "apiVersion")

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """The kind."""
        return text_of(self.value, "kind")

    @property
    def name(self) -> str:
        """The name in the metadata."""
        return text_of(self.value, "metadata", "name")

    @property
    def path(self) -> str:
        """The file of the item, relative to its package; empty if the caller did not state it."""
        return next((str(self.annotations[key]) for key in _PATHS if key in self.annotations), "")

    @property
    def index(self) -> int:
        """Its place among the documents of the file."""
        text = next((str(self.annotations[key]) for key in _INDICES if key in self.annotations), "")
        return int(text) if text.isdecimal() else 0


@dataclass
class Call:
    """One run of a function.

    Attributes:
        items: The resources; a function may replace their values and the list itself.
        config: Value of the functionConfig; None if there is none.
        results: The results that the function reports.
        log: The lines that it prints.
    """

    items: list[Item]
    config: Value
    results: list[dict[str, Value]] = field(default_factory=list)
    log: str = ""

    def say(self, message: str, severity: str = "", **about: Value) -> None:
        """Add a result; `about` may have `resourceRef`, `field` and `file`."""
        result: dict[str, Value] = {"message": message}
        if severity:
            result["severity"] = severity
        self.results.append({**result, **about})

    @property
    def config_is_config_map(self) -> bool:
        """Whether the functionConfig is a `v1` ConfigMap."""
        return text_of(self.config, "apiVersion") == "v1" and text_of(self.config, "kind") == "ConfigMap"

    def config_is(self, kind: str) -> bool:
        """Return whether the functionConfig is of a kind of the catalog's own group."""
        return text_of(self.config, "apiVersion") == "fn.kpt.dev/v1alpha1" and text_of(self.config, "kind") == kind

    def config_reference(self) -> dict[str, Value]:
        """`resourceRef` and `file` of a result about the functionConfig."""
        reference = {
            "apiVersion": text_of(self.config, "apiVersion"),
            "kind": text_of(self.config, "kind"),
            "name": text_of(self.config, "metadata", "name"),
            "namespace": text_of(self.config, "metadata", "namespace"),
        }
        return {"resourceRef": {key: value for key, value in reference.items() if value}, "file": {"index": -1}}


Function = Callable[[Call], None]
"""A built-in function: changes the items of the call and adds results."""


def execute(function: Function, request: bytes) -> Reply:
    """Run a built-in function on a serialised ResourceList.

    A list that is no YAML, or an item that is none, fails the function, and the reply has no list. A function that
    fails leaves the items as they were.
    """
    try:
        listed = split_list(request)
    except YamlError as error:
        return Reply(b"", f"cannot read the resource list: {error}", 1)
    call = Call([Item(text) for text in listed.items], listed.function_config)
    try:
        function(call)
        made, exit_code = [item.text for item in call.items], 0
    except FunctionError as error:
        call.log = f"{call.log}\n{error}".strip()
        made, exit_code = listed.items, 1
    except YamlError as error:
        return Reply(b"", f"{call.log}\ncannot read or write a resource: {error}".strip(), 1)
    answer = compose_list(made, results=call.results or None)
    return Reply(answer, call.log, exit_code)


def strings(value: Value) -> dict[str, str]:
    """Return a map with its values as strings, as in ConfigMap data; values that are no scalars are left out."""
    return {key: scalar_text(item) for key, item in map_of(value).items() if not isinstance(item, dict | list)}


def scalar_text(value: Value) -> str:
    """Return a scalar as a setter or label value."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return dump(value).rstrip("\n")


def change(value: Value, path: Sequence[str], update: Callable[[Value], Value], *, create: bool = False) -> Value:
    """Return a copy of the value with the value at a path updated.

    Args:
        value: Where to begin; never changed itself.
        path: Keys; `[]` stands for every element of a list.
        update: Returns the new value for the old one, which is None where `create` made the place.
        create: Whether missing mappings on the way are made.

    Returns:
        The very same object if nothing changed.
    """
    if not path:
        return update(value)
    step, rest = path[0], path[1:]
    if step == "[]":
        if not isinstance(value, list):
            return value
        elements = [change(element, rest, update, create=create) for element in value]
        return value if all(new is old for new, old in zip(elements, value, strict=True)) else elements
    if not isinstance(value, dict):
        if value is not None or not create:
            return value
        value = {}
    old = value.get(step)
    if old is None and not create:
        return value
    new = change(old, rest, update, create=create)
    return value if new is old else {**value, step: new}


def quoted(text: str) -> str:
    """Return a text in quotes as the catalog's functions show it in messages (Go's `%q`)."""
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(raw, escaped)
    return f'"{text}"'
