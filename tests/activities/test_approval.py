"""Who published, and how that is known."""

from pathlib import Path

from porchflow.api.names import APPROVED_BY_ANNOTATION, RECORDS_POLICY
from porchflow.api.work.needs import Phase
from porchflow.kube.errors import Invalid
from tests.activities.world import World, entered
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories
from tests.servers.waiting import eventually


async def test_the_approver_is_who_the_api_server_says(world: World) -> None:
    name = await world.published()
    assert (await world.get(name))["status"]["publishedBy"] == "porchflow-admin"
    for lifecycle in ("DeletionProposed", "Published"):
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)
        assert (await world.get(name))["status"]["publishedBy"] == "porchflow-admin"


async def test_nobody_is_the_approver_where_the_api_server_does_not_write_it_down(
    restartable_control_plane: ControlPlane, git_server: GitRepositories, tmp_path: Path
) -> None:
    plane = restartable_control_plane
    for kind in ("mutatingadmissionpolicybindings", "validatingadmissionpolicybindings"):
        await plane.kubectl("delete", kind, RECORDS_POLICY)
    async with entered(plane, "default", git_server, tmp_path) as world:
        name = await world.draft()

        async def forged() -> bool:
            forgery = {"metadata": {"annotations": {APPROVED_BY_ANNOTATION: "eve@example.com"}}}
            try:
                obj = await world.patch(name, forgery)
            except Invalid:
                return False
            return (obj["metadata"].get("annotations") or {}).get(APPROVED_BY_ANNOTATION) == "eve@example.com"

        await eventually(forged, what="the policies are gone")
        for lifecycle in ("Proposed", "Published"):
            await world.ask(name, lifecycle)
            await world.run(Phase.LIFECYCLE, name)
        status = (await world.get(name))["status"]
        assert (status["revision"], status.get("publishedBy")) == (1, None)
