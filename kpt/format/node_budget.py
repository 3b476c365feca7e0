"""The bound on nodes of YAML that one operation holds at once: two characters of text can take hundreds of bytes."""

from porchflow.api.limits import KRM_NODES
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import MappingNode, Node, SequenceNode
from porchflow.yamltext.yaml_error import YamlError


class NodeBudget:
    """Counts the nodes of documents, once their text is long enough for too many."""

    def __init__(self) -> None:
        """Create a budget of which nothing is used."""
        self._characters = 0
        self._nodes = 0
        self._uncounted: list[Node] = []

    def take(self, document: Document) -> None:
        """Add a document.

        Raises:
            YamlError: All documents together have too many nodes.
        """
        self._characters += len(document.text)
        if document.root is not None:
            self._uncounted.append(document.root)
        # Each node has at least one character.
        if self._characters <= KRM_NODES:
            return
        self._nodes += sum(map(_count, self._uncounted))
        self._uncounted = []
        if self._nodes > KRM_NODES:
            raise YamlError(f"with all before it more than {KRM_NODES:,} nodes (the limit): split the package")


def _count(root: Node) -> int:
    number, stack = 0, [root]
    while stack:
        node = stack.pop()
        number += 1
        if isinstance(node, MappingNode):
            number += len(node.entries)
            stack += [value for _, value in node.entries]
        elif isinstance(node, SequenceNode):
            stack += node.items
    return number
