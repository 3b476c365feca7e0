"""Values that items of a list exchange: each item keeps its place, its comments and its marker."""

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.functions.builtin.catalog import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.kpt.render.evaluation import Evaluation
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver
from tests.functions.lists import config, items, run
from tests.kptfiles import kptfile


class Line(NamedTuple):
    """A line with a scalar before and after, and what stands around it."""

    before: str
    old: str = ""
    new: str = ""
    behind: str = ""


_WORDS = st.sampled_from(["a", "b", "c", "d"])
_HEAD = [Line(line) for line in ("apiVersion: x.io/v1", "kind: K", "metadata:", "  name: n", "spec:")]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, str, dict[str, str]]:
    """A resource with markers, the same with other values of few words, and the setters from one to the other."""
    made = _Writer(draw, list(_HEAD), {})
    for key in draw(st.lists(st.sampled_from(["containers", "subjects", "args"]), min_size=1, unique=True)):
        column = draw(st.sampled_from([2, 4]))
        made.lines.append(Line(f"  {key}:"))
        for _ in range(draw(st.integers(1, 4))):
            if key == "args":
                made.scalar(" " * column + "- ")
            else:
                made.item(column, 1)
    texts = ("".join(f"{each.before}{value}{each.behind}\n" for each, value in side) for side in _sides(made.lines))
    return next(texts), next(texts), made.setters


class _Writer(NamedTuple):
    """Draws the lines of a document."""

    draw: st.DrawFn
    lines: list[Line]
    setters: dict[str, str]

    def scalar(self, before: str) -> None:
        draw, name = self.draw, f"s{len(self.lines)}"
        quote, old = draw(st.sampled_from(["", "'", '"'])), draw(_WORDS)
        if draw(st.booleans()):
            self.setters[name] = draw(_WORDS)
            self.lines.append(Line(before + quote, old, self.setters[name], f"{quote} # kpt-set: ${{{name}}}"))
        else:
            self.lines.append(Line(before + quote, old, old, quote + draw(st.sampled_from(["", "  # why"]))))

    def item(self, column: int, depth: int) -> None:
        draw, blanks = self.draw, " " * column
        if draw(st.booleans()):
            self.lines.append(Line(f"{blanks}# above {len(self.lines)}"))
        self.scalar(f"{blanks}- name: ")
        for key in draw(st.lists(st.sampled_from(["image", "kind", "value"]), max_size=3, unique=True)):
            self.scalar(f"{blanks}  {key}: ")
        if depth and draw(st.booleans()):
            self.lines.append(Line(f"{blanks}  env:"))
            for _ in range(draw(st.integers(1, 3))):
                self.item(column + 2, depth - 1)


def _sides(lines: list[Line]) -> tuple[list[tuple[Line, str]], list[tuple[Line, str]]]:
    return [(line, line.old) for line in lines], [(line, line.new) for line in lines]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_setters_change_the_values_and_nothing_else(made: tuple[str, str, dict[str, str]]) -> None:
    old, new, setters = made
    assert items(run("apply-setters", old, function_config=config(setters))) == [new]


async def _builtin(image: str, request: bytes) -> Evaluation:
    reply = execute(BUILTINS[image.rpartition("/")[2].partition(":")[0]].run, request)
    assert reply.exit_code == 0, reply.log
    return Evaluation(reply.resource_list)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(documents(), min_size=1, max_size=2), st.sampled_from(["\n", "\r\n"]))
async def test_so_does_a_rendering(made: list[tuple[str, str, dict[str, str]]], newline: str) -> None:
    setters: dict[str, str] = {}
    texts: list[tuple[str, str]] = []
    for number, (*sides, given_setters) in enumerate(made):
        old, new = (side.replace("${s", f"${{d{number}s").replace(": n\n", f": n{number}\n") for side in sides)
        texts.append((old, new))
        setters |= {f"d{number}{name}": value for name, value in given_setters.items()}
    before, after = ("---\n".join(side).replace("\n", newline).encode() for side in zip(*texts, strict=True))
    pipeline = f"[{{image: apply-setters, configMap: {{{', '.join(f'{key}: {setters[key]}' for key in setters)}}}}}]"
    files = {"Kptfile": kptfile("p", mutators=pipeline), "a.yaml": before}
    outcome = await render(files, _builtin, images=ImageResolver("x/"))
    assert outcome.ok, outcome.message
    assert outcome.files["a.yaml"] == after


SUBJECTS = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: n
subjects:
# the first
- name: blue # it serves
- name: 'green' # it waits
# the last
- name: grey
"""


@pytest.mark.parametrize(
    ("function", "settings", "names"),
    [
        ("search-replace", {"by-value": "blue", "put-value": "green"}, ["green", "green", "grey"]),
        ("search-replace", {"by-path": "subjects[0].name", "put-value": "grey"}, ["grey", "green", "grey"]),
        ("search-replace", {"by-value-regex": "^gre(y|en)$", "put-value": "blue"}, ["blue", "blue", "blue"]),
    ],
)
def test_a_name_that_another_item_has_moves_nothing(function: str, settings: dict[str, str], names: list[str]) -> None:
    [item] = items(run(function, SUBJECTS, function_config=config(settings)))
    expected = SUBJECTS.replace("blue #", "@0 #").replace("'green' #", "'@1' #").replace("grey", "@2")
    for place, name in enumerate(names):
        expected = expected.replace(f"@{place}", name)
    assert item == expected


ANCHORED = """\
apiVersion: x.io/v1
kind: K
metadata:
  name: &n web # kpt-set: ${n}
  labels: &l
    app: *n # the same
    z: q # kpt-set: ${z}
spec:
  s:
    <<: *l # as above
    d: e # kpt-set: ${d}
  t: *l
"""


@pytest.mark.parametrize(
    ("function", "settings", "change"),
    [
        ("apply-setters", {"n": "db"}, ("web #", "db #")),
        ("apply-setters", {"z": "db"}, ("q #", "db #")),
        ("apply-setters", {"d": "db"}, ("e # kpt", "db # kpt")),
        ("search-replace", {"by-value": "web", "put-value": "db"}, ("web #", "db #")),
        ("search-replace", {"by-path": "spec.s.d", "put-value": "db"}, ("e # kpt", "db # kpt")),
    ],
)
def test_aliases_follow_their_anchor_as_in_the_catalog(
    function: str, settings: dict[str, str], change: tuple[str, str]
) -> None:
    [item] = items(run(function, ANCHORED, function_config=config(settings)))
    assert item == ANCHORED.replace(*change)


async def test_so_they_do_in_a_rendering() -> None:
    pipeline = "[{image: apply-setters, configMap: {n: db, z: y1, d: x1}}]"
    files = {"Kptfile": kptfile("p", mutators=pipeline), "a.yaml": ANCHORED.encode()}
    outcome = await render(files, _builtin, images=ImageResolver("x/"))
    assert outcome.ok, outcome.message
    expected = ANCHORED.replace("web #", "db #").replace("q #", "y1 #").replace("e # kpt", "x1 # kpt")
    assert outcome.files["a.yaml"].decode() == expected
