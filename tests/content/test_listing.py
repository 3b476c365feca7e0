"""Lists, through the API server."""

import asyncio
import json
from typing import Any

import pytest

from porchflow.api.names import LATEST_REVISION_LABEL
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.content.world import FILES, KPTFILE, REPOSITORY, Packages
from tests.servers.control_plane import ControlPlane

PRR = "packagerevisionresources.v1alpha1.porch.kpt.dev"
PATH = "/apis/porch.kpt.dev/v1alpha1/namespaces/{}/packagerevisionresources"

pytestmark = pytest.mark.usefixtures("content_api")


@pytest.fixture
async def three(packages: Packages) -> Packages:
    """A draft, a published revision, and the package on the branch; and a draft that has no content yet."""
    await packages.draft({"Kptfile": KPTFILE}, "api")
    name, _ = await packages.published()
    await packages.kube.merge_patch(
        PACKAGEREVISIONS, packages.namespace, name, {"metadata": {"labels": {LATEST_REVISION_LABEL: "true"}}}
    )
    tip = await packages.tip("main")
    await packages.create("web", "main", "Published", revision=-1, selfLock=packages.lock("main", "web", tip))
    await packages.create("later")
    return packages


async def _names(plane: ControlPlane, packages: Packages, *arguments: str) -> list[str]:
    output = await plane.kubectl("get", PRR, "-n", packages.namespace, "-o", "name", *arguments)
    return [line.partition("/")[2] for line in output.splitlines()]


async def _list(plane: ControlPlane, packages: Packages, query: str = "", check: bool = True) -> Any:
    output = await plane.kubectl("get", "--raw", PATH.format(packages.namespace) + query, check=check)
    return json.loads(output) if check else output


async def test_all_revisions_with_content_are_listed(three: Packages, control_plane: ControlPlane) -> None:
    listed = await _list(control_plane, three)
    assert listed["kind"] == "PackageRevisionResourcesList"
    assert listed["metadata"]["resourceVersion"].isdigit()
    assert {item["metadata"]["name"]: item["spec"]["revision"] for item in listed["items"]} == {
        "blueprints.api.v1": 0,
        "blueprints.web.main": -1,
        "blueprints.web.v1": 1,
    }
    assert listed["items"][1]["spec"]["resources"] == FILES


async def test_the_table(three: Packages, control_plane: ControlPlane) -> None:
    table = await control_plane.kubectl("get", PRR, "-n", three.namespace)
    assert [line.split() for line in table.splitlines()] == [
        ["NAME", "PACKAGE", "WORKSPACENAME", "REVISION", "REPOSITORY", "FILES"],
        ["blueprints.api.v1", "api", "v1", "0", "blueprints", "1"],
        ["blueprints.web.main", "web", "main", "-1", "blueprints", "3"],
        ["blueprints.web.v1", "web", "v1", "1", "blueprints", "3"],
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=blueprints.web.v1", ["blueprints.web.v1"]),
        ("spec.packageName=web", ["blueprints.web.main", "blueprints.web.v1"]),
        ("spec.workspaceName==v1,spec.packageName=api", ["blueprints.api.v1"]),
        ("spec.repository=other", []),
        ("spec.revision=-1", ["blueprints.web.main"]),
        ("spec.revision=0", ["blueprints.api.v1"]),
        ("spec.lifecycle=Draft", ["blueprints.api.v1"]),
    ],
)
async def test_field_selectors(
    three: Packages, control_plane: ControlPlane, selector: str, expected: list[str]
) -> None:
    assert await _names(control_plane, three, f"--field-selector={selector}") == expected


async def test_label_selectors(three: Packages, control_plane: ControlPlane) -> None:
    assert await _names(control_plane, three, "-l", f"{LATEST_REVISION_LABEL}=true") == ["blueprints.web.v1"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?fieldSelector=spec.color%3Dred", "field label not supported: spec.color"),
        ("?fieldSelector=spec.packageName%3D", "the value is empty"),
        ("?fieldSelector=spec.packageName%21%3Dweb", "only <field>=<value> is understood"),
        ("?fieldSelector=spec.revision%3Done", "is a number"),
        ("?labelSelector=%21%21", "unable to parse"),
        ("?limit=many", "give a number"),
        ("?continue=nonsense", "continue"),
        ("?resourceVersionMatch=Exact&resourceVersion=1", "Exact is not supported"),
    ],
)
async def test_a_bad_query_is_a_bad_request(
    three: Packages, control_plane: ControlPlane, query: str, message: str
) -> None:
    told = await _list(control_plane, three, query, check=False)
    assert "Error from server" in told
    assert message in told


async def test_pages(three: Packages, control_plane: ControlPlane) -> None:
    names: list[str] = []
    query = "?limit=2"
    for _ in range(3):
        page = await _list(control_plane, three, query)
        names += [item["metadata"]["name"] for item in page["items"]]
        if not (token := page["metadata"].get("continue")):
            break
        query = f"?limit=2&continue={token}"
    assert names == ["blueprints.api.v1", "blueprints.web.main", "blueprints.web.v1"]


async def test_a_repository_that_cannot_be_read_is_left_out_with_a_warning(
    three: Packages, control_plane: ControlPlane
) -> None:
    await _list(control_plane, three)
    path = three.git.path
    await asyncio.to_thread(path.rename, path.with_name("away.git"))
    output = await control_plane.kubectl("get", PRR, "-n", three.namespace)
    assert "Warning: " in output
    assert "3 package revisions are left out" in output
    assert "blueprints.web.v1 " in output, "what is published does not change, and was read before"


async def test_a_user_of_one_namespace_sees_no_other(three: Packages, control_plane: ControlPlane) -> None:
    nobody = control_plane.kubeconfig_for("nobody")
    told = await control_plane.kubectl("get", PRR, "-A", kubeconfig=nobody, check=False)
    assert 'cannot list resource "packagerevisionresources" in API group "porch.kpt.dev" at the cluster scope' in told
    assert REPOSITORY not in told
