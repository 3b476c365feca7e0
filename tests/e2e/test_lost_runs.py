"""Runs that are lost: what they left unfinished is taken up by the next list of the watcher, whoever ended them."""

from pathlib import Path

from temporalio.client import Client, WorkflowHandle

from porchflow.kube.kinds import REPOSITORIES
from tests.e2e.packages import DEPLOYMENT, KPTFILE, RENDERED_DEPLOYMENT, push_content, show
from tests.e2e.system import System, condition
from tests.servers.git import GitRepositories, GitRepository
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually


def start(system: System) -> None:
    system.start("watcher", "watcher", "--namespaces", system.namespace, "--relist-seconds", "1.5")
    system.start_worker()


async def left_reconciling(system: System, git_server: GitRepositories, repository: GitRepository, work: Path) -> str:
    """Bring a draft to where its status says that all was handled, and that something is tried until it works.

    Its rendering stalls on credentials, and once its Repository was changed, the Git server is away.
    """
    name = await system.create_draft("blueprints", "web")
    await system.ready(name)
    files = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
    pushed = await push_content(repository.url, "drafts/web/v1", "web", files, work)
    git_server.faults.refuse_auth = True
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    await system.stalled(name, "GitAuthFailed")
    git_server.faults.refuse_auth = False
    git_server.faults.fail_next(10_000, 503)
    await system.kube.merge_patch(REPOSITORIES, system.namespace, "blueprints", {"spec": {"description": "mended"}})
    obj = await system.until(name, "is tried again", lambda obj: condition(obj, "Reconciling"))
    assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]
    assert obj["status"]["observedPrrResourceVersion"] == pushed
    return name


async def converges(system: System, name: str, git_server: GitRepositories, repository: GitRepository) -> None:
    git_server.faults.fail_next(0)
    await system.ready(name)
    assert show(repository.path, "drafts/web/v1", "web/deployment.yaml") == RENDERED_DEPLOYMENT


async def test_a_run_that_somebody_terminated_while_it_tried_again(
    idle_system: System,
    repository: str,
    git_server: GitRepositories,
    git_repository: GitRepository,
    temporal: Client,
    tmp_path: Path,
) -> None:
    start(idle_system)
    name = await left_reconciling(idle_system, git_server, git_repository, tmp_path)
    handle = temporal.get_workflow_handle(idle_system.workflow_id(name))
    ended = (await handle.describe()).run_id
    await handle.terminate("by hand")

    async def another() -> bool:
        return (await handle.describe()).run_id != ended

    await eventually(another, what="the next list starts another run")
    await converges(idle_system, name, git_server, git_repository)


async def test_a_temporal_that_lost_its_data(
    idle_system: System,
    repository: str,
    git_server: GitRepositories,
    git_repository: GitRepository,
    restartable_temporal: TemporalServer,
    tmp_path: Path,
) -> None:
    idle_system.temporal_address, idle_system.temporal_namespace = restartable_temporal.address, "default"
    start(idle_system)
    name = await left_reconciling(idle_system, git_server, git_repository, tmp_path)
    await restartable_temporal.lose_data()
    await converges(idle_system, name, git_server, git_repository)


async def test_a_token_that_is_taken_back_renders_nothing(
    system: System, repository: str, git_repository: GitRepository, temporal: Client
) -> None:
    """As a GitOps tool does that prunes an annotation which it did not set."""
    name = await system.create_draft(repository, "web")
    await system.kubectl("annotate", "packagerevisions", name, "porchflow.dev/reconcile-now=1")
    echoed = "--for=jsonpath={.status.observedReconcileNow}=1"
    await system.kubectl("wait", "packagerevisions", name, echoed, "--timeout=60s")
    await system.ready(name)
    handle = temporal.get_workflow_handle(system.workflow_id(name))
    await handle.result()
    asked = (await handle.describe()).run_id
    await system.kubectl("annotate", "packagerevisions", name, "porchflow.dev/reconcile-now-")
    # What comes after it is seen after it.
    await system.ready(await system.create_draft(repository, "other"))
    assert (await handle.describe()).run_id == asked

    await system.lifecycle(name, "Proposed")
    await system.ready(name)
    assert (await handle.describe()).run_id != asked
    await handle.result()
    assert "render" not in await _activities(handle), "the next look renders nothing, either"


async def _activities(handle: "WorkflowHandle[object, object]") -> list[str]:
    """The activities of the newest run that were no part of its own tasks, as every rendering is."""
    events = [event async for event in handle.fetch_history_events()]
    scheduled = (event.activity_task_scheduled_event_attributes for event in events)
    return [attributes.activity_type.name for attributes in scheduled]
