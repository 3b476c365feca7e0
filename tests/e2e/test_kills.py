"""Workers die at the worst moments; every time another one ends in the same state, with every effect there once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from porchflow.functions.local import LocalEvaluator
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from tests.e2e.packages import DEPLOYMENT, KPTFILE, RENDERED_DEPLOYMENT, messages, push_content, refs, show
from tests.e2e.system import System, condition, is_ready
from tests.servers.git import GitRepositories, GitRepository, commit_files
from tests.servers.waiting import eventually


def kill_after_push(repository: GitRepository, system: System, *, subject: str) -> None:
    """Kill the worker `one` the moment Git has stored a commit with this subject, before it can hear of it."""
    victim = repository.path / "victim"
    victim.write_text(str(system.processes["one"].pid))
    repository.hook(
        "post-receive",
        f"""while read old new ref; do
  case "$new" in 0000000000*) continue;; esac
  case "$(git log -1 --format=%s "$new")" in
    "{subject}"*) if [ -f {victim} ]; then kill -9 "$(cat {victim})"; rm -f {victim}; fi;;
  esac
done""",
    )


async def take_over(system: System) -> None:
    """Wait until the worker is dead, then start another one."""
    victim = system.processes["one"]
    await eventually(lambda: victim.poll() is not None, what="the worker is killed")
    assert victim.returncode == -signal.SIGKILL
    system.start_worker("two")


async def test_killed_between_the_push_of_the_source_and_its_report(
    idle_system: System, repository: str, git_repository: GitRepository
) -> None:
    idle_system.start_watcher()
    idle_system.start_worker("one")
    kill_after_push(git_repository, idle_system, subject="Creating new empty revision")
    name = await idle_system.create_draft(repository, "web")
    await take_over(idle_system)
    ready = await idle_system.ready(name)
    assert ready["status"]["creationSource"] == "init"
    assert messages(git_repository.path, "main..drafts/web/v1") == ["Creating new empty revision"]


async def test_killed_between_the_push_of_a_clone_and_its_report(
    idle_system: System, repository: str, git_repository: GitRepository, git_server: GitRepositories
) -> None:
    catalog = git_server.create()
    files = {"web/Kptfile": KPTFILE, "web/deployment.yaml": DEPLOYMENT}
    commit = await asyncio.to_thread(commit_files, catalog, "main", files)
    idle_system.start_watcher()
    idle_system.start_worker("one")
    kill_after_push(git_repository, idle_system, subject="Creating new revision by cloning")
    place = {"repo": catalog.url, "ref": "main", "directory": "web"}
    name = await idle_system.create_draft(repository, "web", source={"cloneFrom": {"git": place}})
    victim = idle_system.processes["one"]
    await eventually(lambda: victim.poll() is not None, what="the worker is killed")
    await asyncio.to_thread(commit_files, catalog, "main", {"web/more.yaml": DEPLOYMENT})
    await take_over(idle_system)
    ready = await idle_system.ready(name)
    subjects = messages(git_repository.path, "main..drafts/web/v1")
    assert subjects == ["Creating new revision by cloning, rendered"]
    assert ready["status"]["upstreamLock"]["git"]["commit"] == commit, "what was made, not what upstream has now"
    assert show(git_repository.path, "drafts/web/v1", "web/deployment.yaml") == RENDERED_DEPLOYMENT


async def test_killed_between_the_push_of_a_rendering_and_its_report(
    idle_system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    idle_system.start_watcher()
    idle_system.start_worker("one")
    name = await idle_system.create_draft(repository, "web")
    await idle_system.ready(name)
    kill_after_push(git_repository, idle_system, subject="Rendering package")
    files = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
    pushed = await push_content(git_repository.url, "drafts/web/v1", "web", files, tmp_path)
    await idle_system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    await take_over(idle_system)
    await idle_system.until(
        name, "is rendered", lambda obj: obj["status"].get("observedPrrResourceVersion") == pushed and is_ready(obj)
    )
    assert messages(git_repository.path, f"{pushed}..drafts/web/v1") == ["Rendering package"]
    assert show(git_repository.path, "drafts/web/v1", "web/deployment.yaml") == RENDERED_DEPLOYMENT


class KillingRunner(evaluator_pb2_grpc.FunctionEvaluatorServicer):
    """Kills a worker while it waits for its first function, and works from then on."""

    def __init__(self) -> None:
        self.victim: int | None = None
        self._local = LocalEvaluator()

    async def EvaluateFunction(  # noqa: N802 - gRPC's name
        self, request: evaluator_pb2.EvaluateFunctionRequest, context: object
    ) -> evaluator_pb2.EvaluateFunctionResponse:
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        evaluation = await self._local(request.image, request.resource_list)
        return evaluator_pb2.EvaluateFunctionResponse(resource_list=evaluation.resource_list, log=evaluation.log)


@pytest.fixture
async def killing_runner() -> AsyncIterator[tuple[KillingRunner, str]]:
    runner = KillingRunner()
    server = grpc.aio.server()
    evaluator_pb2_grpc.add_FunctionEvaluatorServicer_to_server(runner, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield runner, f"127.0.0.1:{port}"
    await server.stop(None)


async def test_killed_in_the_middle_of_a_rendering(
    idle_system: System,
    repository: str,
    git_repository: GitRepository,
    killing_runner: tuple[KillingRunner, str],
    tmp_path: Path,
) -> None:
    runner, address = killing_runner
    idle_system.environment["FUNCTION_RUNNER_ADDRESS"] = address
    idle_system.start_watcher()
    idle_system.start_worker("one")
    name = await idle_system.create_draft(repository, "web")
    await idle_system.ready(name)
    files = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
    pushed = await push_content(git_repository.url, "drafts/web/v1", "web", files, tmp_path)
    runner.victim = idle_system.processes["one"].pid
    await idle_system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    await take_over(idle_system)
    await idle_system.until(
        name, "is rendered", lambda obj: obj["status"].get("observedPrrResourceVersion") == pushed and is_ready(obj)
    )
    assert messages(git_repository.path, f"{pushed}..drafts/web/v1") == ["Rendering package"]


async def test_killed_in_the_publish(idle_system: System, repository: str, git_repository: GitRepository) -> None:
    idle_system.start_watcher()
    idle_system.start_worker("one")
    name = await idle_system.create_draft(repository, "web")
    await idle_system.ready(name)
    await idle_system.lifecycle(name, "Proposed")
    await idle_system.ready(name)
    kill_after_push(git_repository, idle_system, subject="Approving package revision")
    await idle_system.lifecycle(name, "Published")
    await take_over(idle_system)
    published = await idle_system.until(
        name, "is published", lambda obj: is_ready(obj) and obj["status"].get("revision") == 1
    )
    assert condition(published, "Ready")["status"] == "True"
    after = refs(git_repository.path)
    assert [ref for ref in after if ref.startswith("refs/tags/")] == ["refs/tags/web/v1"]
    assert after["refs/tags/web/v1"] == after["refs/heads/main"] == published["status"]["selfLock"]["git"]["commit"]
    approvals = [line for line in messages(git_repository.path, "main") if line.startswith("Approving")]
    assert approvals == ["Approving package revision web/1"]
    assert not [ref for ref in after if "proposed" in ref or "drafts" in ref]
