import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.models.functionconfig import FunctionConfigSpec
from porchflow.functions.config_tags import admits, is_exact, tags_problem

VERSIONS = st.tuples(*[st.integers(0, 30)] * 3).map(lambda parts: "v{}.{}.{}".format(*parts))


def spec(**tags: list[str]) -> FunctionConfigSpec:
    fields = {"binaryExecutor": {"path": "f"}, "goExecutor": {}, "podExecutor": {}}
    executors = {field: {**fields[field], "tags": listed} for field, listed in tags.items()}
    return FunctionConfigSpec.model_validate({"image": "f", **executors})


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_read(listed: str, tag: str) -> None:
    assert admits(listed, listed)
    assert admits("*", tag)
    if is_exact(listed):
        assert admits(listed, tag) is (listed == tag)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_a_range_admits_what_lies_between_its_ends(least: str, below: str, tag: str) -> None:
    def order(version: str) -> list[int]:
        return [int(part) for part in version[1:].split(".")]

    inside = order(least) <= order(tag) < order(below)
    for text in (f">= {least} < {below}", f">={least},<{below}", f">={least} <{below} || =v99.0.0"):
        assert admits(text, tag) is inside


@pytest.mark.parametrize("tag", ["latest", "main", "v1.2.3.4", "sha256-0123", "", "v0.4.1-rc.1"])
def test_tags_that_are_no_versions_fulfil_no_constraint(tag: str) -> None:
    assert not any(admits(each, tag) for each in (">=0", "0.4.x", "!=9.9.9", "1 - 2 || ^0.4", "<99"))


@pytest.mark.parametrize(
    "listed",
    ["", "v0.4", "0.4.1", "latest", "main", "v1-x", "x", "v0.4.1-rc.1", "a" * 128, "_", "*", "^1", "0.x", "1.*"],
)
def test_usable_tags_are_no_problem(listed: str) -> None:
    assert not tags_problem(spec(podExecutor=[listed]))


@pytest.mark.parametrize(
    "listed", [" ", "no tag", ">", ">= v0.4.0 <", "v1 or v2", "-a", ".a", "a/b", "a:b", "**", "^1 ||", "a" * 300]
)
def test_an_unusable_tag_is_named_with_its_field(listed: str) -> None:
    for field in ("podExecutor", "binaryExecutor", "goExecutor"):
        said = tags_problem(spec(**{field: ["v1", listed, "*"]}))
        assert said.startswith(f"{field}.tags: {listed!r}: neither a tag nor a constraint on versions: list a tag")


def test_all_unusable_tags_are_named() -> None:
    said = tags_problem(spec(podExecutor=["a b", "v1", "c d"], binaryExecutor=[">"]))
    assert said.startswith("binaryExecutor.tags: '>'; podExecutor.tags: 'a b', 'c d': neither a tag")
