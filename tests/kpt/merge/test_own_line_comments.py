"""Comments on lines of their own in a merge: upstream's changes land, local ones stay, and conflicts are told."""

import pytest

from porchflow.kpt.merge.merge_result import Conflict
from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.sides import Sides
from porchflow.kpt.merge.text import merge_documents
from porchflow.kpt.merge.values import Clash
from porchflow.yamltext.document import Document, load
from tests.kpt.merge.packages import kptfile, package, update
from tests.security.growth import MOST, TIMES, growth

BASE = """\
# licence 2020
# all of it

apiVersion: apps/v1
kind: Deployment
# about the metadata
metadata:
  name: web
spec:
  # the first, old words
  replicas: 3
  template:
    spec:
      containers:
      # the server
      - name: web
        # pinned
        image: web:1
        args:
        # the verbosity
        - -v
        - --port=80
      - name: side
        image: side:1
        command:
        # of a script
        - |
          # not a comment
          run
# the end
"""
MINE = ("replicas: 3", "replicas: 5")
SCHEMAS = Schemas(Sides({}, {}, {}))


def merged(base: str | None, upstream: str, local: str) -> tuple[str, list[Clash]]:
    shape = SCHEMAS.shape_of(load(local))
    document, clashes = merge_documents(
        Document(base) if base is not None else None, Document(upstream), Document(local), shape
    )
    return document.text, list(clashes)


def replaced(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


CHANGES = {
    "the head of the file": ("# licence 2020\n", "# licence 2024\n"),
    "a head that goes": ("# licence 2020\n# all of it\n\n", ""),
    "one line of a head goes": ("# all of it\n", ""),
    "one line of a head comes": ("# all of it\n", "# all of it\n#\n# and more\n"),
    "changed above a key": ("# the first, old words", "# the first, new words"),
    "removed above a key": ("  # the first, old words\n", ""),
    "above a key that had none": ("kind: Deployment\n", "# what it is\nkind: Deployment\n"),
    "with a blank line": ("kind: Deployment\n", "\n# what it is\n\nkind: Deployment\n"),
    "above a key that has a collection": ("# about the metadata", "# on the metadata"),
    "above an element": ("# the server", "# the one server"),
    "above an element that had none": ("      - name: side\n", "      # beside\n      - name: side\n"),
    "inside an element": ("        # pinned\n", "        # pinned because of CVE\n        # and more\n"),
    "above an element of a list as a whole": ("# the verbosity", "# how much it says"),
    "above another element of a list as a whole": ("        - --port", "        # where\n        - --port"),
    "above a literal": ("# of a script", "# of the script"),
    "at the end": ("# the end\n", "# the very end\n# of all\n"),
    "no end any more": ("# the end\n", ""),
    "of another depth": ("      # the server\n", "        # deep\n# flat\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_upstreams_change_of_a_comment_lands(change: tuple[str, str], newline: str) -> None:
    base, upstream, local, expected = (
        replaced(BASE, *changes).replace("\n", newline) for changes in ([], [change], [MINE], [change, MINE])
    )
    assert merged(base, upstream, local) == (expected, [])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_local_change_of_a_comment_stays(change: tuple[str, str]) -> None:
    upstream = replaced(BASE, ("image: side:1", "image: side:2"))
    assert merged(BASE, upstream, replaced(BASE, change)) == (replaced(upstream, change), [])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_same_change_on_both_sides_is_no_conflict(change: tuple[str, str]) -> None:
    upstream, local = replaced(BASE, change), replaced(BASE, change, MINE)
    assert merged(BASE, upstream, local) == (local, [])


@pytest.mark.parametrize(
    ("comment", "field"),
    [
        pytest.param("# licence 2020", "apiVersion (comment above it)", id="head"),
        pytest.param("# the first, old words", "spec.replicas (comment above it)", id="field"),
        pytest.param(
            "# the server", "spec.template.spec.containers[name=web] (comment above it)", id="element with a key"
        ),
        pytest.param(
            "# the verbosity", "spec.template.spec.containers[name=web].args[0] (comment above it)", id="element"
        ),
        pytest.param("# the end", "(comment at the end)", id="end"),
    ],
)
def test_a_comment_that_both_changed_stays_the_local_one_and_is_told(comment: str, field: str) -> None:
    local = replaced(BASE, MINE, (comment, "# mine"))
    text, clashes = merged(BASE, replaced(BASE, (comment, "# theirs")), local)
    assert text == local
    assert [(clash.field, clash.kept.value) for clash in clashes] == [(field, "local")]
    assert "# mine" in clashes[0].local  # type: ignore[operator]
    assert "# theirs" in clashes[0].upstream  # type: ignore[operator]


def test_a_marker_behind_a_value_that_local_changed_is_told() -> None:
    upstream = replaced(BASE, ("replicas: 3", "replicas: 3 # kpt-set: ${replicas}"))
    text, clashes = merged(BASE, upstream, replaced(BASE, MINE))
    assert text == replaced(BASE, MINE)
    assert [clash.field for clash in clashes] == ["spec.replicas (comment behind it)"]


def test_a_comment_behind_a_value_lands_with_upstreams_value() -> None:
    """Both changed the value, and upstream's is taken: its comment belongs to it."""
    upstream = replaced(BASE, ("replicas: 3", "replicas: 4 # kpt-set: ${replicas}"))
    text, clashes = merged(BASE, upstream, replaced(BASE, MINE, ("kind: Deployment", "kind: Deployment # mine")))
    assert "replicas: 4 # kpt-set: ${replicas}\n" in text
    assert [clash.field for clash in clashes] == ["spec.replicas"]


def test_comments_of_a_new_field_come_and_of_a_removed_one_go() -> None:
    upstream = replaced(
        BASE,
        ("  # the first, old words\n  replicas: 3\n", ""),
        ("      containers:\n", "      # by hand\n      hostNetwork: true\n      containers:\n"),
    )
    local = replaced(BASE, ("# the server", "# my server"))
    text, clashes = merged(BASE, upstream, local)
    assert load(text) == load(upstream)
    assert "old words" not in text
    assert "      # by hand\n      hostNetwork: true\n" in text
    assert clashes == []


def test_comments_that_only_moved_with_a_field_between_are_neither_lost_nor_doubled() -> None:
    upstream = replaced(BASE, ("metadata:\n", "immutable: true\nmetadata:\n"))
    text, _ = merged(BASE, upstream, replaced(BASE, MINE))
    assert text.count("# about the metadata") == 1


def test_files_of_a_package_take_the_head_and_report_conflicts() -> None:
    new = replaced(BASE, ("# licence 2020", "# licence 2024"))
    sides = [package(d_yaml=text.encode()) for text in (BASE, new, replaced(BASE, MINE))]
    outcome = update(sides[0], sides[1], sides[2])
    assert outcome.files["d.yaml"].decode() == replaced(new, MINE)
    assert outcome.conflicts == ()
    sides[2] = package(d_yaml=replaced(BASE, MINE, ("# licence 2020", "# mine")).encode())
    (conflict,) = update(sides[0], sides[1], sides[2]).conflicts
    assert isinstance(conflict, Conflict)
    assert conflict.message == (
        'd.yaml: apps/v1/Deployment web: apiVersion (comment above it): local is "# mine\\n# all of it",'
        ' upstream is "# licence 2024\\n# all of it"; kept local'
    )


def test_a_kptfile_takes_the_comments_of_its_lines() -> None:
    def with_head(year: int, name: str) -> dict[str, bytes]:
        return package(Kptfile=f"# licence {year}\n".encode() + kptfile(name, "info:\n  # old\n  description: x\n"))

    base, local = with_head(2020, "up"), with_head(2020, "mine")
    upstream = {"Kptfile": with_head(2024, "up")["Kptfile"].replace(b"# old", b"# new")}
    result = update(base, upstream, local).files["Kptfile"]
    assert result == local["Kptfile"].replace(b"2020", b"2024").replace(b"# old", b"# new")


BEFORE = "# licence 2020\n---\n"


@pytest.mark.parametrize(
    ("base", "upstream"),
    [
        pytest.param(BEFORE, "# licence 2024\n# more\n---\n", id="changed"),
        pytest.param(BEFORE, "---\n", id="removed"),
        pytest.param("", BEFORE, id="new"),
        pytest.param("---\n", BEFORE, id="new before a separator"),
        pytest.param(BEFORE, "# a\n---\n# b\n---\n", id="one more"),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_comments_before_the_first_separator_land(base: str, upstream: str, mark: str, newline: str) -> None:
    two = "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: s\n"
    old, new, mine = (base + BASE + two, upstream + BASE + two, base + replaced(BASE, MINE) + two)
    local = (mark + mine.replace("\n", newline)).encode()
    outcome = update(package(d_yaml=old.encode()), package(d_yaml=new.encode()), package(d_yaml=local))
    expected = mark + (upstream + replaced(BASE, MINE) + two).replace("\n", newline)
    assert outcome.files["d.yaml"].decode() == expected
    assert outcome.conflicts == ()


def test_a_beginning_that_both_changed_is_told() -> None:
    sides = [package(d_yaml=(f"# {word}\n---\n" + BASE).encode()) for word in ("old", "theirs", "mine")]
    outcome = update(sides[0], sides[1], sides[2])
    assert outcome.files["d.yaml"] == sides[2]["d.yaml"]
    assert [conflict.field for conflict in outcome.conflicts] == ["(comment at the beginning)"]


FIELDS = """\
# licence
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
data:
  # the first
  one: "1"
  # of the data
# the end
"""
OWN_FIELDS = {
    "first of all": ("apiVersion", "mine: 1\napiVersion"),
    "behind the data's last comment": ("# of the data\n", "# of the data\n  mine: 1\n"),
    "above the data's last comment": ("  # of the data", "  mine: 1\n  # of the data"),
    "above the end": ("# the end\n", "mine: 1\n# the end\n"),
    "behind the end": ("# the end\n", "# the end\nmine: 1\n"),
    "below a comment": ("# the first\n", "# the first\n  mine: 1\n"),
}
THEIR_COMMENTS = {
    "a head": ("# licence\n", "# licence 2024\n"),
    "no head": ("# licence\n", ""),
    "more head": ("# licence\n", "# licence\n# of theirs\n"),
    "above a field": ("# the first\n", "# the very first\n"),
    "a foot": ("# of the data\n", "# of all data\n"),
    "no foot": ("  # of the data\n", ""),
    "an end": ("# the end\n", "# the very end\n"),
    "no end": ("# the end\n", ""),
}


@pytest.mark.parametrize("own", OWN_FIELDS.values(), ids=OWN_FIELDS.keys())
@pytest.mark.parametrize("their", THEIR_COMMENTS.values(), ids=THEIR_COMMENTS.keys())
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_upstreams_change_of_a_comment_lands_beside_a_local_field(
    own: tuple[str, str], their: tuple[str, str], newline: str
) -> None:
    """A local field between a comment and the field below it changes neither."""
    local, upstream = replaced(FIELDS, own), replaced(FIELDS, their)
    both = local.replace(their[0], their[1], 1)
    sides = (text.replace("\n", newline) for text in (FIELDS, upstream, local))
    assert merged(*sides) == (both.replace("\n", newline), [])


def test_many_comments_take_no_more_than_their_number() -> None:
    """Upstream changes each second one of a block that a local field parted from what it stands above."""

    def merge(text: str) -> object:
        fields = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
        return merged(f"{text}{fields}", f"{text.replace('old', 'new')}{fields}", f"{text}mine: 1\n{fields}")

    def numbered(size: int) -> str:
        return "".join(f"# {'old' if number % 2 else 'same'} {number}\n" for number in range(size // 12))

    factor, size = growth(merge, numbered)
    assert factor <= MOST, f"{factor:.1f} times as long from {size} to {size * TIMES} characters"
