"""Aliases: whether a document has any, and the value that it has after an edit at their anchors."""

from porchflow.yamltext.align import same
from porchflow.yamltext.nodes import AliasNode, MappingNode, Node, ScalarNode, SequenceNode, Value


def has_aliases(text: str, root: Node | None) -> bool:
    """Return whether a document has an alias."""
    stack = [root] if "*" in text else []
    while stack:
        node = stack.pop()
        if isinstance(node, AliasNode):
            return True
        if isinstance(node, MappingNode):
            stack += [value for _, value in node.entries]
        elif isinstance(node, SequenceNode):
            stack += node.items
    return False


def is_merge(key: ScalarNode) -> bool:
    """Return whether a key is the merge key `<<`."""
    return key.raw == "<<" and not key.style


def followed(root: Node, new: Value) -> Value:
    """Return a value in which each alias means what stands at its anchor, as after an edit of the text there.

    Args:
        root: The document before the edit.
        new: Its value after the edit. An alias with a value of its own there keeps it.
    """
    return _Follower().value(root, new)


class _Follower:
    """Walks a document in the order of its text, where an anchor stands before its aliases."""

    def __init__(self) -> None:
        self.now: dict[int, Value] = {}

    def value(self, node: Node, new: Value) -> Value:
        found = self.now[id(node)] = self._value(node, new)
        return found

    def _value(self, node: Node, new: Value) -> Value:
        if isinstance(node, AliasNode):
            return self.now.get(id(node.target), new) if same(node.value, new) else new
        if isinstance(node, MappingNode) and isinstance(new, dict):
            return self._mapping(node, new)
        if isinstance(node, SequenceNode) and isinstance(new, list) and len(new) == len(node.items):
            return [self.value(item, value) for item, value in zip(node.items, new, strict=True)]
        return new

    def _mapping(self, node: MappingNode, new: dict[str, Value]) -> dict[str, Value]:
        merged: dict[str, Value] = {}
        found: dict[str, Value] = {}
        for key, value in node.entries:
            if is_merge(key):
                sources = self.value(value, value.value)
                for source in sources if isinstance(sources, list) else [sources]:
                    merged = {**source, **merged}
            elif key.raw in new:
                found[key.raw] = self.value(value, new[key.raw])
        for name, now in merged.items():
            if name not in found and name in new and same(node.value[name], new[name]):
                found[name] = now
        return {**new, **found}
