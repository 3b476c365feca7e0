"""Reading content through the API server, as kubectl does."""

import json

import pytest

from cli.stack.processes import Process
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
