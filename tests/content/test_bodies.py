"""Bodies of requests: what is understood, and what is told of the rest."""

import json
from typing import Any

import pytest
import yaml

from porchflow.content.packages.bodies import read_wanted, unknown_fields
from porchflow.content.refusals import ApiError
from tests.content.direct import ADMIN, Direct
from tests.content.world import FILES, KPTFILE, Packages

BOMB = "a0: &a0 {k: v}\n" + "".join(
    f"a{level}: &a{level}\n  <<: [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)
"""Merge keys of merge keys: less than a kilobyte that stands for 10^11 pairs."""
OBJECT = {
    "apiVersion": "porch.kpt.dev/v1alpha1",
    "kind": "PackageRevisionResources",
    "metadata": {"name": "x", "namespace": "n", "resourceVersion": "abc", "uid": "u", "labels": {"a": "b"}},
    "spec": {"packageName": "", "repository": "r", "revision": 3, "resources": {"Kptfile": "k"}},
}


def test_what_porchctl_sends_is_understood() -> None:
    wanted = read_wanted(OBJECT, "n", "x")
    assert (wanted.resource_version, wanted.uid, wanted.labels) == ("abc", "u", {"a": "b"})
    assert wanted.resources == {"Kptfile": "k"}
    assert wanted.spec == {"repository": "r"}, "what is empty is not given"


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"kind": "Pod"}, 400, "'Pod'"),
        ({"apiVersion": "porch.kpt.dev/v1alpha2"}, 400, "not 'porch.kpt.dev/v1alpha1'"),
        ({"metadata": {"name": "y"}}, 400, "the name of the object ('y') does not match the name on the URL ('x')"),
        ({"metadata": {"namespace": "m"}}, 400, "the namespace of the object ('m')"),
        ({"metadata": []}, 400, "metadata has to be an object, not a list"),
        ({"metadata": {"labels": 3}}, 400, "metadata.labels has to be an object, not a number"),
        ({"spec": "x"}, 400, "spec has to be an object, not a text"),
        ({"spec": {"resources": ["Kptfile"]}}, 400, "spec.resources has to be an object"),
        (
            {"spec": {"resources": {"a": None, "b": True}}},
            422,
            "spec.resources[a]: has to be the file's text, not null",
        ),
        ({"spec": {"resources": {1: "x"}}}, 422, "spec.resources[1]"),
    ],
)
def test_what_is_no_such_object(change: dict[str, Any], code: int, message: str) -> None:
    with pytest.raises(ApiError) as error:
        read_wanted({**OBJECT, **change}, "n", "x")
    assert error.value.code == code
    assert message in error.value.message


def test_unknown_fields_are_named() -> None:
    odd = {**OBJECT, "data": 1, "spec": {"resource": {}}, "metadata": {"label": {}}, "status": {"phase": 1}}
    assert unknown_fields(odd) == ["data", "metadata.label", "spec.resource", "status.phase"]
    assert unknown_fields(OBJECT) == unknown_fields([]) == []


async def test_yaml_is_read_and_json_that_is_none_refused(direct: Direct, packages: Packages) -> None:
    name, commit = await packages.draft()
    body = {**OBJECT, "metadata": {"name": name, "resourceVersion": commit, "labels": {"a": "b"}}}
    body["spec"] = {"resources": {"Kptfile": KPTFILE}}
    path, text = f"{direct.path}/{name}", {**ADMIN, "Content-Type": "application/yaml"}
    answer = await direct.ask("PUT", path, data=yaml.safe_dump(body).encode(), headers=text)
    assert answer.status == 200
    assert "metadata.labels are those of the PackageRevision" in answer.headers["Warning"]
    for content_type, data in (
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 100_000),
        ("application/yaml", b"a: ]"),
        ("application/yaml", b"!!python/object/apply:os.getcwd []"),
        ("application/yaml", BOMB.encode()),
        ("application/json", b"null"),
    ):
        answer = await direct.ask("PUT", path, data=data, headers={**ADMIN, "Content-Type": content_type})
        assert (answer.status, answer.json["reason"]) == (400, "BadRequest"), data[:20]
    assert (await direct.ask("PUT", path, data=b"x", headers={**ADMIN, "Content-Type": "text/plain"})).status == 415


async def test_an_object_of_another_uid_is_another_object(direct: Direct, packages: Packages) -> None:
    name, commit = await packages.draft()
    body = {**OBJECT, "metadata": {"name": name, "resourceVersion": commit, "uid": "other"}}
    json_type = {**ADMIN, "Content-Type": "application/json"}
    body["spec"] = {"resources": FILES}
    answer = await direct.ask("PUT", f"{direct.path}/{name}", data=body, headers=json_type)
    assert (answer.status, "another uid" in answer.message) == (409, True)


@pytest.mark.parametrize(
    ("content_type", "query", "patch", "code", "message"),
    [
        ("json-patch+json", "", [{"op": "remove", "path": "/spec/resources/none"}], 422, "operation 0: there is no"),
        ("json-patch+json", "", {"spec": {}}, 422, "a JSON patch is a list"),
        ("merge-patch+json", "", {"metadata": {"name": "other"}}, 400, "does not match the name on the URL"),
        ("merge-patch+json", "", {"spec": {"packageName": "other"}}, 422, "spec.packageName: is immutable"),
        ("merge-patch+json", "", {"metadata": {"resourceVersion": "1"}}, 409, "the object has been modified"),
        ("merge-patch+json", "", {"spec": {"resources": None}}, 422, "package must contain Kptfile at root"),
        ("merge-patch+json", "?fieldValidation=Strict", {"spec": {"x": 1}}, 400, 'unknown field "spec.x"'),
        ("merge-patch+json", "?fieldValidation=Maybe", {}, 400, "give Ignore, Warn or Strict"),
        ("merge-patch+json", "?dryRun=Some", {}, 400, "the only value is All"),
        ("apply-patch+yaml", "?fieldManager=me", {**OBJECT, "metadata": []}, 400, "metadata has to be an object"),
        ("apply-patch+yaml", "?fieldManager=me", OBJECT, 400, "the name of the object ('x')"),
        ("apply-patch+yaml", "", OBJECT, 422, "fieldManager: is required"),
        ("apply-patch+yaml", "?fieldManager=me", {"spec": {}}, 400, "with apiVersion and kind"),
        ("apply-patch+yaml", "?fieldManager=me&force=maybe", OBJECT, 400, "give true or false"),
    ],
)
async def test_patches_that_cannot_be_made(
    direct: Direct, packages: Packages, content_type: str, query: str, patch: Any, code: int, message: str
) -> None:
    name, commit = await packages.draft()
    headers = {**ADMIN, "Content-Type": f"application/{content_type}"}
    answer = await direct.ask("PATCH", f"{direct.path}/{name}{query}", data=json.dumps(patch).encode(), headers=headers)
    assert (answer.status, answer.json["kind"]) == (code, "Status")
    assert message in answer.message
    assert await packages.tip("drafts/web/v1") == commit
