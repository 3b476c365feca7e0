"""Which resource is which, where it goes, and what becomes of resources, subpackages and files as a whole."""

import pytest

from porchflow.kpt.merge.merge_result import Kept
from porchflow.kpt.package_errors import InvalidPackage
from tests.kpt.merge.packages import config, package, update
from tests.kptfiles import kptfile


def told(outcome: object) -> list[tuple[str, str, str, str]]:
    """The conflicts in short: path, field, local, upstream."""
    conflicts = outcome.conflicts  # type: ignore[attr-defined]  # an UpdateOutcome
    return [(each.path, each.field, each.local, each.upstream) for each in conflicts]


B, U, L = (config("a", f"{{x: '{value}', y: '1', z: '1', w: '1'}}") for value in ("o", "u", "l"))
M = config("a", "{x: 'o', y: 'mine', z: '1', w: '1'}")
UM = config("a", "{x: 'u', y: 'mine', z: '1', w: '1'}")


@pytest.mark.parametrize(
    ("base", "upstream", "local", "result", "conflict"),
    [
        pytest.param(None, None, L, L, None, id="only local"),
        pytest.param(None, U, None, U, None, id="added upstream"),
        pytest.param(None, U, U, U, None, id="added alike"),
        pytest.param(None, U, L, U, ("data.x", '"l"', '"u"'), id="added on both sides"),
        pytest.param(B, None, None, None, None, id="removed on both sides"),
        pytest.param(B, None, B, None, None, id="removed upstream"),
        pytest.param(B, None, L, L, ("", "changed", "deleted"), id="removed upstream, changed locally"),
        pytest.param(B, B, None, None, None, id="removed locally"),
        pytest.param(B, U, None, None, ("", "deleted", "changed"), id="removed locally, changed upstream"),
        pytest.param(B, U, B, U, None, id="changed upstream"),
        pytest.param(B, B, L, L, None, id="changed locally"),
        pytest.param(B, U, M, UM, None, id="changed in different fields"),
        pytest.param(B, U, L, U, ("data.x", '"l"', '"u"'), id="changed in one field"),
    ],
)
def test_each_case_of_a_resource(
    base: bytes | None,
    upstream: bytes | None,
    local: bytes | None,
    result: bytes | None,
    conflict: tuple[str, ...] | None,
) -> None:
    """In a file of its own, and in one with a neighbour."""
    outcome = update(*(package(a_yaml=side) for side in (base, upstream, local)))
    assert outcome.files == package(a_yaml=result)
    assert told(outcome) == ([("a.yaml", *conflict)] if conflict else [])
    both = update(*(package(a_yaml=with_neighbour(side)) for side in (base, upstream, local)))
    assert both.files == package(a_yaml=with_neighbour(result))
    assert told(both) == told(outcome)


def with_neighbour(resource: bytes | None) -> bytes:
    return config("first") + (b"---\n" + resource if resource is not None else b"")


RENAMED = M.replace(b"name: a", b"name: b")
ELSEWHERE = M.replace(b"  name: a\n", b"  name: a\n  namespace: prod\n")
MERGED = {
    "renamed": UM.replace(b"name: a", b"name: b"),
    "elsewhere": UM.replace(b"  name: a\n", b"  name: a\n  namespace: prod\n"),
}


@pytest.mark.parametrize(("local", "result"), [(RENAMED, MERGED["renamed"]), (ELSEWHERE, MERGED["elsewhere"])])
def test_a_resource_with_another_name_is_still_the_one(local: bytes, result: bytes) -> None:
    outcome = update(package(a_yaml=B), package(a_yaml=U), package(a_yaml=local))
    assert outcome.files == package(a_yaml=result)
    upstream = result.replace(b"'mine'", b"'1'")
    again = update(package(a_yaml=B), package(a_yaml=upstream), package(a_yaml=M))
    assert again.files == package(a_yaml=result)


def test_a_merge_comment_tells_the_name_upstream_whatever_is_in_the_resource() -> None:
    local = b"apiVersion: v1\nkind: ConfigMap\nmetadata: # kpt-merge: /a\n  name: other\ndata: {x: 'o', q: 'l'}\n"
    outcome = update(package(a_yaml=B), package(a_yaml=U), package(b_yaml=local))
    result = outcome.files["b.yaml"]
    assert result == local.replace(b"'o'", b"'u'")
    assert list(outcome.files) == ["Kptfile", "b.yaml"]


def test_unlike_resources_are_not_taken_for_renamed() -> None:
    local = config("b", "{q: '1', r: '1', s: '1', t: '1'}")
    outcome = update(package(a_yaml=B), package(a_yaml=U), package(a_yaml=local))
    assert outcome.files == package(a_yaml=local)
    assert told(outcome) == [("a.yaml", "", "deleted", "changed")]


def test_of_several_the_likest_is_the_renamed_one() -> None:
    def three(*resources: tuple[str, str]) -> dict[str, bytes]:
        return package(
            a_yaml=b"---\n".join(config(name, f"{{k: '1', l: '1', m: '1', o: {o}}}") for name, o in resources)
        )

    base = three(("one", "'1'"), ("two", "'2'"))
    upstream = package(a_yaml=base["a.yaml"].replace(b"k: '1'", b"k: '9'"))
    local = three(("prod-two", "'2'"), ("prod-one", "'1'"))
    assert update(base, upstream, local).files["a.yaml"] == local["a.yaml"].replace(b"k: '1'", b"k: '9'")


@pytest.mark.parametrize(
    ("upstream", "local", "result"),
    [
        pytest.param({"a_yaml": U}, {"b_yaml": M}, {"b_yaml": UM}, id="locally"),
        pytest.param({"b_yaml": U}, {"a_yaml": M}, {"b_yaml": UM}, id="upstream"),
        pytest.param({"b_yaml": U}, {"b_yaml": M}, {"b_yaml": UM}, id="to the same file"),
        pytest.param({"b_yaml": U}, {"c_yaml": M}, {"c_yaml": UM}, id="to different files"),
        pytest.param({"b_yaml": B}, {"a_yaml": B}, {"b_yaml": B}, id="upstream, and nothing else"),
        pytest.param({}, {"b_yaml": B}, {}, id="locally, removed upstream"),
    ],
)
def test_a_moved_resource(upstream: dict[str, bytes], local: dict[str, bytes], result: dict[str, bytes]) -> None:
    outcome = update(package(a_yaml=B), package(**upstream), package(**local))
    assert outcome.files == package(**result)
    assert outcome.conflicts == ()


def test_a_resource_moved_into_a_file_that_upstream_did_not_touch() -> None:
    """The local package gathers its resources in one file; upstream changes one of them where it was."""
    base = package(a_yaml=B, b_yaml=config("b"))
    local = package(b_yaml=config("b") + b"---\n# moved here\n" + M)
    outcome = update(base, package(a_yaml=U, b_yaml=config("b")), local)
    assert outcome.files == package(b_yaml=config("b") + b"---\n# moved here\n" + UM)


def test_variants_of_one_resource_in_several_files_stay_apart() -> None:
    base = package(dev__a_yaml=B, prod__a_yaml=B)
    outcome = update(base, package(dev__a_yaml=U, prod__a_yaml=B), package(dev__a_yaml=M, prod__a_yaml=L))
    assert outcome.files == package(dev__a_yaml=UM, prod__a_yaml=L)


def test_new_resources_stand_before_their_neighbour_and_comments_stay() -> None:
    base = b"# licence\n\n" + config("a") + b"--- # two\n" + config("b")
    upstream = b"# licence\n\n" + config("a") + b"---\n# three\n" + config("u") + b"--- # two\n" + config("b")
    local = b"# licence\n\n" + config("l") + b"---\n" + config("a") + b"--- # two\n" + config("b", "{mine: '1'}")
    result = update(*(package(a_yaml=side) for side in (base, upstream, local))).files["a.yaml"]
    assert result == local.replace(b"--- # two\n", b"---\n# three\n" + config("u") + b"--- # two\n")


def test_a_second_version_of_a_resource_is_the_same_one() -> None:
    base = b"apiVersion: example.com/v1beta1\nkind: X\nmetadata:\n  name: x\nspec: {a: 1, b: 1}\n"
    upstream, local = base.replace(b"v1beta1", b"v1").replace(b"a: 1", b"a: 2"), base.replace(b"b: 1", b"b: 2")
    result = update(package(a_yaml=base), package(a_yaml=upstream), package(a_yaml=local)).files["a.yaml"]
    assert result == upstream.replace(b"b: 1", b"b: 2")


def test_documents_without_a_name_are_told_apart_by_their_order() -> None:
    values = b"a: 1\nb: 1\n"
    base = config("a") + b"---\n" + values
    upstream = config("a") + b"---\n" + config("new") + b"---\n" + values.replace(b"a: 1", b"a: 2")
    local = base.replace(b"b: 1", b"b: 2")
    outcome = update(*(package(a_yaml=side) for side in (base, upstream, local)))
    assert outcome.files == package(a_yaml=upstream.replace(b"b: 1", b"b: 2"))
    assert outcome.conflicts == ()


# Subpackages

SUB = {"sub/Kptfile": kptfile("sub"), "sub/a.yaml": B, "sub/deep/Kptfile": kptfile("deep"), "sub/deep/t.txt": b"1"}
TOUCHED = {**SUB, "sub/deep/t.txt": b"2"}
GROWN = {**SUB, "sub/new.yaml": config("new")}
KEPT = ("sub", "", "changed", "deleted")
THEIRS = ("sub", "", "taken from another upstream", "changed")
FOREIGN = {**SUB, "sub/Kptfile": kptfile("sub", "upstream: {git: {repo: other}}\n"), "sub/mine": b""}


@pytest.mark.parametrize(
    ("base", "upstream", "local", "result", "conflict"),
    [
        pytest.param({}, SUB, {}, SUB, None, id="added upstream"),
        pytest.param({}, {}, SUB, SUB, None, id="added locally"),
        pytest.param({}, SUB, SUB, SUB, None, id="added alike"),
        pytest.param(SUB, {}, SUB, {}, None, id="removed upstream"),
        pytest.param(SUB, {}, TOUCHED, TOUCHED, KEPT, id="removed upstream, changed locally"),
        pytest.param(SUB, SUB, {}, {}, None, id="removed locally"),
        pytest.param(SUB, GROWN, {}, {}, ("sub", "", "deleted", "changed"), id="removed locally, changed upstream"),
        pytest.param(SUB, GROWN, TOUCHED, {**TOUCHED, "sub/new.yaml": config("new")}, None, id="changed on both sides"),
        pytest.param(
            SUB, GROWN, FOREIGN, FOREIGN, THEIRS, id="cloned from elsewhere"
        ),
        pytest.param(SUB, SUB, FOREIGN, FOREIGN, None, id="cloned from elsewhere, unchanged upstream"),
    ],
)  # fmt: skip
def test_each_case_of_a_subpackage(
    base: dict[str, bytes],
    upstream: dict[str, bytes],
    local: dict[str, bytes],
    result: dict[str, bytes],
    conflict: tuple[str, ...] | None,
) -> None:
    outcome = update(*({**package(), **side} for side in (base, upstream, local)))
    assert outcome.files == {**package(), **result}
    assert told(outcome) == ([conflict] if conflict else [])


def test_subpackages_added_on_both_sides_are_refused() -> None:
    with pytest.raises(InvalidPackage, match=r"^sub: the subpackage was added in both .* move the local one"):
        update(package(), {**package(), **SUB}, {**package(), **TOUCHED})


def test_the_kptfile_of_a_subpackage_takes_upstream_over() -> None:
    def sub(ref: str, more: str = "") -> dict[str, bytes]:
        return {**package(), "sub/Kptfile": kptfile("sub", f"upstream: {{git: {{repo: r, ref: {ref}}}}}\n{more}")}

    outcome = update(sub("v1"), sub("v2"), sub("v1", "info: {site: mine}\n"))
    assert outcome.files == sub("v2", "info: {site: mine}\n")


def test_a_directory_made_a_package_upstream_is_merged() -> None:
    base = {**package(), "sub/a.yaml": B}
    upstream = {**package(), "sub/a.yaml": U, "sub/Kptfile": kptfile("sub")}
    outcome = update(base, upstream, {**package(), "sub/a.yaml": M})
    assert outcome.files == {**upstream, "sub/a.yaml": UM}


def test_a_package_made_a_directory_upstream_is_merged() -> None:
    base = {**package(), "sub/a.yaml": B, "sub/Kptfile": kptfile("sub")}
    outcome = update(base, {**package(), "sub/a.yaml": U}, {**base, "sub/a.yaml": M})
    assert outcome.files == {**package(), "sub/a.yaml": UM}


# Files that are no resources


@pytest.mark.parametrize("path", ["logo.png", ".gitignore", ".github/x.yml.txt", "ignored/x.yaml"])
@pytest.mark.parametrize(
    ("base", "upstream", "local", "result", "conflict"),
    [
        (b"1", b"2", b"1", b"2", None),
        (b"1", None, b"1", None, None),
        (None, b"\0", None, b"\0", None),
        (b"1", b"2", b"2", b"2", None),
        (b"1", b"1", b"2", b"2", None),
        (b"1", b"1", None, None, None),
        (b"1", b"2", b"\xff", b"\xff", ("changed", "changed")),
        (b"1", None, b"3", b"3", ("changed", "deleted")),
        (None, b"2", b"3", b"3", ("added", "added")),
        (b"1", b"2", None, None, ("deleted", "changed")),
    ],
)
def test_each_case_of_a_file_that_is_no_resource(
    path: str,
    base: bytes | None,
    upstream: bytes | None,
    local: bytes | None,
    result: bytes | None,
    conflict: tuple[str, str] | None,
) -> None:
    def side(content: bytes | None) -> dict[str, bytes]:
        return package(**{".krmignore": b"ignored/\n", path: content})

    outcome = update(*map(side, (base, upstream, local)))
    assert outcome.files == side(result)
    assert told(outcome) == ([(path, "", *conflict)] if conflict else [])
    assert all(each.kept is Kept.LOCAL for each in outcome.conflicts)
