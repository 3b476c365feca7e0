from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.yamltext import document as yaml_text
from porchflow.yamltext.document import Document, apply, dump, load, same
from porchflow.yamltext.split import join, split
from tests.yamltext.yaml_documents import changes, documents, mappings, texts, values

relaxed = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


@relaxed
@given(documents())
def test_the_same_value_leaves_every_byte(text: str) -> None:
    assert apply(text, load(text)) == text


@relaxed
@given(st.data())
def test_an_edited_text_means_the_new_value(data: st.DataObject) -> None:
    text = data.draw(documents())
    new = data.draw(changes(load(text)))
    assert same(load(apply(text, new)), new)


@relaxed
@given(mappings)
def test_a_new_document_means_its_value(value: Any) -> None:
    assert same(load(dump(value)), value)


@relaxed
@given(documents(), values)
def test_a_key_that_is_added_leaves_the_other_lines(text: str, value: Any) -> None:
    document = Document(text)
    assert document.root is not None
    new = {**document.value, "a key of its own": value}
    edited = apply(text, new)
    exotic = any(word in text for word in ("*", "\u2028", "\u2029", "\x85"))
    if not exotic and not document.root.flow and "\n? " not in "\n" + text:  # type: ignore[union-attr]
        assert _without_insertion(text, edited)
    back = apply(edited, document.value)
    assert same(load(back), document.value)


def _without_insertion(old: str, new: str) -> bool:
    """Whether `new` is `old` with lines put in at one place."""
    before, after = old.splitlines(), new.splitlines()
    head = 0
    while head < len(before) and before[head] == after[head]:
        head += 1
    return before[head:] == after[len(after) - (len(before) - head) :]


@relaxed
@given(st.lists(texts, max_size=6))
def test_split_and_join_give_the_same_text(lines: list[str]) -> None:
    text = "\n---\n".join(line.replace("---", "") for line in lines)
    assert join(split(text)) == text


@relaxed
@given(st.data())
def test_most_edits_need_no_rewriting(data: st.DataObject) -> None:
    text = data.draw(documents())
    new = data.draw(changes(load(text)))
    # libyaml breaks lines at the last three as well, which no editor does.
    if any(odd in text for odd in ("*", "? ", "\r", "\x85", "\u2028", "\u2029")) or not new:
        return
    document = Document(text)
    edited = yaml_text._edited(document, new)
    assert edited is not None, apply(text, new)
    assert same(edited.value, new)
