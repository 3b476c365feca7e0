"""What a merge does to the text: only what it changes, with the comments that belong to it."""

import pytest

from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.sides import Sides
from porchflow.kpt.merge.text import merge_documents
from porchflow.yamltext.document import Document, load
from tests.kpt.merge.packages import package, update
from tests.kptfiles import kptfile

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: p
spec:
  # the containers
  containers:
  - name: a   # first
    image: "a:1" # kpt-set: ${a}
    ports:
    - containerPort: 80 # web
      name: web
    - containerPort: 81 # admin
      name: admin
  - name: b # second
    image: b:1
"""
SCHEMAS = Schemas(Sides({}, {}, {}))


def merged(base: str, upstream: str, local: str) -> str:
    shape = SCHEMAS.shape_of(load(base))
    return merge_documents(Document(base), Document(upstream), Document(local), shape)[0].text


def replaced(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


MINE = ("  name: p\n", "  name: p\n  labels: {mine: yes-it-is} # mine\n")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("b:1", "b:2"), id="a value"),
        pytest.param(("a:1", "a:2"), id="a quoted value with a comment"),
        pytest.param(("${a}", "${b}"), id="a comment"),
        pytest.param((" # kpt-set: ${a}", ""), id="a comment goes"),
        pytest.param(("image: b:1\n", "image: b:1 # kpt-set: ${b}\n"), id="a comment comes"),
        pytest.param(("image: b:1\n", "image: b:1\n    # why\n    tty: true # really\n"), id="a field with comments"),
        pytest.param(
            ("image: b:1\n", "image: b:1\n    env: # all\n    - name: X # x\n      value: '1' # kpt-set: ${x}\n"),
            id="a list with comments",
        ),
        pytest.param(("    - containerPort: 80 # web\n      name: web\n", ""), id="an element goes"),
        pytest.param(
            ("    - containerPort: 80 # web\n      name: web\n    - containerPort: 81 # admin\n",
             "    - containerPort: 81 # admin\n"),
            id="an element goes, another stays",
        ),
        pytest.param(
            ("  - name: b # second\n", "  # new\n  - name: m # middle\n    image: m:1 # im\n  - name: b # second\n"),
            id="an element in the middle, with comments",
        ),
    ],
)  # fmt: skip
def test_upstreams_change_lands_with_its_comments(change: tuple[str, str]) -> None:
    """And nothing else: the local version differs elsewhere, and the result is both changes in one text."""
    upstream, local = replaced(POD, change), replaced(POD, MINE)
    if change[1] == "":
        assert load(merged(POD, upstream, local)) == load(replaced(upstream, MINE))
    else:
        expected = replaced(upstream, MINE).replace("value: '1'", 'value: "1"')
        assert merged(POD, upstream, local) == expected


def test_comments_stay_at_their_elements_when_others_come_and_go() -> None:
    upstream = replaced(
        POD,
        ("    - containerPort: 80 # web\n      name: web\n", ""),
        ("      name: admin\n", "      name: admin2\n    - containerPort: 82 # new\n"),
    )
    result = merged(POD, upstream, replaced(POD, MINE, ("81 # admin", "81 # mine")))
    assert result == replaced(upstream, MINE, ("81 # admin", "81 # mine"))


@pytest.mark.parametrize(
    ("theirs", "mine", "expected"),
    [
        pytest.param("${u}", "${l}", "${l}", id="changed on both sides: the local one"),
        pytest.param("${u}", None, None, id="removed locally: stays away"),
        pytest.param(None, "${l}", "${l}", id="removed upstream, changed locally: the local one"),
    ],
)
def test_a_comment_that_both_changed(theirs: str | None, mine: str | None, expected: str | None) -> None:
    def with_comment(comment: str | None) -> str:
        return replaced(POD, (" # kpt-set: ${a}", f" # kpt-set: {comment}" if comment else ""))

    assert merged(POD, with_comment(theirs), replaced(with_comment(mine), MINE)) == replaced(
        with_comment(expected), MINE
    )


NOISE = "  annotations:\n    internal.kpt.dev/upstream-identifier: '|Pod|default|p'\n"


@pytest.mark.parametrize("side", ["upstream", "local", "both", "base and upstream"])
def test_merge_comment_and_identifier_neither_come_nor_go(side: str) -> None:
    noise = (("metadata:\n", "metadata: # kpt-merge: /p\n"), ("  name: p\n", "  name: p\n" + NOISE))
    change = ("b:1", "b:2")
    base, upstream, local = POD, replaced(POD, change), replaced(POD, ("a:1", "a:3"))
    if side in ("local", "both"):
        local = replaced(local, *noise)
    if side != "local":
        upstream = replaced(upstream, *noise)
    if side == "base and upstream":
        base = replaced(base, *noise)
    assert merged(base, upstream, local) == replaced(local, change)


def test_other_annotations_come_beside_the_identifier() -> None:
    upstream = replaced(POD, ("  name: p\n", "  name: p\n  annotations:\n    a: b # why\n"))
    local = replaced(POD, ("  name: p\n", "  name: p\n" + NOISE))
    assert merged(POD, upstream, local) == replaced(POD, ("  name: p\n", f"  name: p\n{NOISE}    a: b # why\n"))


def test_a_list_taken_over_brings_its_comments() -> None:
    base = "x: 1\nargs:\n- a # one\n- b # two\n"
    upstream = "x: 1\nargs:\n- a # one\n- c # three\n- d # four\n"
    assert merged(base, upstream, base.replace("x: 1", "x: 2")) == upstream.replace("x: 1", "x: 2")


def test_brackets_stay_brackets() -> None:
    base = "x: 1\nm: {a: 1, b: [1, 2]} # flow\n"
    upstream = base.replace("b: [1, 2]", "b: [1, 2, 3], c: 4")
    assert merged(base, upstream, base.replace("x: 1", "x: 2")) == upstream.replace("x: 1", "x: 2")


def test_a_literal_text_stays_one() -> None:
    base = "x: 1\nscript: |\n  echo 1 # not a comment\n  echo 2\n"
    upstream = base.replace("echo 2", "echo 3")
    assert merged(base, upstream, base.replace("x: 1", "x: 2")) == upstream.replace("x: 1", "x: 2")


KPTFILE = """\
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: {name} # who
# what it does
info:
  description: x
pipeline:
  # in this order
  mutators:
    - image: set-namespace:v1 # the namespace
      configMap:
        namespace: prod # mine
    - image: "set-labels:v1"
"""


def test_a_kptfile_keeps_its_comments_and_the_configuration() -> None:
    base = KPTFILE.format(name="up").replace("prod", "example")
    upstream = replaced(
        base,
        ("set-namespace:v1", "set-namespace:v2"),
        ('    - image: "set-labels:v1"\n', '    # first\n    - image: new # it is new\n    - image: "set-labels:v1"\n'),
    )
    local = KPTFILE.format(name="mine") + "upstream:\n  type: git\n"
    result = update(*(package(Kptfile=side.encode()) for side in (base, upstream, local))).files["Kptfile"].decode()
    expected = replaced(
        local,
        ("set-namespace:v1", "set-namespace:v2"),
        ('    - image: "set-labels:v1"\n', '    # first\n    - image: new # it is new\n    - image: "set-labels:v1"\n'),
    )
    assert result == expected


def test_a_kptfile_without_changes_upstream_is_the_same_object() -> None:
    local = package(Kptfile=kptfile("mine"))
    assert update(package(), package(f=b""), local).files["Kptfile"] is local["Kptfile"]
