"""What holds for comments, quotes and markers in every three-way merge of one resource."""

import re
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.sides import Sides
from porchflow.kpt.merge.text import merge_documents
from porchflow.kpt.merge.values import Clash
from porchflow.yamltext.document import Document, load
from tests.kpt.merge.commented import Edit, Entry, Maker, Resource, edited, touch, walk

relaxed = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
SCHEMAS = Schemas(Sides({}, {}, {}))
COMMENT = re.compile(r"# (?:above|note|kpt-set)\b.*")


def merged(base: str, upstream: str, local: str) -> tuple[str, list[Clash]]:
    shape = SCHEMAS.shape_of(load(local))
    document, clashes = merge_documents(Document(base), Document(upstream), Document(local), shape)
    return document.text, list(clashes)


def comments_in(text: str) -> Counter[str]:
    return Counter(comment.rstrip() for comment in COMMENT.findall(text))


@st.composite
def sides(draw: st.DrawFn) -> tuple[Resource, list[Edit], list[Edit]]:
    maker = Maker(draw(st.integers(0, 2**64)))
    base = maker.resource()
    return base, maker.edits(base), maker.edits(base)


@st.composite
def colliding_sides(draw: st.DrawFn) -> tuple[Resource, list[Edit], list[Edit]]:
    maker = Maker(draw(st.integers(0, 2**64)))
    base = maker.resource()
    theirs = maker.edits(base)
    return base, theirs, maker.edits(base, theirs)


@relaxed
@given(sides())
def test_edits_of_different_parts_are_both_made_and_nothing_else(made: tuple[Resource, list[Edit], list[Edit]]) -> None:
    base, theirs, ours = made
    assume(not any(touch(one, other) for one in theirs for other in ours))
    upstream, local, both = (edited(base, *edits) for edits in (theirs, ours, [*ours, *theirs]))
    assert merged(base.text, upstream.text, local.text) == (both.text, [])


@relaxed
@given(colliding_sides())
def test_no_comment_is_lost_that_neither_side_removed(made: tuple[Resource, list[Edit], list[Edit]]) -> None:
    base, theirs, ours = made
    upstream, local = edited(base, *theirs), edited(base, *ours)
    text, _ = merged(base.text, upstream.text, local.text)
    old, new, own, result = map(comments_in, (base.text, upstream.text, local.text, text))
    assert not (old & new & own) - result
    assert not result - (old | new | own)
    assert not (free_comments(base, theirs, ours) & new) - result
    assert not (free_comments(base, ours, theirs) & own) - result


def free_comments(base: Resource, edits: Sequence[Edit], others: Sequence[Edit]) -> Counter[str]:
    """Return the comments that a side wrote where the other side changed nothing."""
    old, found = comments_in(base.text), Counter[str]()
    for edit in edits:
        if not any(touch(edit, other) for other in others):
            found |= comments_in(edited(base, edit).text) - old
    return found


@relaxed
@given(colliding_sides())
def test_a_comment_or_value_that_both_changed_is_told(made: tuple[Resource, list[Edit], list[Edit]]) -> None:
    base, theirs, ours = made
    upstream, local = edited(base, *theirs), edited(base, *ours)
    text, clashes = merged(base.text, upstream.text, local.text)
    told = {(str(clash.local), str(clash.upstream)) for clash in clashes}
    versions = [dict(walk(side.entries)) for side in (base, upstream, local)]
    lists = [path for path, entry in walk(base.entries) if entry.kind in ("plain", "flow")]
    for path in versions[0]:
        entries = [version.get(path) for version in versions]
        if None in entries or any(path[: len(at)] == at for at in lists):
            continue
        for part in ("head", "behind", "value"):
            old, new, own = (_said(entry, part) for entry in entries if entry is not None)
            if len({old, new, own}) == 3:
                assert (own, new) in told, (path, part, clashes)
                kept = own if part != "value" else new
                assert all(line in text for line in kept.split("\n"))


def _said(entry: Entry, part: str) -> str:
    """Return a part of an entry as a conflict tells it."""
    if part == "head":
        return "\n".join(entry.head)
    if part == "behind":
        return entry.behind.strip()
    return str(load(entry.value)) if isinstance(entry.value, str) and not entry.is_block else ""


@relaxed
@given(sides())
def test_one_side_alone_and_equal_sides_leave_every_byte(made: tuple[Resource, list[Edit], list[Edit]]) -> None:
    base, theirs, _ = made
    changed = edited(base, *theirs).text
    assert merged(base.text, changed, base.text) == (changed, [])
    assert merged(base.text, base.text, changed) == (changed, [])
    assert merged(base.text, changed, changed) == (changed, [])
    assert merged(base.text, base.text, base.text) == (base.text, [])


def test_a_comment_that_upstream_removed_in_a_list_that_it_changed_goes() -> None:
    """The list is upstream's as a whole, since the local package changed another field only."""
    base = "kind: X\nreplicas: 1\nargs:\n- a # kpt-set: ${a}\n- b # of mine\n"
    upstream = base.replace("- a # kpt-set: ${a}", "- c")
    local = base.replace("replicas: 1", "replicas: 2")
    assert merged(base, upstream, local) == (upstream.replace("replicas: 1", "replicas: 2"), [])


def test_a_local_comment_in_a_list_that_upstream_changed_stays() -> None:
    base = "kind: X\nargs:\n- a\n- b\n"
    local = base.replace("- b", "- b # mine")
    assert merged(base, base.replace("- a", "- c"), local) == (local.replace("- a", "- c"), [])
    upstream = base.replace("- a", "- c").replace("- b", "- b # theirs")
    text, clashes = merged(base, upstream, local)
    assert text == local.replace("- a", "- c")
    assert [(clash.field, clash.local, clash.upstream) for clash in clashes] == [
        ("args[1] (comment behind it)", "# mine", "# theirs")
    ]
