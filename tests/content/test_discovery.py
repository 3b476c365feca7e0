"""What clients learn of the API, through the API server."""

import json

import pytest

from porchflow.api.names import PORCH_GROUP
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

pytestmark = pytest.mark.usefixtures("content_api")


async def test_kubectl_knows_the_resource(control_plane: ControlPlane) -> None:
    async def listed() -> str:
        arguments = ("api-resources", f"--api-group={PORCH_GROUP}", "--no-headers", "-o", "wide", "--cached=false")
        lines = (await control_plane.kubectl(*arguments)).splitlines()
        return next((line for line in lines if line.startswith("packagerevisionresources ")), "")

    line = await eventually(listed, what="discovery tells of the resource")
    assert line.split()[1:] == [
        "porch.kpt.dev/v1alpha1",
        "true",
        "PackageRevisionResources",
        "get,list,patch,update,watch",
    ]


async def test_the_group_prefers_the_version_of_the_crd(control_plane: ControlPlane) -> None:
    group = json.loads(await control_plane.kubectl("get", "--raw", f"/apis/{PORCH_GROUP}"))
    assert group["preferredVersion"]["version"] == "v1alpha2"
    assert [each["version"] for each in group["versions"]] == ["v1alpha2", "v1alpha1"]


async def test_kubectl_explains_the_fields(control_plane: ControlPlane) -> None:
    async def explained() -> str:
        path = "packagerevisionresources.spec"
        return await control_plane.kubectl("explain", path, "--api-version=porch.kpt.dev/v1alpha1", check=False)

    text = await eventually(
        lambda: _containing(explained, "The files of the package"),
        what="the API server has fetched the schema from the content API",
    )
    assert "<map[string]string>" in text
    assert "packageName" in text


async def test_the_older_schema_is_merged_too(control_plane: ControlPlane) -> None:
    async def merged() -> bool:
        definitions = json.loads(await control_plane.kubectl("get", "--raw", "/openapi/v2"))["definitions"]
        return "dev.kpt.porch.v1alpha1.PackageRevisionResources" in definitions

    await eventually(merged, what="OpenAPI v2 holds the kind")


async def _containing(read: object, word: str) -> str:
    assert callable(read)
    text = str(await read())
    return text if word in text else ""
