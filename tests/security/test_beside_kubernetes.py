"""People who reach Temporal or Git themselves, beside the API server: what they can do there, and what not."""

import contextlib
import re

import pytest
from temporalio.exceptions import ApplicationError

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Phase
from tests.gitrepo.porch_layout import IDENTITY
from tests.security.stage import NAME, Stage


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("lifecycle", ["Draft", "Proposed"])
async def test_who_starts_activities_has_done_what_the_object_asks_for_and_no_more(
    stage: Stage, phase: Phase, lifecycle: str
) -> None:
    """Whatever else stands in the request, such as somebody else's commit."""
    await (stage.draft() if lifecycle == "Draft" else stage.proposed())
    foreign = stage.world.git.git("commit-tree", "-m", "of a stranger", "refs/heads/main^{tree}")
    before = stage.world.git.refs()
    with contextlib.suppress(ApplicationError):
        await stage.world.run(phase, NAME, commit=foreign)
    after, obj = stage.world.git.refs(), await stage.world.get(NAME)
    assert after == before
    assert (obj["spec"]["lifecycle"], obj["status"].get("revision", 0)) == (lifecycle, 0)
    assert not obj["status"].get("publishedBy")


async def test_who_pushes_to_the_branch_and_tags_publishes_without_an_approver(stage: Stage) -> None:
    """Git's server alone can keep people from it. The object has the name in the commit, which may be any."""
    stage.syncs.porch.publish("api", 1, "v1")
    await stage.syncs.written()
    await stage.sync()
    obj = await stage.world.get("blueprints.api.v1")
    assert obj["spec"]["lifecycle"] == Lifecycle.PUBLISHED
    assert obj["status"]["publishedBy"] == re.findall("<(.*)>", IDENTITY)[0]
