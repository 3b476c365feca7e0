import pytest

from porchflow.content.refusals import ApiError
from porchflow.content.serving.selectors import read_selection


def test_what_the_api_server_can_select_is_asked_of_it() -> None:
    query = {"fieldSelector": "spec.packageName=a\\,b,metadata.name==x", "labelSelector": "a in (b)"}
    selection = read_selection(query)
    assert selection.fields == "spec.packageName=a\\,b,metadata.name=x"
    assert selection.labels == "a in (b)"
    assert selection.holds({})


@pytest.mark.parametrize(
    ("selector", "obj", "holds"),
    [
        ("spec.revision=0", {}, True),
        ("spec.revision=0", {"status": {"revision": 1}}, False),
        ("spec.revision=-1", {"status": {"revision": -1}}, True),
        ("spec.packageMetadata.labels[app]=web", {"spec": {"packageMetadata": {"labels": {"app": "web"}}}}, True),
        ("spec.packageMetadata.labels[app]=web", {"spec": {"packageMetadata": {"labels": {"app": "db"}}}}, False),
        ("spec.packageMetadata.labels[a/b]=c", {"spec": {}}, False),
    ],
)
def test_the_rest_is_looked_at_here(selector: str, obj: dict[str, object], holds: bool) -> None:
    selection = read_selection({"fieldSelector": selector})
    assert selection.fields == ""
    assert selection.holds(obj) is holds


@pytest.mark.parametrize("selector", ["spec.resources=x", "metadata.name", "metadata.name=", "spec.revision!=1", "=x"])
def test_what_cannot_be_selected_by_is_a_bad_request(selector: str) -> None:
    with pytest.raises(ApiError) as error:
        read_selection({"fieldSelector": selector})
    assert error.value.code == 400
