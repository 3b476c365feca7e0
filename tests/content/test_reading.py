"""Reading content through the API server, as kubectl does."""

import json

import pytest

from porchflow.devstack.processes import Process
from tests.content.world import FILES, Packages
from tests.servers.control_plane import ControlPlane

PRR = "packagerevisionresources.v1alpha1.porch.kpt.dev"

pytestmark = pytest.mark.usefixtures("content_api")


async def test_a_draft_is_shown_byte_for_byte(packages: Packages, control_plane: ControlPlane) -> None:
    name, commit = await packages.draft()
    shown = json.loads(await control_plane.kubectl("get", PRR, "-n", packages.namespace, name, "-o", "json"))
    assert shown["apiVersion"] == "porch.kpt.dev/v1alpha1"
    assert shown["kind"] == "PackageRevisionResources"
    assert shown["metadata"]["resourceVersion"] == commit
    assert shown["spec"] == {
        "packageName": "web",
        "workspaceName": "v1",
        "repository": "blueprints",
        "revision": 0,
        "resources": FILES,
    }
    assert shown["status"] == {"renderStatus": {"error": "", "result": {"exitCode": 0, "metadata": {}}}}


async def test_a_table_has_the_columns_of_porch(packages: Packages, control_plane: ControlPlane) -> None:
    name, _ = await packages.published()
    table = await control_plane.kubectl("get", PRR, "-n", packages.namespace, name)
    rows = [line.split() for line in table.splitlines()]
    assert rows == [
        ["NAME", "PACKAGE", "WORKSPACENAME", "REVISION", "REPOSITORY", "FILES"],
        [name, "web", "v1", "1", "blueprints", "3"],
    ]


async def test_what_does_not_exist_is_not_found(
    packages: Packages, control_plane: ControlPlane, content_api: Process
) -> None:
    told = await control_plane.kubectl("get", PRR, "-n", packages.namespace, "blueprints.web.v9", check=False)
    assert told.strip() == (
        'Error from server (NotFound): packagerevisionresources.porch.kpt.dev "blueprints.web.v9" not found'
    )


async def test_clients_of_v1alpha1_are_told_where_to_go(packages: Packages, control_plane: ControlPlane) -> None:
    name, _ = await packages.draft()
    path = f"/apis/porch.kpt.dev/v1alpha1/namespaces/{packages.namespace}/packagerevisions"
    warning, _, answer = (await control_plane.kubectl("get", "--raw", path)).partition("\n")
    assert "use the v1alpha2 API" in warning
    listed = json.loads(answer)
    assert (listed["kind"], listed["apiVersion"], listed["items"]) == (
        "PackageRevisionList",
        "porch.kpt.dev/v1alpha1",
        [],
    )
    told = await control_plane.kubectl("get", "--raw", f"{path}/{name}", check=False)
    assert "NotFound" in told
    for arguments in (("create", "--raw", path), ("replace", "--raw", f"{path}/{name}")):
        told = await control_plane.kubectl(*arguments, "-f", "-", stdin="{}", check=False)
        assert "(Gone): PackageRevisions are managed by v1alpha2; use the v1alpha2 API" in told
