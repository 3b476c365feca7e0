"""docs/operate/sizing.md says what the manifests ask for."""

import pytest

from porchflow.cli.manifests.shipped import composed
from tests.deploy.manifests import DEPLOY

PAGE = (DEPLOY.parent / "docs" / "operate" / "sizing.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 7
}
PROCESSES = {one["metadata"]["name"]: one["spec"] for one in composed([]) if one["kind"] == "Deployment"}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_has_a_row_with_its_requests_and_limits(name: str) -> None:
    replicas, processor, memory, most, *_ = ROWS[
        name.removeprefix("porchflow-").replace("-api", " API").replace("-", " ")
    ]
    spec = PROCESSES[name]
    [container] = spec["template"]["spec"]["containers"]
    asked, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert (replicas, processor, memory, most) == (
        str(spec["replicas"]),
        asked["cpu"],
        asked["memory"],
        limits["memory"],
    )


def test_the_room_of_the_git_cache_is_that_of_the_volumes() -> None:
    sizes = {
        volume["emptyDir"]["sizeLimit"]
        for spec in PROCESSES.values()
        for volume in spec["template"]["spec"]["volumes"]
        if "sizeLimit" in volume.get("emptyDir", {})
    }
    assert [f"of {size} at most" in PAGE for size in sizes] == [True]
