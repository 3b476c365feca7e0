"""Encoding of resources as the input of a function, and decoding of its answer.

The wire is the ResourceList: annotations tell a function the file and index of each item.

Source: docs/reference/kpt-rendering.md, "ResourceList" and "Answers of functions".
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from posixpath import normpath

from porchflow.kpt.format.answered import edited_like, rewritten
from porchflow.kpt.format.files import join, new_path_problem, path_problem
from porchflow.kpt.format.function_paths import BadOutputError, check_places
from porchflow.kpt.format.krm import krm_problem, map_of, text_of
from porchflow.kpt.format.node_budget import NodeBudget
from porchflow.kpt.format.resource_list import ItemList, compose_list, split_list
from porchflow.kpt.format.resources import LAST, Resource
from porchflow.kpt.format.results import Result, parse_results
from porchflow.kpt.format.wire_text import Annotated, annotated
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import MappingNode, Node, SequenceNode, Value
from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

PATH, LEGACY_PATH = "internal.config.kubernetes.io/path", "config.kubernetes.io/path"
INDEX, LEGACY_INDEX = "internal.config.kubernetes.io/index", "config.kubernetes.io/index"
PACKAGE_PATH = "internal.config.kubernetes.io/package-path"
SEQUENCE_INDENT = "internal.config.kubernetes.io/seqindent"
MIGRATION_ID = "internal.config.kubernetes.io/annotations-migration-resource-id"
RESOURCE_ID = "internal.config.k8s.io/kpt-resource-id"
IDS = ("internal.config.kubernetes.io/id", "config.k8s.io/id")
INTERNAL = frozenset(
    {PATH, LEGACY_PATH, INDEX, LEGACY_INDEX, PACKAGE_PATH, SEQUENCE_INDENT, MIGRATION_ID, RESOURCE_ID, *IDS}
)
"""Annotations that exist on the wire only."""


@dataclass(frozen=True)
class Sent:
    """The input of a function, kept to recognise its items in the answer.

    Attributes:
        resources: The resources of the input.
        items: Their texts on the wire, in the same order.
        top: Directory of the top package: `/` on the wire.
        package: Directory of the package whose pipeline runs.
        content: The serialised ResourceList.
    """

    resources: Sequence[Resource]
    items: Sequence[Annotated]
    top: str
    package: str
    content: bytes


@dataclass(frozen=True)
class Answer:
    """The answer of a function.

    Attributes:
        resources: Its items. An item of the input keeps its text wherever the value is the same.
        places: For each item its position in the input; None for new ones.
        results: Its results.
    """

    resources: list[Resource]
    places: list[int | None]
    results: list[Result]


def encode(
    resources: Sequence[Resource],
    *,
    top: str,
    package: str,
    config: str | None,
    mutator: bool,
    chosen: Sequence[int] | None = None,
) -> Sent:
    """Write the input of one function.

    Args:
        resources: The resources of the input.
        top: Directory of the top package.
        package: Directory of the package whose pipeline runs.
        config: Text of the functionConfig document; None for none.
        mutator: Whether the function is a mutator; only for mutators kpt marks the items by their positions.
        chosen: Positions of the resources in the package, if the function has selectors; None otherwise.
    """
    items = [
        annotated(resource.document, _wire(resource, top, place, _marks(place, chosen) if mutator else {}))
        for place, resource in enumerate(resources)
    ]
    content = compose_list((item.text for item in items), function_config=config)
    return Sent(resources, items, top, package, content)


def _wire(resource: Resource, top: str, place: int, marks: dict[str, str]) -> dict[str, str]:
    index = resource.index_text
    return {
        **({LEGACY_INDEX: index} if index else {}),
        LEGACY_PATH: resource.path,
        **({INDEX: index} if index else {}),
        PACKAGE_PATH: _absolute(resource.package, top),
        PATH: resource.path,
        SEQUENCE_INDENT: _sequence_indent(resource.document.root),
        **marks,
        IDS[0]: str(place + 1),
        IDS[1]: str(place + 1),
    }


def _marks(place: int, chosen: Sequence[int] | None) -> dict[str, str]:
    marks = {MIGRATION_ID: str(place)}
    return marks if chosen is None else {**marks, RESOURCE_ID: str(chosen[place])}


def _sequence_indent(root: Node | None) -> str:
    """Return `wide` if the document's first list below a key is indented deeper than the key, else `compact`."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, SequenceNode):
            stack += reversed(node.items)
        elif isinstance(node, MappingNode):
            for _, value in node.entries:
                if isinstance(value, SequenceNode) and not value.flow:
                    return "wide" if value.column > node.column else "compact"
            stack += reversed([value for _, value in node.entries])
    return "compact"


def _absolute(package: str, top: str) -> str:
    return "/" + package[len(top) :].lstrip("/")


def decode(sent: Sent, content: bytes) -> Answer:
    """Decode the answer of a function, and match its items with those of the input.

    Raises:
        BadOutputError: The answer is no ResourceList, or an item is no resource or lies outside of the package.
    """
    if not content.strip() and sent.resources:
        raise BadOutputError(
            "the function gave no output; to delete everything it must answer with an empty list of items"
        )
    try:
        listed, found = _read(sent, content)
    except YamlError as error:
        hint = "a function must write a ResourceList and nothing else to its standard output"
        raise BadOutputError(f"MalformedYAMLError: {error}; {hint}") from None
    resources = [resource for resource, _ in found]
    check_places(resources)
    _check_krm(resources)
    return Answer(resources, [place for _, place in found], parse_results(listed.results))


def _read(sent: Sent, content: bytes) -> tuple[ItemList, list[tuple[Resource, int | None]]]:
    try:
        listed = split_list(content)
        return listed, _Reader(sent).read_all(listed.items)
    except YamlError:
        # An item may refer to an anchor in another one. Errors also get the line in the whole list this way.
        listed = split_list(content, by_nodes=True)
        return listed, _Reader(sent).read_all(listed.items)


class _Reader:
    """Matches items of an answer with those of the input."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.by_text = {item.text: place for place, item in enumerate(sent.items)}
        self.by_id = {str(place + 1): place for place in range(len(sent.resources))}
        self.by_place = {(item.full_path, item.index): place for place, item in enumerate(sent.resources)}
        self.used: set[int] = set()
        self.budget = NodeBudget()

    def read_all(self, items: Sequence[str]) -> list[tuple[Resource, int | None]]:
        found = []
        for number, text in enumerate(items, 1):
            try:
                found.append(self.read(text))
            except BadOutputError as problem:
                raise _of_item(number, problem) from None
        return found

    def read(self, text: str) -> tuple[Resource, int | None]:
        place = self.by_text.get(text)
        if place is not None and place not in self.used:
            self.used.add(place)
            return self.sent.resources[place], place
        return self._edited(text) or self._parsed(text)

    def _edited(self, text: str) -> tuple[Resource, int] | None:
        """Parse an item without its annotations of the wire, if they came back unchanged; None if they did not."""
        found = _ID.search(text)
        place = self.by_id.get(found[1]) if found else None
        if place is None or place in self.used:
            return None
        candidate = _document(self.sent.items[place].without_lines(text))
        if candidate is None or not isinstance(candidate.value, dict):
            return None
        if not INTERNAL.isdisjoint(map_of(candidate.value, "metadata", "annotations")):
            return None
        self.used.add(place)
        self.budget.take(candidate)
        old = self.sent.resources[place]
        return replace(old, document=rewritten(old.document, candidate)), place

    def _parsed(self, text: str) -> tuple[Resource, int | None]:
        document = Document(text)
        self.budget.take(document)
        if not isinstance(document.value, dict):
            raise BadOutputError(f"{_ONLY_KRM}: an item is not a mapping")
        annotations = map_of(document.value, "metadata", "annotations")
        place = self._identify(annotations)
        if place is None:
            return self._new(document, annotations), None
        self.used.add(place)
        return self._known(self.sent.resources[place], document, annotations), place

    def _identify(self, annotations: dict[str, Value]) -> int | None:
        place: int | None = None
        for name in IDS:
            place = self.by_id.get(str(annotations.get(name)))
            if place is not None:
                return place if place not in self.used else None
        path, index = annotations.get(PATH), annotations.get(INDEX)
        if isinstance(path, str) and isinstance(index, str) and _INDEX.fullmatch(index):
            full = join(self._package(annotations), path)
            place = self.by_place.get((full, int(index)))
        return place if place not in self.used else None

    def _known(self, old: Resource, answer: Document, annotations: dict[str, Value]) -> Resource:
        path = _reconcile("path", annotations.get(LEGACY_PATH), annotations.get(PATH), old.path)
        index = _reconcile("index", annotations.get(LEGACY_INDEX), annotations.get(INDEX), old.index_text)
        value = answer.value
        document = edited_like(old.document, _without_wire(value, old.value), answer)
        package = self._package(annotations) if PACKAGE_PATH in annotations else old.package
        moved = _clean_path(path if path is not None else _default_path(value), old.path)
        return Resource(package, moved, _index(index), document, old.origin)

    def _new(self, document: Document, annotations: dict[str, Value]) -> Resource:
        path = _reconcile("path", annotations.get(LEGACY_PATH), annotations.get(PATH), None)
        index = _reconcile("index", annotations.get(LEGACY_INDEX), annotations.get(INDEX), None)
        value = document.value
        document = document.edit(_without_wire(value, {}))
        place = _clean_path(path if path is not None else _default_path(value), None)
        return Resource(self._package(annotations), place, _index(index), document)

    def _package(self, annotations: dict[str, Value]) -> str:
        """Return the directory of an item's package by its annotations; without one, the package that runs."""
        named = annotations.get(PACKAGE_PATH)
        if not isinstance(named, str):
            return self.sent.package
        package = normpath(join(self.sent.top, named.strip("/"))) if named.strip("/") else self.sent.top
        inside = package == self.sent.package or package.startswith(join(self.sent.package, ""))
        if not inside or path_problem(package or "x"):
            raise BadOutputError(
                f"function must not modify resources outside of package: resource has package path {shown(named)}"
            )
        return package


_ID = re.compile(rf"^ *{re.escape(IDS[0])}: '([0-9]+)'$", re.MULTILINE)


def _document(text: str | None) -> Document | None:
    try:
        return Document(text) if text is not None else None
    except YamlError:
        return None


def _reconcile(what: str, legacy: Value, internal: Value, old: str | None) -> str | None:
    """Return the value of an annotation that exists under two keys, of which functions may change one.

    Args:
        what: `path` or `index`.
        legacy: Value under the legacy key.
        internal: Value under the internal key.
        old: Value in the input; None for a new item.
    """
    if legacy is None and internal is None:
        return None
    for value in (legacy, internal):
        if isinstance(value, dict | list):
            raise BadOutputError(f"a resource has the {what} annotation {shown(str(value))}: it must be a text")
    one, other = str(internal if legacy is None else legacy), str(legacy if internal is None else internal)
    if other in (one, old):
        return one
    if one == old:
        return other
    raise BadOutputError(f"resource input to function has mismatched legacy and internal {what} annotations")


def _clean_path(path: str, old: str | None) -> str:
    """Return the path for a resource; its former path `old` stays even if a new file could not have it."""
    if path == old:
        return path
    clean = normpath(path.lstrip("/"))
    if clean == ".." or clean.startswith("../"):
        raise BadOutputError(f"function must not modify resources outside of package: resource has path {shown(path)}")
    problem = new_path_problem(clean)
    if problem:
        raise BadOutputError(f"resource has path '{shown(path)}': {problem}")
    return clean


def _index(text: str | None) -> int:
    if text is None or not text:
        return LAST
    if not _INDEX.fullmatch(text):
        raise BadOutputError(f"resource has index '{shown(text)}', expected a number from 0 to 999999999")
    return int(text)


_INDEX = re.compile("[0-9]{1,9}")


def _default_path(value: Value) -> str:
    """Return kpt's path for a resource that a function created without a path."""
    namespace, name = text_of(value, "metadata", "namespace"), text_of(value, "metadata", "name")
    file = f"{text_of(value, 'kind').lower()}_{name}.yaml"
    return f"{namespace}/{file}" if namespace else file


def _without_wire(value: dict[str, Value], old: dict[str, Value]) -> dict[str, Value]:
    """Return the value without the annotations of the wire; those that the document itself had come back."""
    metadata = map_of(value, "metadata")
    kept = {key: item for key, item in map_of(metadata, "annotations").items() if key not in INTERNAL}
    kept |= {key: item for key, item in map_of(old, "metadata", "annotations").items() if key in INTERNAL}
    rest = {key: item for key, item in metadata.items() if key != "annotations"}
    if kept:
        return {**value, "metadata": {**rest, "annotations": kept}}
    if "annotations" in map_of(old, "metadata") and not map_of(old, "metadata", "annotations"):
        rest["annotations"] = old["metadata"]["annotations"]
    if rest or map_of(old, "metadata"):
        return {**value, "metadata": rest}
    if "metadata" in old:
        return {**value, "metadata": old["metadata"]}
    return {key: item for key, item in value.items() if key != "metadata"}


def _check_krm(resources: Iterable[Resource]) -> None:
    for number, resource in enumerate(resources, 1):
        problem = krm_problem(resource.path, resource.value)
        if problem:
            raise _of_item(number, f"{_ONLY_KRM}: {shown(resource.path)}: {problem}")


def _of_item(number: int, problem: object) -> BadOutputError:
    return BadOutputError(f"{problem} (item {number} of its answer)")


_ONLY_KRM = "output resource list must contain only KRM resources"
