"""Subpackage operations in raw objects: the digest that Porch writes, and when one is due."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.api.work.subpackage import forgotten_operation, operation_due, operation_hash, unmade
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Invalid
from porchflow.kube.kinds import PACKAGEREVISIONS

CLONE = {"subpackageDir": "my-subpkg", "cloneFrom": {"upstreamRef": {"name": "upstream.pkg.v1"}}}
AS_GO_WRITES_THE_CLONE = """\
subpackagedir: my-subpkg
clonefrom:
  type: ""
  git: null
  upstreamref:
    name: upstream.pkg.v1
upgrade: null
"""
UPGRADE = {
    "subpackageDir": "a/b",
    "upgrade": {"oldUpstream": {"name": "r.p.v1"}, "newUpstream": {"name": "r.p.v2"}, "strategy": "copy-merge"},
}
AS_GO_WRITES_THE_UPGRADE = """\
subpackagedir: a/b
clonefrom: null
upgrade:
  oldupstream:
    name: r.p.v1
  newupstream:
    name: r.p.v2
  currentpackage:
    name: ""
  strategy: copy-merge
"""
OF_GIT = {
    "subpackageDir": "1.0",
    "cloneFrom": {"type": "git", "git": {"repo": "https://git.example.com:80/x", "ref": "yes", "directory": "*a"}},
}
AS_GO_WRITES_IT_OF_GIT = """\
subpackagedir: "1.0"
clonefrom:
  type: git
  git:
    repo: https://git.example.com:80/x
    ref: "yes"
    directory: '*a'
    secretref:
      name: ""
  upstreamref: null
upgrade: null
"""


@pytest.mark.parametrize(
    ("operation", "text"),
    [(CLONE, AS_GO_WRITES_THE_CLONE), (UPGRADE, AS_GO_WRITES_THE_UPGRADE), (OF_GIT, AS_GO_WRITES_IT_OF_GIT)],
)
def test_the_digest_is_that_of_the_yaml_that_porch_writes(operation: Any, text: str) -> None:
    assert operation_hash(operation) == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


RECORDED = Path(__file__).parent / "data" / "subpackage_operations.jsonl"
"""Operations, and the digests of what `yaml.Marshal` of kyaml v0.20.1 writes a Go struct of Porch's shape as."""


def test_digests_are_those_that_go_computes() -> None:
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    assert len(recorded) > 150
    assert [one for one in recorded if operation_hash(one["operation"]) != one["digest"]] == []


names = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(names, names, names)
def test_different_operations_have_different_digests(folder: str, name: str, other: str) -> None:
    first = {"subpackageDir": folder, "cloneFrom": {"upstreamRef": {"name": name}}}
    second = {"subpackageDir": folder, "cloneFrom": {"upstreamRef": {"name": other}}}
    assert (operation_hash(first) == operation_hash(second)) is (name == other)
    assert operation_hash(copy.deepcopy(first)) == operation_hash(first)


@given(st.recursive(st.none() | st.booleans() | names, lambda inner: st.dictionaries(names, inner, max_size=3)))
def test_no_value_that_is_stored_ends_a_watch(value: Any) -> None:
    for operation in (value, {"cloneFrom": value}, {"upgrade": value}, {"cloneFrom": {"git": value}}):
        obj = {"metadata": {}, "spec": {"subpackageOperation": operation}}
        operation_due(obj)
        unmade(obj)


def _obj(operation: Any, *, done: Any = None, token: str = "", seen: str = "") -> dict[str, Any]:
    status = {"lastSubpackageOperationHash": operation_hash(done)} if done else {}
    return {
        "metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: token} if token else {}},
        "spec": {"subpackageOperation": operation} if operation else {},
        "status": {**status, "creationSource": "init", "observedReconcileNow": seen},
    }


def test_an_operation_is_due_until_it_is_recorded_and_when_a_user_asks_again() -> None:
    assert operation_due(_obj(CLONE))
    assert operation_due(_obj(CLONE, done=UPGRADE))
    assert not operation_due(_obj(CLONE, done=CLONE))
    assert operation_due(_obj(CLONE, done=CLONE, token="again"))
    assert not operation_due(_obj(CLONE, done=CLONE, token="again", seen="again"))
    assert not operation_due(_obj(CLONE, done=CLONE, token="git-1f0c-Draft")), "a sync found a push"
    assert not operation_due(_obj(None, done=CLONE, token="again"))


def test_an_operation_that_was_taken_away_is_forgotten() -> None:
    assert forgotten_operation(_obj(None, done=CLONE)) == {"lastSubpackageOperationHash": None}
    assert forgotten_operation(_obj(CLONE, done=CLONE)) == {}
    assert forgotten_operation(_obj(None)) == {}


def test_what_is_unmade_is_named() -> None:
    assert unmade(_obj(CLONE)) == [CLONE]
    assert unmade(_obj(CLONE, done=CLONE)) == []
    assert unmade({"metadata": {}, "spec": {"source": {"init": {}}, "subpackageOperation": CLONE}}) == [
        {"init": {}},
        CLONE,
    ]


# What the API server takes


def _body(namespace: str, operation: Any) -> dict[str, Any]:
    return {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {"name": "repo.shop.v1", "namespace": namespace},
        "spec": {"repository": "repo", "packageName": "shop", "workspaceName": "v1", "subpackageOperation": operation},
    }


@pytest.mark.parametrize("folder", ["a", "a/b/c", ".a", "..a/b..", "a.b", "my_db", "x" * 1000])
async def test_a_folder_below_the_package_is_accepted(kube: KubeClient, namespace: str, folder: str) -> None:
    made = await kube.create(PACKAGEREVISIONS, _body(namespace, {**CLONE, "subpackageDir": folder}))
    assert made["spec"]["subpackageOperation"]["subpackageDir"] == folder


@pytest.mark.parametrize(
    "folder", [None, "", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "x" * 1001]
)
async def test_a_folder_elsewhere_is_refused(kube: KubeClient, namespace: str, folder: str | None) -> None:
    operation = {**CLONE, "subpackageDir": folder}
    with pytest.raises(Invalid, match="subpackageDir"):
        await kube.create(
            PACKAGEREVISIONS, _body(namespace, {key: value for key, value in operation.items() if value is not None})
        )


@pytest.mark.parametrize("operation", [{"subpackageDir": "a"}, {**CLONE, **UPGRADE, "subpackageDir": "a"}])
async def test_an_operation_is_one_of_two(kube: KubeClient, namespace: str, operation: Any) -> None:
    with pytest.raises(Invalid, match="exactly one of cloneFrom or upgrade must be set"):
        await kube.create(PACKAGEREVISIONS, _body(namespace, operation))


def test_the_yaml_in_these_tests_is_read_back() -> None:
    for operation, text in ((OF_GIT, AS_GO_WRITES_IT_OF_GIT), (UPGRADE, AS_GO_WRITES_THE_UPGRADE)):
        assert yaml.safe_load(text)["subpackagedir"] == operation["subpackageDir"]
    assert yaml.safe_load(AS_GO_WRITES_IT_OF_GIT)["clonefrom"]["git"]["directory"] == "*a"
