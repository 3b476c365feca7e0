"""What holds for every merge, whatever the packages are."""

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.kpt.merge.merge_result import Kept
from porchflow.yamltext.document import Document, dump, load
from porchflow.yamltext.yaml_error import YamlError
from tests.kpt.merge.packages import update
from tests.kptfiles import kptfile
from tests.yamltext.yaml_documents import documents

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

NAMES = "abcdef"
FILES = ("x.yaml", "y.yaml", "sub/z.yaml", "sub/deep/w.yml")

scalars = st.one_of(st.sampled_from(["1", "2", "on", "", "a b", "# x"]), st.integers(0, 3), st.booleans(), st.none())
ports = st.lists(st.integers(1, 5), unique=True, max_size=3)


class Made(NamedTuple):
    """A resource of a random package: its file and content."""

    file: str
    content: str


@st.composite
def _content(draw: st.DrawFn, name: str) -> str:
    """The text of a resource, of one of three kinds that lists are merged in in different ways."""
    kind = "ConfigMap" if name < "c" else "Service" if name < "e" else "Custom"
    version = {"ConfigMap": "v1", "Service": "v1", "Custom": "example.com/v1"}[kind]
    spec: dict[str, Any] = draw(st.dictionaries(st.sampled_from("pqrs"), scalars, max_size=3))
    spec["list"] = draw(st.lists(scalars, max_size=3))
    spec["ports"] = [{"port": port, "name": f"p{port}", **draw(_extra)} for port in draw(ports)]
    text = dump({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    lines = text.splitlines(keepends=True)
    for place in draw(st.lists(st.integers(0, len(lines)), max_size=2)):
        lines.insert(place, "# about\n")
    return "".join(lines)


_extra = st.dictionaries(st.sampled_from(["targetPort", "nodePort"]), st.integers(1, 3), max_size=2)


@st.composite
def _base(draw: st.DrawFn) -> dict[str, Made]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    return {name: Made(draw(st.sampled_from(FILES)), draw(_content(name))) for name in names}


@st.composite
def _changed(draw: st.DrawFn, base: Mapping[str, Made]) -> dict[str, Made]:
    """Some resources changed, moved, removed, added."""
    made = {}
    for name in NAMES:
        action = draw(st.sampled_from(["keep", "keep", "change", "move", "both", "remove"]))
        old = base.get(name)
        if old is None and action in ("both", "change"):
            made[name] = Made(draw(st.sampled_from(FILES)), draw(_content(name)))
        elif old is not None and action != "remove":
            file = draw(st.sampled_from(FILES)) if action in ("move", "both") else old.file
            content = draw(_content(name)) if action in ("change", "both") else old.content
            made[name] = Made(file, content)
    return made


@st.composite
def triples(draw: st.DrawFn) -> tuple[dict[str, Made], dict[str, Made], dict[str, Made]]:
    base = draw(_base())
    return base, draw(_changed(base)), draw(_changed(base))


opaque = st.dictionaries(st.sampled_from(["README.md", "bin", "sub/x.txt"]), st.sampled_from([b"1", b"2", b"\0\xff"]))


def files(made: Mapping[str, Made]) -> dict[str, bytes]:
    """The package with these resources, those of a file in the order of their names."""
    contents: dict[str, bytes] = {"Kptfile": kptfile()}
    for _, (file, content) in sorted(made.items()):
        before = contents.get(file)
        contents[file] = (before + b"---\n" if before else b"") + content.encode()
    return contents


def names_in(contents: Mapping[str, bytes]) -> Counter[str]:
    found: Counter[str] = Counter()
    for path, content in contents.items():
        if path != "Kptfile" and b"kind:" in content:
            found.update(load(text)["metadata"]["name"] for text in content.decode().split("---\n"))
    return found


@relaxed
@given(triples(), opaque, opaque)
def test_what_only_the_local_package_changed_stays(
    made: tuple[dict[str, Made], ...], old: dict[str, bytes], mine: dict[str, bytes]
) -> None:
    base, local = {**files(made[0]), **old}, {**files(made[2]), **mine}
    outcome = update(base, dict(base), local)
    assert outcome.files == local
    assert outcome.conflicts == ()


@relaxed
@given(triples(), opaque, opaque)
def test_what_only_upstream_changed_is_taken(
    made: tuple[dict[str, Made], ...], old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    base, upstream = {**files(made[0]), **old}, {**files(made[1]), **new}
    outcome = update(base, upstream, dict(base))
    assert outcome.files == upstream
    assert outcome.conflicts == ()


@relaxed
@given(triples(), opaque, opaque)
def test_the_same_change_on_both_sides_is_that_change(
    made: tuple[dict[str, Made], ...], old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    base, both = {**files(made[0]), **old}, {**files(made[1]), **new}
    outcome = update(base, both, dict(both))
    assert outcome.files == both
    assert outcome.conflicts == ()


@relaxed
@given(triples(), st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(made: tuple[dict[str, Made], ...], chance: random.Random) -> None:
    sides = [files(side) for side in made]
    shuffled = []
    for side in sides:
        paths = list(side)
        chance.shuffle(paths)
        shuffled.append({path: side[path] for path in paths})
    one, other = update(*sides), update(*shuffled)
    assert one == other


@relaxed
@given(triples())
def test_no_resource_is_lost_or_doubled(made: tuple[dict[str, Made], ...]) -> None:
    base, upstream, local = made
    outcome = update(*map(files, made))
    expected = set()
    for name in NAMES:
        if name in local:
            gone = name in base and name not in upstream and _same(base[name], local[name])
            expected |= set() if gone else {name}
        elif name in upstream and name not in base:
            expected.add(name)
    assert names_in(outcome.files) == Counter(expected)


def _same(one: Made, other: Made) -> bool:
    comments = [[line for line in made.content.splitlines() if line.startswith("#")] for made in (one, other)]
    return load(one.content) == load(other.content) and comments[0] == comments[1]


@relaxed
@given(triples())
def test_a_resource_that_upstream_left_alone_keeps_every_byte(made: tuple[dict[str, Made], ...]) -> None:
    base, upstream, local = made
    outcome = update(*map(files, made))
    for name in base.keys() & local.keys():
        if upstream.get(name) == base[name]:
            assert local[name].content.encode() in outcome.files[local[name].file]


@relaxed
@given(triples())
def test_every_conflict_is_one(made: tuple[dict[str, Made], ...]) -> None:
    """What a conflict says of the sides is so, and nothing that only one side changed is one."""
    outcome = update(*map(files, made))
    for conflict in outcome.conflicts:
        assert conflict.local != conflict.upstream
        assert conflict.resource
        assert conflict.kept in Kept
        assert len(conflict.message) < 1000


@pytest.mark.parametrize("strategy", [each for each in UpdateStrategy if each is not UpdateStrategy.FAST_FORWARD])
@relaxed
@given(made=triples())
def test_a_second_update_changes_nothing(strategy: UpdateStrategy, made: tuple[dict[str, Made], ...]) -> None:
    base, upstream, local = map(files, made)
    once = update(base, upstream, local, strategy).files
    assert update(upstream, upstream, once, strategy).files == (
        once if strategy != UpdateStrategy.FORCE_DELETE_REPLACE else upstream
    )


@relaxed
@given(documents(), documents(), documents())
def test_no_document_is_too_strange(base: str, upstream: str, local: str) -> None:
    """Documents that are no resources, in any layout, merge to a document that can be read."""
    sides = [{"Kptfile": kptfile(), "a.yaml": text.encode()} for text in (base, upstream, local)]
    outcome = update(*sides)
    assert Document(outcome.files["a.yaml"].decode()).value is not None


@relaxed
@given(documents())
def test_a_field_of_its_own_changes_no_other_line(document: str) -> None:
    """Upstream adds a field at the end; every line of the local document stays, in any layout."""
    # What the editor replaces as a whole is left out: brackets, and keys that are explicit or merged.
    assume(not document.lstrip().startswith("{") and not any(mark in document for mark in ("...", "? ", "<<")))
    base = document if document.endswith("\n") else document + "\n"
    upstream, mine = base + "zupstream: 1\n", base + "zlocal: 2\n"
    try:
        assume(isinstance(load(upstream), dict) and isinstance(load(mine), dict))
        assume("zupstream" in load(upstream) and "zlocal" in load(mine))
    except YamlError:
        assume(False)
    sides = [{"Kptfile": kptfile(), "a.yaml": text.encode()} for text in (base, upstream, mine)]
    result = update(*sides).files["a.yaml"].decode()
    assert result == mine + "zupstream: 1\n"
