"""The text of a resource after a function: its own text, edited, with the answer's comments.

A value alone does not tell whether the elements of a list were moved or renamed. The text of the answer does.
"""

from collections import Counter
from itertools import pairwise

from porchflow.yamltext.document import Document
from porchflow.yamltext.line_comments import adopt
from porchflow.yamltext.nodes import Value


def rewritten(old: Document, answer: Document) -> Document:
    """Return the document with the value and the line comments of a function's answer."""
    # A function that edits text often writes the same text as `edit`. Then the parsed document can stay.
    if any(old.edit_text(answer.value, by_position=by_position) == answer.text for by_position in (False, True)):
        return answer
    return edited_like(old, answer.value, answer)


def edited_like(old: Document, value: Value, answer: Document) -> Document:
    """Return the document with another value: of the two ways to pair elements of lists, the more like the answer.

    Args:
        old: The document before.
        value: The new value.
        answer: The text in which a function wrote it, perhaps with annotations beside it.
    """
    by_content = old.edit(value)
    by_position = old.edit(value, by_position=True)
    if by_content.text == by_position.text:
        return adopt(by_content, answer)
    wanted = _neighbours(answer.text)
    likeness = [(_neighbours(document.text) & wanted).total() for document in (by_content, by_position)]
    return adopt(by_position if likeness[1] > likeness[0] else by_content, answer)


def _neighbours(text: str) -> Counter[tuple[str, str]]:
    """Return how often each line follows each other one, whatever the blanks in them."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return Counter(pairwise(line for line in lines if line))
