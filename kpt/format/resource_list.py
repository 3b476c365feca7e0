"""The ResourceList: the format of a function's input and output.

Each item is the text of a document, indented below a dash, with annotations for its file and index. An item of the
output with the same text as one of the input is the same resource, and is not parsed again.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from porchflow.yamltext.document import Document, dump
from porchflow.yamltext.nodes import MappingNode, SequenceNode, Value
from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

API_VERSION = "config.kubernetes.io/v1"
KIND = "ResourceList"
_BREAKS = ("\n", "\x85", "\u2028", "\u2029")
_YAML_LINE = re.compile("[^\n\x85\u2028\u2029]*[\n\x85\u2028\u2029]")
_COMMENT = re.compile(r"(?:[ \t]+#[^\n]*)?")
_HEADER = f"apiVersion: {API_VERSION}\nkind: {KIND}\n"


@dataclass(frozen=True)
class ItemList:
    """A ResourceList cut into items.

    Attributes:
        items: The text of each item, as a document of its own.
        head: All other fields: apiVersion, kind, functionConfig, results.
    """

    items: list[str]
    head: Document

    @property
    def function_config(self) -> Value:
        """The functionConfig; None if there is none."""
        return self._value.get("functionConfig")

    @property
    def results(self) -> Value:
        """The raw results; None if there are none."""
        return self._value.get("results")

    @property
    def _value(self) -> dict[str, Value]:
        return self.head.value if isinstance(self.head.value, dict) else {}


def compose_list(items: Iterable[str], *, function_config: str | None = None, results: Value = None) -> bytes:
    """Serialise a ResourceList.

    Args:
        items: Text of each document, without comments before or behind it (see `item_text`).
        function_config: Text of the functionConfig document; None for none.
        results: Value of `results`; None for none.
    """
    body = "".join(_listed(item) for item in items)
    text = f"{_HEADER}items:\n{body}" if body else f"{_HEADER}items: []\n"
    if function_config is not None:
        text += "functionConfig:\n" + "".join(map(_indented, _lines(function_config)))
    if results is not None:
        text += dump({"results": results})
    return text.encode()


def body_span(document: Document) -> tuple[int, int]:
    """Return start and end of the document's own lines in its text: without comments and markers around it."""
    text, root = document.text, document.root
    if root is None:
        return 0, 0
    start = text.rfind("\n", 0, root.start) + 1
    if text[root.end - 1] in _BREAKS:
        return start, root.end
    return start, text.find("\n", root.end) + 1 or len(text)


def own_lines(document: Document) -> str:
    """Return the text of a document as an item of a ResourceList."""
    start, end = body_span(document)
    return item_text(document.text[start:end])


def item_text(body: str) -> str:
    """Return a document's own lines as the text of an item: with Unix line ends, also after the last line."""
    body = body.replace("\r\n", "\n")
    return body if body.endswith(_BREAKS) else body + "\n"


def _listed(document: str) -> str:
    first, *rest = _lines(document)
    return "- " + first + "".join(map(_indented, rest))


def _lines(text: str) -> list[str]:
    """Return the lines of a text by YAML's line breaks; `str.splitlines` breaks at more characters."""
    ended = text if text.endswith(_BREAKS) else text + "\n"
    return [line + "\n" for line in ended[:-1].split("\n")] if text.isascii() else _YAML_LINE.findall(ended)


def _indented(line: str) -> str:
    return line if line == "\n" else "  " + line


def split_list(content: bytes, *, by_nodes: bool = False) -> ItemList:
    """Cut a ResourceList into items.

    Args:
        content: The serialised list.
        by_nodes: Parse the whole list, even if its layout allows cutting it line by line.

    Raises:
        YamlError: The content is not UTF-8, not YAML, or no ResourceList.
    """
    try:
        text = content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlError(f"byte 0x{content[error.start]:02x} is not UTF-8", line) from None
    found = None if by_nodes else _split_lines(_lines(text))
    if found is None:
        return _split_nodes(text)
    head = Document("".join(found[1]))
    _check_head(head.value)
    return ItemList(found[0], head)


def _check_head(value: Value) -> None:
    if not isinstance(value, dict):
        what = "a list" if isinstance(value, list) else "nothing" if value is None else "a text"
        raise YamlError(f"expected a ResourceList, found {what}")
    if value.get("kind") not in (KIND, "FunctionResultList"):
        raise YamlError(f"expected a ResourceList, found {_kind(value.get('kind'))}")


def _kind(kind: Value) -> str:
    return "no kind" if kind is None else f"kind '{shown(str(kind))}'"


def _split_lines(lines: list[str]) -> tuple[list[str], list[str]] | None:
    """Return the items and all other lines of a list in the layout of kpt and this module; None for other layouts."""
    head: list[str] = []
    items: list[list[str]] = []
    inside = listed = False
    for line in lines:
        first = line[0]
        if inside and line.startswith("-  "):
            # A deeper indentation than kpt's would stay in a new file.
            return None
        if inside and line.startswith("- "):
            items.append([line[2:]])
        elif inside and first in " \n" and items:
            items[-1].append(line.removeprefix("  "))
        elif first in "&*!{[%#\t" or (first in "- \n" and (inside or not head)):
            return None
        elif line.startswith("items:"):
            inside = line == "items:\n"
            if listed or (not inside and line != "items: []\n"):
                return None
            listed = True
        else:
            inside = False
            head.append(line)
    return ["".join(item) for item in items], head


def _split_nodes(text: str) -> ItemList:
    """Return the items and the rest of a list in any layout, by its nodes."""
    document = Document(text)
    _check_head(document.value)
    items: list[str] = []
    node = _items_node(document)
    if node is not None:
        line = 0
        for index, item in enumerate(node.items):
            own = text[item.start : _COMMENT.match(text, item.end).end()]  # type: ignore[union-attr]  # it matches nothing too
            # The search begins at the line of the item before, since all may stand on one line.
            line = max(line, text.rfind("\n", line, item.start) + 1)
            items.append(_own_text(own, item.start - line, node.value[index]))
    head = {key: value for key, value in document.value.items() if key != "items"}
    return ItemList(items, Document(dump(head)))


def _items_node(document: Document) -> SequenceNode | None:
    root = document.root
    if not isinstance(root, MappingNode):
        return None
    node = next((value for key, value in root.entries if key.raw == "items"), None)
    if node is not None and node.value and not isinstance(node, SequenceNode):
        raise YamlError("`items` of the ResourceList must be a list written in place")
    return node if isinstance(node, SequenceNode) else None


def _own_text(text: str, column: int, value: Value) -> str:
    """Return an item's text without its indentation; dump its value if the text alone has another value.

    That is so for an alias to another item.
    """
    pad = " " * column
    first, *rest = text.split("\n")
    moved = "\n".join([first, *(line.removeprefix(pad) for line in rest)]) + "\n"
    try:
        if Document(moved).value == value:
            return moved
    except YamlError:
        pass
    return dump(value)
