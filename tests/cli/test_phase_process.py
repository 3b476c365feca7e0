"""The child process of a worker, as the product starts it, on a real API server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from porchflow.activities.definitions import PhaseInput, SyncRequest
from porchflow.api.error_kinds import ErrorKind
from porchflow.cli.processes.phase_process import ChildPhases
from porchflow.cli.settings import load_settings
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from tests.servers.control_plane import ControlPlane
from tests.watcher.objects import repository


@pytest.fixture
async def child(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[ChildPhases]:
    children = ChildPhases(load_settings({"kubeconfig": control_plane.kubeconfig, "git_cache_dir": tmp_path}))
    yield children
    await children.aclose()


async def answer(child: ChildPhases, name: str, request: PhaseInput | SyncRequest) -> Any:
    return await ActivityEnvironment().run(child.run, name, request)


async def test_one_process_answers_for_phases_and_syncs(child: ChildPhases, namespace: str) -> None:
    phase = PhaseInput(namespace=namespace, name="gone", intent="", deaths=1)
    assert (await answer(child, "execute_source", phase)).summary == "the object is gone"
    sync = SyncRequest(namespace=namespace, name="gone", deaths=1)
    assert (await answer(child, "sync_repository", sync)).summary == "the Repository is gone"


async def test_a_failure_comes_with_its_kind_and_words(child: ChildPhases, kube: KubeClient, namespace: str) -> None:
    bad = repository(namespace, "bad")
    bad["spec"]["git"]["repo"] = "file:///etc"
    await kube.create(REPOSITORIES, bad)
    with pytest.raises(ApplicationError, match=r"spec\.git\.repo") as raised:
        await answer(child, "sync_repository", SyncRequest(namespace=namespace, name="bad", deaths=1))
    assert (raised.value.type, raised.value.non_retryable) == (ErrorKind.STALLED, True)
