"""The law of edits: n changed scalars change their own texts and nothing else, wherever their items stand."""

from typing import Any

from hypothesis import HealthCheck, given, settings

from porchflow.yamltext.document import Document, apply, load
from tests.yamltext.kubernetes_lists import edits, text_of, value_of


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits())
def test_changed_scalars_change_their_texts_and_nothing_else(edit: tuple[dict[str, Any], dict[str, Any]]) -> None:
    old, new = edit
    text = text_of(old)
    assert load(text) == value_of(old)
    assert apply(text, value_of(new)) == text_of(new)
    assert Document(text).edit_text(value_of(new)) == text_of(new)
