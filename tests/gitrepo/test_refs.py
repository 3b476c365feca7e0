import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.gitrepo.refs import (
    InvalidName,
    PackageLocation,
    branch_ref,
    branch_workspace,
    parse_draft_ref,
    parse_proposed_ref,
    parse_tag_ref,
    revision_of,
    short_ref,
)

label = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
path = st.lists(label, min_size=1, max_size=4).map("/".join)


def test_refs_are_porchs() -> None:
    place = PackageLocation("blueprints/", "net/app", "ws-1")
    assert place.path == "blueprints/net/app"
    assert place.draft_ref == "refs/heads/drafts/blueprints/net/app/ws-1"
    assert place.proposed_ref == "refs/heads/proposed/blueprints/net/app/ws-1"
    assert place.tag_ref(3) == "refs/tags/blueprints/net/app/v3"
    assert place.deletion_proposed_ref(3) == "refs/heads/deletionProposed/blueprints/net/app/v3"
    assert place.deletion_proposed_ref(-1) == "refs/heads/deletionProposed/blueprints/net/app/ws-1"
    assert short_ref(place.tag_ref(3)) == "blueprints/net/app/v3"
    assert short_ref(place.draft_ref) == "drafts/blueprints/net/app/ws-1"


@given(directory=st.one_of(st.just(""), path), package=path, workspace=label, revision=st.integers(1, 10**6))
def test_every_ref_is_read_back(directory: str, package: str, workspace: str, revision: int) -> None:
    place = PackageLocation(directory, package, workspace)
    place.check_new()
    for ref, parse in ((place.draft_ref, parse_draft_ref), (place.proposed_ref, parse_proposed_ref)):
        parsed = parse(ref)
        assert parsed is not None
        assert parsed.location(directory) == place
        assert parsed.revision == 0
    parsed = parse_tag_ref(place.tag_ref(revision))
    assert parsed is not None
    assert (parsed.path, parsed.revision) == (place.path, revision)
    assert parsed.location(directory, workspace) == place


@pytest.mark.parametrize(
    ("suffix", "revision"),
    [("v1", 1), ("12", 12), ("v0", 0), ("v1.2.3", -1), ("vfoo", -1), ("main", -1), ("v01", -1), ("", -1), ("v-1", -1)],
)
def test_revision_of_a_tags_suffix(suffix: str, revision: int) -> None:
    assert revision_of(suffix) == revision


def test_other_refs_are_no_packages() -> None:
    assert parse_tag_ref("refs/tags/v1") is None
    assert parse_draft_ref("refs/heads/drafts/app") is None
    assert parse_draft_ref("refs/heads/main") is None
    parsed = parse_draft_ref("refs/heads/drafts/elsewhere/app/v1")
    assert parsed is not None
    assert parsed.location("blueprints") is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "..",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        ".git",
        "a/.git/b",
        "a b",
        "a~1",
        "a:b",
        "a\x00b",
        "a\nb",
        "a.lock",
        "-a",
        "@{u}",
    ],
)
def test_unsafe_names_are_refused(bad: str) -> None:
    with pytest.raises(InvalidName):
        PackageLocation("", bad, "v1")
    with pytest.raises(InvalidName):
        PackageLocation("", "app", bad)
    with pytest.raises(InvalidName):
        branch_ref(bad)


@pytest.mark.parametrize(
    ("package", "workspace"),
    [
        ("App", "v1"),
        ("app", "v1.2"),
        ("app", "a_b"),
        ("a" * 64, "v1"),
        ("net/App", "v1"),
        ("app", "v1/x"),
        ("app-", "v1"),
    ],
)
def test_new_revisions_need_dns_labels(package: str, workspace: str) -> None:
    place = PackageLocation("Any/Directory_1", package, workspace)
    with pytest.raises(InvalidName, match="DNS label"):
        place.check_new()


@given(st.text(string.printable, max_size=30))
def test_any_text_gives_a_location_or_an_invalid_name(text: str) -> None:
    try:
        place = PackageLocation("", text, "v1")
    except InvalidName:
        return
    assert ".." not in place.path
    assert not place.path.startswith("/")


@pytest.mark.parametrize(
    ("branch", "workspace"),
    [
        ("main", "main"),
        ("release.1", "release.1"),
        ("release/1.2", "release-1.2"),
        ("Team_A/B", "team-a-b"),
        ("_x_", "x"),
        ("é", "branch"),
    ],
)
def test_the_workspace_of_what_is_on_a_branch(branch: str, workspace: str) -> None:
    assert branch_workspace(branch) == workspace
