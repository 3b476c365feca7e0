"""A manifest that a GitOps tool applies again and again, while people move the lifecycle."""

import pytest
import yaml

from porchflow.api.work.needs import Phase
from tests.kubectl import KubectlError, kubectl_with
from tests.security.stage import NAME, Stage
from tests.servers.control_plane import ControlPlane

AUTHOR = "ada@example.com"
SERVER_SIDE = ["--server-side", "--field-manager=gitops"]


def manifest(namespace: str, **spec: str) -> str:
    body = {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "repository": "blueprints",
            "packageName": "web",
            "workspaceName": "v1",
            "source": {"init": {"description": "a web app"}},
            **spec,
        },
    }
    return yaml.safe_dump(body)


@pytest.mark.parametrize("how", [[], SERVER_SIDE], ids=["client-side", "server-side"])
async def test_a_manifest_without_lifecycle_can_be_applied_at_any_time(
    stage: Stage, control_plane: ControlPlane, how: list[str]
) -> None:
    run = kubectl_with(control_plane.kubeconfig_for(AUTHOR))
    text = manifest(stage.team.namespace)

    async def applied(lifecycle: str) -> None:
        before = await stage.world.get(NAME)
        run("apply", *how, "-f", "-", input=text)
        after = await stage.world.get(NAME)
        assert after["spec"] == before["spec"]
        assert after["spec"]["lifecycle"] == lifecycle
        assert after["metadata"]["generation"] == before["metadata"]["generation"]

    run("apply", *how, "-f", "-", input=text)
    await stage.run(Phase.SOURCE)
    await applied("Draft")
    await stage.step(stage.team.author, "Proposed")
    await applied("Proposed")
    await stage.step(stage.team.approver, "Published")
    await applied("Published")
    assert "refs/tags/web/v1" in stage.refs()


@pytest.mark.parametrize("how", [[], SERVER_SIDE], ids=["client-side", "server-side"])
async def test_a_manifest_that_is_behind_is_refused_with_what_to_leave_out(
    stage: Stage, control_plane: ControlPlane, how: list[str]
) -> None:
    await stage.published()
    run = kubectl_with(control_plane.kubeconfig_for(AUTHOR))
    options = [*how, *(["--force-conflicts"] if how else [])]
    with pytest.raises(KubectlError, match=r"leave spec\.lifecycle out of a manifest that is applied again"):
        run("apply", *options, "-f", "-", input=manifest(stage.team.namespace, lifecycle="Draft"))
    assert (await stage.world.get(NAME))["spec"]["lifecycle"] == "Published"
