"""What people get wrong, and what breaks around them: each is told clearly, loses nothing and recovers by itself."""

import base64
from pathlib import Path
from typing import Any

import pytest

from porchflow.kube.errors import Invalid
from porchflow.kube.kinds import PACKAGEREVISIONS, SECRETS
from tests.e2e.conftest import PrivateRepository, register
from tests.e2e.packages import KPTFILE, push_content, refs
from tests.e2e.system import System, condition, is_ready
from tests.servers.git import GitRepositories, GitRepository


async def push_and_request(system: System, name: str, url: str, files: dict[str, str], work: Path) -> str:
    commit = await push_content(url, "drafts/web/v1", "web", files, work)
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": commit}}})
    return commit


async def test_an_object_waits_for_its_repository_and_wakes_when_it_appears(
    system: System, git_repository: GitRepository
) -> None:
    name = await system.create_draft("later", "web")
    waiting = await system.until(
        name, "waits", lambda obj: condition(obj, "Ready").get("reason") == "RepositoryNotFound"
    )
    assert "'later'" in condition(waiting, "Ready")["message"]
    assert condition(waiting, "Reconciling")["reason"] == "Waiting"
    await system.told(name, "RepositoryNotFound", condition(waiting, "Ready")["message"])
    await register(system, "later", git_repository.url)
    await system.ready(name)


async def test_a_kptfile_that_does_not_parse_stalls_and_the_next_push_mends_it(
    system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    url = git_repository.url
    pushed = await push_and_request(system, name, url, {"Kptfile": "apiVersion: [\n"}, tmp_path)
    stalled = await system.stalled(name, "RenderFailed")
    assert "Kptfile" in condition(stalled, "Ready")["message"]
    await system.until(name, "is not rendered", lambda obj: condition(obj, "Rendered")["status"] == "False")
    assert refs(git_repository.path)["refs/heads/drafts/web/v1"] == pushed, "what was pushed stays"
    await push_and_request(system, name, url, {"Kptfile": KPTFILE}, tmp_path)
    await system.ready(name)


async def test_a_function_that_does_not_exist_stalls_with_its_name(
    system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    kptfile = KPTFILE.replace("set-namespace:v0.4.5", "example.com/no-such-function:v1")
    await push_and_request(system, name, git_repository.url, {"Kptfile": kptfile}, tmp_path)
    stalled = await system.stalled(name, "RenderFailed")
    message = condition(stalled, "Ready")["message"]
    assert "example.com/no-such-function:v1" in message
    assert "FUNCTION_RUNNER_ADDRESS" in message
    await system.told(name, "RenderFailed", message)
    with pytest.raises(Invalid, match="cannot become Proposed while its content is not rendered"):
        await system.lifecycle(name, "Proposed")
    assert "refs/heads/drafts/web/v1" in refs(git_repository.path), "a failed render blocks proposing"


async def test_refused_credentials_stall_at_once_and_a_new_secret_mends_it(
    system: System, private_repository: PrivateRepository
) -> None:
    await system.kube.create(SECRETS, _secret(system.namespace, private_repository.username, "wrong-secret-word"))
    await register(system, "private", private_repository.url, secretRef={"name": "git-auth"})
    name = await system.create_draft("private", "web")
    stalled = await system.stalled(name, "GitAuthFailed")
    assert "wrong-secret-word" not in str(stalled)
    right = _secret(system.namespace, private_repository.username, private_repository.password)
    await system.kube.merge_patch(SECRETS, system.namespace, "git-auth", {"data": right["data"]})
    await system.ready(name)
    for log in system.state.glob("*.log"):
        assert "wrong-secret-word" not in log.read_text()


def _secret(namespace: str, username: str, password: str) -> dict[str, Any]:
    data = {"username": username, "password": password}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "git-auth", "namespace": namespace},
        "type": "kubernetes.io/basic-auth",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


async def test_a_hook_that_declines_is_quoted(system: System, repository: str, git_repository: GitRepository) -> None:
    git_repository.hook("pre-receive", "echo 'drafts are frozen until Monday' >&2\nexit 1")
    name = await system.create_draft(repository, "web")
    stalled = await system.stalled(name, "GitRejected")
    assert "drafts are frozen until Monday" in condition(stalled, "Ready")["message"]
    git_repository.remove_hook("pre-receive")
    await system.patch(name, {"metadata": {"annotations": {"porchflow.dev/reconcile-now": "2"}}})
    await system.ready(name)


async def test_a_name_that_does_not_match_is_refused_with_the_right_one(system: System, repository: str) -> None:
    body = {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {"name": "something-else", "namespace": system.namespace},
        "spec": {
            "packageName": "web",
            "repository": repository,
            "workspaceName": "v1",
            "lifecycle": "Draft",
            "source": {"init": {}},
        },
    }
    with pytest.raises(Invalid, match=rf"something-else has to be {repository}\.web\.v1"):
        await system.kube.create(PACKAGEREVISIONS, body)


async def test_git_that_is_away_is_retried_until_it_is_back(
    system: System, git_server: GitRepositories, git_repository: GitRepository
) -> None:
    await register(system, "flaky", git_repository.url)
    git_server.faults.fail_next(1000)
    name = await system.create_draft("flaky", "web")
    retrying = await system.until(
        name, "retries", lambda obj: condition(obj, "Reconciling").get("reason") == "ProgressingWithRetry"
    )
    assert condition(retrying, "Ready")["reason"] == "GitUnavailable"
    assert retrying["status"]["lastRun"]["outcome"] == "Retrying"
    git_server.faults.fail_next(0)
    await system.until(name, "is Ready", is_ready)


async def test_deletion_takes_over_from_a_phase_that_retries(
    system: System, git_server: GitRepositories, git_repository: GitRepository
) -> None:
    await register(system, "flaky", git_repository.url)
    git_server.faults.fail_next(1000)
    name = await system.create_draft("flaky", "web")
    await system.until(name, "retries", lambda obj: condition(obj, "Reconciling"))
    await system.kubectl("delete", "packagerevisions", name, "--wait=false")
    git_server.faults.fail_next(0)
    await system.kubectl("wait", "packagerevisions", name, "--for=delete", "--timeout=60s")
    assert "refs/heads/drafts/web/v1" not in refs(git_repository.path)


async def test_content_that_nobody_rendered_is_not_proposed_until_it_is(
    system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    pushed = await push_content(git_repository.url, "drafts/web/v1", "web", {"Kptfile": KPTFILE}, tmp_path)
    await system.lifecycle(name, "Proposed")
    stalled = await system.stalled(name, "ContentChanged")
    assert pushed[:12] in condition(stalled, "Ready")["message"]
    assert "refs/heads/drafts/web/v1" in refs(git_repository.path)
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    proposed = await system.ready(name)
    assert proposed["status"]["selfLock"]["git"]["ref"] == "proposed/web/v1"


async def test_a_proposal_that_was_changed_afterwards_is_not_published(
    system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    await system.lifecycle(name, "Proposed")
    await system.ready(name)
    await push_content(git_repository.url, "proposed/web/v1", "web", {"sneaked-in.txt": "unseen"}, tmp_path)
    await system.lifecycle(name, "Published")
    await system.stalled(name, "ContentChanged")
    assert not [ref for ref in refs(git_repository.path) if ref.startswith("refs/tags/")]
