"""One YAML document as text and as a value; a change of the value changes only the lines that must change."""

import re
from collections.abc import Callable, Iterator
from functools import partial

from porchflow.yamltext.aliases import has_aliases
from porchflow.yamltext.align import same
from porchflow.yamltext.edit import Aliases, Editor, Slot
from porchflow.yamltext.emit import Style, block, check, inline, is_block
from porchflow.yamltext.lines import InexpressibleError
from porchflow.yamltext.nodes import MappingNode, Node, SequenceNode, Value, compose
from porchflow.yamltext.yaml_error import YamlError

__all__ = ["Document", "apply", "dump", "load", "same"]

_ROOT = Slot("root")
_LONE_LF = re.compile(r"(?<!\r)\n")


class Document:
    """A parsed document. Immutable: an edit returns another one."""

    __slots__ = ("_root", "text")

    def __init__(self, text: str, root: Node | None = None) -> None:
        """Parse `text`, unless the caller has its node tree.

        Raises:
            YamlError: See `porchflow.yamltext.nodes.compose`.
        """
        self.text = text
        self._root = root if root is not None else compose(text)

    @property
    def root(self) -> Node | None:
        """The node tree; None for a document of blanks and comments."""
        return self._root

    @property
    def value(self) -> Value:
        """The value of the document. Shared: copy before changing."""
        return self._root.value if self._root is not None else None

    def line_of(self, *path: str | int) -> int:
        """Return the 1-based line on which the value at a path of keys and indices stands; 0 when there is none."""
        node = self._root
        for step in path:
            node = _child(node, step)
        return self.text.count("\n", 0, node.start) + 1 if node is not None else 0

    def edit(self, new: Value, *, by_position: bool = False) -> "Document":
        """Return the document with another value.

        Comments, key order, quoting, indentation, line endings and every line with the same meaning stay as they are.

        Args:
            new: The wanted value. Keys new to a mapping come last, in the order given.
            by_position: Whether the elements of a list are those of an old list of the same length, one by one.
                Otherwise their contents decide which were removed, added and changed.

        Raises:
            YamlError: The value cannot be written as YAML.
        """
        if same(self.value, new):
            return self
        if self._root is None:
            return Document(_append(self.text, dump(new)))
        for attempt in self._attempts(by_position=by_position):
            candidate = attempt(self, new)
            if candidate is not None and same(candidate.value, new):
                return candidate
        raise YamlError("the value cannot be written into this document")

    def _attempts(self, *, by_position: bool) -> "Iterator[Callable[[Document, Value], Document | None]]":
        for aliases in Aliases if has_aliases(self.text, self._root) else (Aliases.EDITED,):
            for positions in (True, False) if by_position else (False,):
                yield partial(_edited, by_position=positions, aliases=aliases)
        yield from (_edited_without_aliases, _rewritten, _written_anew)

    def edit_text(self, new: Value, *, by_position: bool = False) -> str:
        """Edit like `edit`, without the proof by parsing again; for callers that parse the text anyway."""
        if self._root is None or has_aliases(self.text, self._root):
            return self.edit(new, by_position=by_position).text
        text = _edited_text(self.text, self._root, new, by_position=by_position, moves=False)
        return self.edit(new, by_position=by_position).text if text is None else text


def load(text: str) -> Value:
    """Return the value of one YAML document.

    Raises:
        YamlError: See `porchflow.yamltext.nodes.compose`.
    """
    return Document(text).value


def apply(text: str, new: Value) -> str:
    """Return the text of one document, changed to mean `new`; see `Document.edit`."""
    return Document(text).edit(new).text


def dump(value: Value) -> str:
    """Return a new document in kpt's own style: two columns of indentation, lists right below their key."""
    check(value)
    lines = block(value, 0, Style()) if is_block(value) else inline(value, 0, Style())
    return "\n".join(lines) + "\n"


def _child(node: Node | None, step: str | int) -> Node | None:
    if isinstance(node, MappingNode):
        return next((value for key, value in node.entries if key.raw == step), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def _append(text: str, addition: str) -> str:
    return text + addition if not text or text.endswith("\n") else f"{text}\n{addition}"


def _edited(
    document: Document, new: Value, *, by_position: bool = False, aliases: Aliases = Aliases.EDITED
) -> Document | None:
    root = document.root
    if root is None:
        return None
    return _parsed(_edited_text(document.text, root, new, by_position=by_position, aliases=aliases))


def _edited_without_aliases(document: Document, new: Value) -> Document | None:
    """Edit after replacing each alias by its value: an anchored value and its aliases may have to differ now."""
    root = document.root
    if root is None or "*" not in document.text:
        return None
    try:
        editor = Editor(document.text, root)
        editor.expand_aliases(root, _ROOT)
        expanded = _parsed(editor.result())
    except InexpressibleError:
        return None
    if expanded is None or not same(expanded.value, document.value):
        return None
    return _edited(expanded, new)


def _rewritten(document: Document, new: Value) -> Document | None:
    """Replace everything but the comments before and after the document."""
    root = document.root
    if root is None:
        return None
    head, tail = document.text[: root.start].rstrip(" "), document.text[root.end :]
    return _parsed(head + dump(new) + tail.lstrip("\r\n"))


def _written_anew(_: Document, new: Value) -> Document | None:
    return _parsed(dump(new))


def _parsed(text: str | None) -> Document | None:
    if text is None:
        return None
    try:
        return Document(text)
    except YamlError:
        return None


def _edited_text(
    text: str,
    root: Node,
    new: Value,
    *,
    by_position: bool = False,
    aliases: Aliases = Aliases.EDITED,
    moves: bool = True,
) -> str | None:
    """Return the edited text; None when the edits do not fit together, or move text and must not."""
    if "\r" in text and not _LONE_LF.search(text):
        unix = text.replace("\r\n", "\n")
        again = partial(_edited_text, unix, by_position=by_position, aliases=aliases, moves=moves)
        edited = again(compose(unix) or root, new) if "\r" not in unix else None
        return edited.replace("\n", "\r\n") if edited is not None else None
    ended = text if text.endswith("\n") else text + "\n"
    editor = Editor(ended, root, by_position=by_position, aliases=aliases)
    try:
        editor.update(root, new, _ROOT)
        result = editor.result()
    except InexpressibleError:
        return None
    if editor.moved and not moves:
        return None
    return result if ended is text else result.removesuffix("\n")
