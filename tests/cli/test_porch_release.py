"""Which Porch something is of, by what its releases differ in."""

from pathlib import Path

import pytest
import yaml

from porchflow.api.crd import DEFINITIONS, custom_resource_definition
from porchflow.api.models.packagerevision import PACKAGE_REVISION
from porchflow.cli.doctor.porch_release import BEFORE, SINCE, UNKNOWN, release_of_crd, release_of_images
from porchflow.kube.client import Object
from tests.api.schemas import table_of

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("images", "release"),
    [
        (["ghcr.io/kptdev/porch-server:v1.6.2", "ghcr.io/kptdev/porch-controllers:v1.6.4-pre.3"], SINCE),
        (["docker.io/nephio/porch-server:v1.5.10"], BEFORE),
        (["ghcr.io/kptdev/porch-server:v1.6.0", "nephio/porch-controllers:v1.5.12"], BEFORE),
        (["registry:5000/porch-server:2.0.0@sha256:1f0c"], SINCE),
        (["porch/porch-server"], UNKNOWN),
        (["porch/porch-server:latest", "registry:5000/porch-controllers", "x@sha256:1f0c"], UNKNOWN),
        ([], UNKNOWN),
    ],
)
def test_the_release_by_the_tags_of_images(images: list[str], release: str) -> None:
    assert release_of_images(images) == release


def crd(*status: str, spec: tuple[str, ...] = ("lifecycle",)) -> Object:
    fields = {
        "spec": {"properties": {key: {"type": "string"} for key in spec}},
        "status": {"properties": {key: {"type": "string"} for key in status}},
    }
    return {"spec": {"versions": [{"name": "v1alpha2", "schema": {"openAPIV3Schema": {"properties": fields}}}]}}


def test_whose_a_crd_is() -> None:
    assert release_of_crd(custom_resource_definition(PACKAGE_REVISION)) == ""
    assert release_of_crd(crd("revision")) == BEFORE
    assert release_of_crd(crd("revision", "resourcesSizeBytes")) == SINCE
    assert release_of_crd(crd(spec=("subpackageOperation",))) == SINCE
    assert release_of_crd({"spec": {}}) == BEFORE


# The page


def test_the_table_of_releases_is_true_of_our_crds() -> None:
    """What the page says porchflow has is in its CRDs, and what Porch had before July 2026 in that Porch's."""
    text = (DOCS / "porch" / "crd-differences.md").read_text().partition("## Releases of Porch\n")[2]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    rows = [row for row in rows if row[0].startswith("`")]
    assert len(rows) > 10
    ours = {each.kind: table_of(custom_resource_definition(each)) for each in DEFINITIONS}
    porchs = yaml.safe_load((DOCS.parent / "tests/api/porch_crds.yaml").read_text())
    for place, kind, before, since, porchflow in rows:
        name = place.strip("`")
        assert since
        assert (name in ours[kind]) is (porchflow != "none"), place
        assert (name in porchs[kind]) is (before != "none"), place
