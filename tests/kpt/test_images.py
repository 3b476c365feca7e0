"""Which image a function of a pipeline runs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.kpt.format.images import parse_image
from porchflow.kpt.format.kptfile import Function
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver, UnresolvedImageError
from porchflow.kpt.render.versions import Constraint
from tests.kptfiles import kptfile


class Tags:
    """An image's tags; remembers which image was asked for."""

    def __init__(self, *tags: str, error: Exception | None = None) -> None:
        self._tags = tags
        self._error = error
        self.asked: list[str] = []

    async def tags(self, image: str, wanted: Constraint) -> Sequence[str]:
        self.asked.append(image)
        if self._error is not None:
            raise self._error
        return self._tags


@pytest.mark.parametrize("prefix", ["gh.io/c/", "gh.io/c"])
@pytest.mark.parametrize(
    ("function", "image"),
    [
        (Function(image="set-labels"), "gh.io/c/set-labels:latest"),
        (Function(image="set-labels:v1"), "gh.io/c/set-labels:v1"),
        (Function(image="r/set-labels"), "r/set-labels:latest"),
        (Function(image="r:5000/set-labels"), "r:5000/set-labels:latest"),
        (Function(image="r/a:v1", tag="v2.0.1"), "r/a:v2.0.1"),
        (Function(image="r/a:v1", tag="2"), "r/a:2"),
        (Function(image="r/a@sha256:0", tag="unstable"), "r/a:unstable"),
        (Function(image="r/a@sha256:0"), "r/a@sha256:0"),
    ],
)
async def test_what_names_an_exact_image(function: Function, prefix: str, image: str) -> None:
    tags = Tags("v9")
    assert await ImageResolver(prefix, tags).resolve(function) == image
    assert tags.asked == []


@pytest.mark.parametrize(
    ("tag", "chosen"), [("~0.2", "v0.2.10"), (">=0.1 <0.2", "v0.1.4"), ("0.1.x", "v0.1.4"), ("*", "1.0.0")]
)
async def test_a_constraint_takes_the_highest_version_it_allows(tag: str, chosen: str) -> None:
    tags = Tags("v0.1.4", "v0.2.9", "v0.2.10", "1.0.0", "1.1.0-rc.1", "2.0.0-git-12ab", "sha256-00.sig", "latest")
    resolver = ImageResolver("gh.io/c", tags)
    assert await resolver.resolve(Function(image="set-labels:v7", tag=tag)) == f"gh.io/c/set-labels:{chosen}"
    assert tags.asked == ["gh.io/c/set-labels"]


async def test_a_constraint_that_nothing_fulfils_is_told_with_what_there_is() -> None:
    resolver = ImageResolver("", Tags("v0.2.0", "v0.10.0", "latest"))
    with pytest.raises(UnresolvedImageError) as told:
        await resolver.resolve(Function(image="r/a", tag="^1"))
    assert str(told.value) == (
        'no tag could be found matching the version constraint "^1"; known tags of r/a: latest, v0.2.0, v0.10.0'
    )
    with pytest.raises(UnresolvedImageError, match="known tags of r/a: none"):
        await ImageResolver("").resolve(Function(image="r/a", tag="^1"))


async def test_executables_are_refused() -> None:
    with pytest.raises(UnresolvedImageError, match=r"program of one machine \(exec: \./x\).*name the image"):
        await ImageResolver("p/").resolve(Function(exec="./x"))


FILES = {"Kptfile": kptfile("web", mutators="[{image: r.io/a, tag: ~1.2}]")}


async def _same(image: str, resource_list: bytes) -> Evaluation:
    assert image == "r.io/a:v1.2.5"
    return Evaluation(resource_list)


async def test_a_rendering_runs_what_the_constraint_chose() -> None:
    outcome = await render(FILES, _same, images=ImageResolver("", Tags("v1.2.4", "v1.2.5", "v1.3.0")))
    assert outcome.ok, outcome.message
    assert [step.image for step in outcome.steps] == ["r.io/a:v1.2.5"]


async def test_an_image_that_is_not_there_fails_the_rendering() -> None:
    tags = Tags(error=FunctionFailed("r.io/a", 'function "r.io/a" not found; the registry says no', ran=False))
    outcome = await render(FILES, _same, images=ImageResolver("", tags))
    assert (
        outcome.message == "package web: mutator 'r.io/a' failed: function \"r.io/a\" not found; the registry says no"
    )


async def test_a_registry_that_is_away_is_no_failure_of_the_rendering() -> None:
    with pytest.raises(ConnectionError):
        await render(FILES, _same, images=ImageResolver("", Tags(error=ConnectionError())))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a/b/c:v1", ("a/b", "c", "v1", "")),
        ("localhost:5000/c", ("localhost:5000", "c", "", "")),
        ("c@sha256:1", ("", "c", "", "sha256:1")),
        ("a/c:v1@sha256:1", ("a", "c", "v1", "sha256:1")),
        ("a:1/c@x/y:z", ("a:1", "c", "", "x/y:z")),
        ("", ("", "", "", "")),
    ],
)
def test_image_names_are_taken_apart(text: str, parsed: tuple[str, ...]) -> None:
    found = parse_image(text)
    assert (found.repository, found.name, found.tag, found.digest) == parsed


@given(st.text("a:@/-1"))
def test_no_part_of_an_image_name_is_lost(text: str) -> None:
    found = parse_image(text)
    assert found.base + found.version == text
    assert parse_image(found.base) == (found.base, "")
    assert not found.version or found.version[0] in ":@"
