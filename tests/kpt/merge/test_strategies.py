"""The strategies that replace files; those that merge have tests of their own."""

import pytest

from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.kpt.format.kptfile import parse
from porchflow.kpt.package_errors import LocalChanges
from tests.kpt.merge.packages import config, package, update
from tests.kptfiles import kptfile

FAST_FORWARD = UpdateStrategy.FAST_FORWARD
REPLACE = UpdateStrategy.FORCE_DELETE_REPLACE
COPY = UpdateStrategy.COPY_MERGE

BASE = package(a_yaml=config("a", "{x: '1'}"), gone_yaml=config("gone"), README=b"1\n")
UPSTREAM = package(a_yaml=config("a", "{x: '2'}"), new_yaml=config("new"), README=b"2\n")

CONTEXT = (
    b"apiVersion: v1\nkind: ConfigMap\nmetadata: # context\n  name: kptfile.kpt.dev\n"
    b"  annotations:\n    config.kubernetes.io/local-config: 'true'\ndata:\n  name: "
)


@pytest.mark.parametrize("strategy", UpdateStrategy)
def test_an_unchanged_package_becomes_the_new_upstream(strategy: UpdateStrategy) -> None:
    outcome = update(BASE, UPSTREAM, dict(BASE), strategy)
    assert outcome.files == UPSTREAM
    assert outcome.conflicts == ()


@pytest.mark.parametrize("strategy", UpdateStrategy)
def test_the_package_keeps_its_name_and_upstream_brings_the_rest_of_the_kptfile(strategy: UpdateStrategy) -> None:
    base = package(Kptfile=kptfile("up", "info:\n  description: old\n"))
    upstream = package(Kptfile=kptfile("up", "info:\n  description: new\n"))
    local = package(Kptfile=kptfile("mine # ours", "info:\n  description: old\nupstream:\n  type: git\n"))
    outcome = update(base, upstream, local, strategy)
    assert outcome.files["Kptfile"] == local["Kptfile"].replace(b"old", b"new")


@pytest.mark.parametrize("strategy", UpdateStrategy)
def test_a_package_context_keeps_the_name(strategy: UpdateStrategy) -> None:
    outcome = update(
        package(**{"package-context_yaml": CONTEXT + b"up\n"}),
        package(**{"package-context_yaml": b"# new\n" + CONTEXT + b"up2\n  more: x\n"}),
        package(**{"package-context_yaml": CONTEXT + b"mine\n"}),
        strategy,
    )
    context = outcome.files["package-context.yaml"]
    assert b"name: mine\n" in context
    assert b"up" not in context
    assert b"more: x\n" in context
    assert outcome.conflicts == ()


@pytest.mark.parametrize(("strategy", "taken"), [(UpdateStrategy.RESOURCE_MERGE, False), (COPY, True), (REPLACE, True)])
def test_only_strategies_that_replace_take_upstream_over(strategy: UpdateStrategy, taken: bool) -> None:
    base = package(Kptfile=kptfile("up", "upstream:\n  type: git\n  git:\n    ref: v1\n"))
    upstream = package(Kptfile=kptfile("up", "upstream:\n  type: git\n  git:\n    ref: v2\n"))
    local = package(Kptfile=kptfile("mine", "upstream:\n  type: git\n  git:\n    ref: own\n"))
    merged = parse(update(base, upstream, local, strategy).files["Kptfile"].decode())
    assert merged.upstream is not None
    assert merged.upstream.git is not None
    assert merged.upstream.git.ref == ("v2" if taken else "own")


def test_fast_forward_names_the_changed_files() -> None:
    local = {**BASE, "a.yaml": config("a", "{x: '3'}"), "mine.yaml": config("mine")}
    del local["README"]
    with pytest.raises(LocalChanges) as refused:
        update(BASE, UPSTREAM, local, FAST_FORWARD)
    assert refused.value.files == ("README", "a.yaml", "mine.yaml")
    assert "README, a.yaml, mine.yaml; use resource-merge" in str(refused.value)


def test_fast_forward_names_at_most_ten_files() -> None:
    local = {**BASE, **{f"f{number:02}": b"" for number in range(30)}}
    with pytest.raises(LocalChanges, match=r"f09 and 20 more; use"):
        update(BASE, UPSTREAM, local, FAST_FORWARD)


@pytest.mark.parametrize(
    "local",
    [
        pytest.param({"a.yaml": config("a", "{x: '1'}", "  annotations: {}\n")}, id="an added field"),
        pytest.param({"a.yaml": b"# mine\n" + BASE["a.yaml"]}, id="a comment"),
        pytest.param({"a.yaml": BASE["a.yaml"] + b"---\n" + config("b")}, id="an added resource"),
        pytest.param({"README": b"1"}, id="a byte of a file that is no resource"),
        pytest.param({"a.yaml": b"a: [1\n"}, id="no YAML any more"),
        pytest.param({"Kptfile": kptfile("app", "pipeline: {}\n")}, id="a field of the Kptfile"),
    ],
)
def test_fast_forward_sees_every_change(local: dict[str, bytes]) -> None:
    with pytest.raises(LocalChanges):
        update(BASE, UPSTREAM, {**BASE, **local}, FAST_FORWARD)


RENDERED = (
    "status:\n  conditions:\n  - type: Ours\n    status: 'True'\n  - type: Rendered\n    status: 'True'\n"
    "  renderStatus:\n    errorSummary: none\n"
)


@pytest.mark.parametrize(
    "local",
    [
        pytest.param(
            {"a.yaml": BASE["a.yaml"].replace(b"metadata:", b"metadata: # kpt-merge: /a")}, id="merge comment"
        ),
        pytest.param(
            {"a.yaml": config("a", "{x: '1'}", "  annotations:\n    internal.kpt.dev/upstream-identifier: '|C|d|a'\n")},
            id="upstream identifier",
        ),
        pytest.param({"a.yaml": BASE["a.yaml"].replace(b"\n", b"\r\n")}, id="line ends"),
        pytest.param({"a.yaml": BASE["a.yaml"].replace(b"{x: '1'}", b'\n    x: "1"')}, id="layout"),
        pytest.param({"Kptfile": kptfile("mine", "upstream:\n  type: git\nupstreamLock:\n  type: git\n")}, id="origin"),
    ],
)
def test_fast_forward_does_not_mind_what_a_clone_changes(local: dict[str, bytes]) -> None:
    outcome = update(BASE, UPSTREAM, {**BASE, **local}, FAST_FORWARD)
    assert {**outcome.files, "Kptfile": b""} == {**UPSTREAM, "Kptfile": b""}


def test_fast_forward_removes_what_the_last_rendering_left() -> None:
    gate = "status:\n  conditions:\n  - type: Ours\n    status: 'True'\n"
    base, upstream = package(Kptfile=kptfile("up", gate)), package(Kptfile=kptfile("up", gate), n=b"")
    outcome = update(base, upstream, package(Kptfile=kptfile("mine", RENDERED)), FAST_FORWARD)
    assert outcome.files == package(Kptfile=kptfile("mine", gate), n=b"")


def test_force_delete_replace_drops_all_local_changes_and_tells_them() -> None:
    local = {**BASE, "a.yaml": config("a", "{x: '3'}"), "mine": b""}
    del local["README"]
    outcome = update(BASE, UPSTREAM, local, REPLACE)
    assert outcome.files == UPSTREAM
    assert [conflict.message for conflict in outcome.conflicts] == [
        "README: local is deleted, upstream is changed; kept upstream",
        "a.yaml: local is changed, upstream is changed; kept upstream",
        "mine: local is added, upstream is (none); kept upstream",
    ]


def test_copy_merge_keeps_what_only_the_local_package_has() -> None:
    local = {**BASE, "a.yaml": config("a", "{x: '3'}"), "gone.yaml": config("gone", "{y: '1'}"), "mine": b""}
    outcome = update(BASE, UPSTREAM, local, COPY)
    assert outcome.files == {**UPSTREAM, "mine": b""}
    assert [(conflict.path, conflict.local, conflict.upstream) for conflict in outcome.conflicts] == [
        ("a.yaml", "changed", "changed"),
        ("gone.yaml", "changed", "deleted"),
    ]


@pytest.mark.parametrize("strategy", UpdateStrategy)
def test_files_that_stay_are_the_same_objects(strategy: UpdateStrategy) -> None:
    local = {path: bytes(bytearray(content)) for path, content in BASE.items()}
    outcome = update(BASE, {path: bytes(bytearray(content)) for path, content in BASE.items()}, local, strategy)
    assert all(outcome.files[path] is content for path, content in local.items())
