"""Runs that are open while a new version is deployed go on: recorded histories replay without a difference."""

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from porchflow.workflows import policies
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.repositorysync import RepositorySyncWorkflow
from tests.histories.record import CONSTANTS, FOLDER, SCENARIOS, SYNCS

HISTORIES = Path(__file__).parents[1] / "histories"


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json("packagerevision/default/repo.app.v1", (HISTORIES / name).read_text())


def replayer() -> Replayer:
    return Replayer(workflows=[PackageRevisionWorkflow, RepositorySyncWorkflow], data_converter=pydantic_data_converter)


@pytest.mark.parametrize("name", sorted(str(path.relative_to(HISTORIES)) for path in HISTORIES.rglob("*.json")))
async def test_a_recorded_history_replays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for constant, value in CONSTANTS.get(Path(name).stem, {}).items():
        monkeypatch.setattr(policies, constant, value)
    await replayer().replay_workflow(history(name))


def test_every_shape_of_a_run_is_recorded_for_this_version() -> None:
    shapes = {*(scenario.__name__ for scenario in SCENARIOS), *SYNCS}
    assert {path.stem for path in FOLDER.glob("*.json")} == shapes


async def test_a_history_that_the_workflow_could_not_have_made_is_noticed() -> None:
    """Proves that the check can fail: the phases of this history stand in the wrong order."""
    text = (FOLDER / "new_draft.json").read_text()
    swapped = text.replace('"execute_source"', '"?"').replace('"render"', '"execute_source"').replace('"?"', '"render"')
    assert swapped != text
    json.loads(swapped)
    with pytest.raises(NondeterminismError):
        await replayer().replay_workflow(WorkflowHistory.from_json("packagerevision/default/repo.app.v1", swapped))
