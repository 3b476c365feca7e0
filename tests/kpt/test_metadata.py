"""Labels and annotations of a Kptfile: merged three ways, and written in place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.kpt.format.metadata import KptfileMetadata, MetadataWish, read_metadata, with_metadata
from porchflow.kpt.package_errors import InvalidPackage

MAPS = st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=5)
FEW = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)
BOTH = st.builds(KptfileMetadata, MAPS, MAPS)


@given(BOTH, BOTH)
def test_what_is_written_is_read_and_writing_it_again_changes_nothing(
    first: KptfileMetadata, then: KptfileMetadata
) -> None:
    text = with_metadata(b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: web\n", first)
    assert read_metadata(text) == first
    after = with_metadata(text, then)
    assert read_metadata(after) == then
    assert with_metadata(after, then) == after
    assert with_metadata(after, KptfileMetadata()) == b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: web\n"


@given(FEW, FEW, FEW)
def test_a_merge_takes_each_key_from_the_side_that_changed_it(
    base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]
) -> None:
    merged = MetadataWish(labels=ours).merged(KptfileMetadata(base), KptfileMetadata(theirs)).labels
    for key in "abc":
        side = ours if theirs.get(key) == base.get(key) else theirs
        assert merged.get(key) == side.get(key)


@given(FEW, FEW)
def test_without_a_push_the_wish_is_all_and_without_a_wish_the_push(
    base: dict[str, str], other: dict[str, str]
) -> None:
    kptfile, pushed = KptfileMetadata(base, base), KptfileMetadata(other, other)
    assert MetadataWish(other, other).merged(kptfile, kptfile) == pushed
    assert MetadataWish(base, base).merged(kptfile, pushed) == pushed
    assert MetadataWish().merged(kptfile, pushed) == pushed
    assert MetadataWish({}, {}).merged(kptfile, kptfile) == KptfileMetadata()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("metadata:\n  name: web # n\n", "metadata:\n  name: web # n\n  labels:\n    a: b\n"),
        ("metadata:\n  labels: {}\n  name: web\n", "metadata:\n  labels:\n    a: b\n  name: web\n"),
        ("metadata:\n  labels:\n  name: web\n", "metadata:\n  labels:\n    a: b\n  name: web\n"),
        ("metadata: {name: web, labels: {x: y}}\n", "metadata: {name: web, labels: {a: b}}\n"),
        (
            "metadata:\n  labels:\n    # why\n    a: c  # c\n    # x\n    x: y\n  name: web\n",
            "metadata:\n  labels:\n    # why\n    a: b  # c\n  name: web\n",
        ),
    ],
)
def test_only_the_lines_of_the_change_change(before: str, after: str) -> None:
    head, tail = "# top\napiVersion: kpt.dev/v1\nkind: Kptfile\n", "info:\n    description:   a   web app  # d\n"
    changed = with_metadata((head + before + tail).encode(), KptfileMetadata({"a": "b"}))
    assert changed.decode() == head + after + tail


def test_values_that_are_no_text_stay_as_they_are_written() -> None:
    text = b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: web\n  labels: {v: 1.10, on: yes}\n"
    assert read_metadata(text).labels == {"v": "1.10", "on": "yes"}
    changed = with_metadata(text, KptfileMetadata({"v": "1.10", "on": "yes", "num": "1"}))
    assert changed == text.replace(b"on: yes", b'on: yes, num: "1"')


@pytest.mark.parametrize(
    "text", [b"", b"kind: Kptfile\n", b"\xff", b"a: [", b"apiVersion: kpt.dev/v1\nkind: Kptfile\nx: 1\n"]
)
def test_a_bad_kptfile_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidPackage):
        with_metadata(text, KptfileMetadata({"a": "b"}))
