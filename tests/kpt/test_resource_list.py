import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.kpt.format.resource_list import compose_list, own_lines, split_list
from porchflow.kpt.render.evaluation import Evaluation
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.yamltext.document import Document, load, same
from porchflow.yamltext.yaml_error import YamlError
from tests.kpt.rendering import config_map
from tests.kptfiles import kptfile
from tests.yamltext.yaml_documents import changes, documents

relaxed = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@relaxed
@given(st.lists(documents(), max_size=4), st.one_of(st.none(), documents()))
def test_documents_travel_as_they_are(texts: list[str], config: str | None) -> None:
    items = [own_lines(Document(text)) for text in texts]
    content = compose_list(
        items, function_config=own_lines(Document(config)) if config else None, results=[{"message": "m"}]
    )
    listed = split_list(content)
    assert listed.items == items
    assert listed.results == [{"message": "m"}]
    for text, item in zip(texts, listed.items, strict=True):
        assert same(load(item), load(text))
    assert same(listed.function_config, load(config) if config else None)
    by_nodes = split_list(content, by_nodes=True)
    assert all(same(load(a), load(b)) for a, b in zip(by_nodes.items, items, strict=True))


HEAD = "apiVersion: v1\nkind: K\nmetadata:\n  name: k\n"


@relaxed
@given(st.data())
async def test_a_function_may_change_anything_in_a_document(data: st.DataObject) -> None:
    """Whatever the document looks like and whatever the function does to it, the file says what the function said."""
    spec = data.draw(documents())
    text = HEAD + "spec:\n" + "".join("  " + line for line in spec.splitlines(keepends=True))
    try:
        value = load(text)["spec"]
    except YamlError:
        return
    if not isinstance(value, dict):
        return
    new = data.draw(changes(value))

    async def function(image: str, resource_list: bytes) -> Evaluation:
        listed = split_list(resource_list)
        items = [Document(item) for item in listed.items]
        changed = [item.edit({**item.value, "spec": new}) if item.value["kind"] == "K" else item for item in items]
        return Evaluation(compose_list([own_lines(item) for item in changed]))

    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "k.yaml": text.encode(), "c.yaml": config_map("c")}
    outcome = await render(files, function, images=ImageResolver(""))
    assert outcome.ok, outcome.message
    assert same(load(outcome.files["k.yaml"].decode())["spec"], new)
    assert outcome.files["k.yaml"].decode().startswith(HEAD)
    assert outcome.files["c.yaml"] == files["c.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "kind: ResourceList\nitems: []\n",
        "kind: ResourceList\n",
        "kind: ResourceList\nitems:\n",
        "{kind: ResourceList, items: []}",
    ],
)
def test_empty_lists(text: str) -> None:
    assert split_list(text.encode()).items == []


def test_comments_between_items_are_no_harm() -> None:
    listed = split_list(b"kind: ResourceList\nitems:\n# one\n- a: 1 # c\n# two\n- b: 2 # d\n# end\n")
    assert listed.items == ["a: 1 # c\n", "b: 2 # d\n"]


def test_windows_line_ends() -> None:
    assert split_list(b"kind: ResourceList\r\nitems:\r\n- a: 1\r\n  b: 2\r\n").items == ["a: 1\nb: 2\n"]
