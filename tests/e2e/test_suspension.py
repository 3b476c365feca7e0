"""Hands off, for a while: with kubectl, by who may change the object."""

from datetime import UTC, datetime, timedelta

from tests.e2e.packages import refs
from tests.e2e.system import System, condition
from tests.servers.git import GitRepositories, GitRepository

UNTIL = "porchflow.dev/suspend-until"


async def test_work_that_retries_is_left_and_taken_up_again_at_the_time_that_was_said(
    system: System, repository: str, git_server: GitRepositories, git_repository: GitRepository
) -> None:
    git_server.faults.fail_next(1000)
    name = await system.create_draft(repository, "web")
    await system.until(name, "retries", lambda obj: condition(obj, "Reconciling"))
    until = datetime.now(UTC) + timedelta(seconds=4)
    await system.kubectl(
        "annotate", "packagerevisions", name, "porchflow.dev/suspend=the audit", f"{UNTIL}={until.isoformat()}"
    )
    suspended = await system.until(name, "is suspended", lambda obj: condition(obj, "Suspended"))
    assert condition(suspended, "Ready")["message"].startswith("suspended by porchflow-admin until")
    assert not condition(suspended, "Reconciling")
    await system.told(name, "Suspended", condition(suspended, "Ready")["message"])
    git_server.faults.fail_next(0)
    ready = await system.ready(name)
    assert datetime.now(UTC) >= until
    assert UNTIL in ready["metadata"]["annotations"]


async def test_a_script_waits_for_its_own_request(system: System, repository: str) -> None:
    """Word for word as docs/guides/approval.md says."""
    name = await system.create_draft(repository, "web")
    for token in ("1", "2"):
        await system.kubectl(
            "annotate", "packagerevisions", name, "--overwrite", f"porchflow.dev/reconcile-now={token}"
        )
        echoed = f"--for=jsonpath={{.status.observedReconcileNow}}={token}"
        await system.kubectl("wait", "packagerevisions", name, echoed, "--timeout=60s")
        await system.kubectl("wait", "packagerevisions", name, "--for=condition=Ready", "--timeout=60s")
    await system.lifecycle(name, "Proposed")
    for condition_type in ("Ready", "Rendered"):
        await system.kubectl("wait", "packagerevisions", name, f"--for=condition={condition_type}", "--timeout=60s")
    proposed = await system.get(name)
    assert proposed is not None
    assert proposed["status"]["selfLock"]["git"]["ref"] == "proposed/web/v1"


async def test_a_deletion_waits_for_the_end_of_a_suspension(
    system: System, repository: str, git_repository: GitRepository
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    await system.kubectl("annotate", "packagerevisions", name, "porchflow.dev/suspend=")
    await system.until(name, "is suspended", lambda obj: condition(obj, "Suspended"))
    await system.kubectl("delete", "packagerevisions", name, "--wait=false")
    other = await system.create_draft(repository, "web", "v2")
    await system.ready(other)
    assert "refs/heads/drafts/web/v1" in refs(git_repository.path)
    await system.kubectl("annotate", "packagerevisions", name, "porchflow.dev/suspend-")
    await system.kubectl("wait", "packagerevisions", name, "--for=delete", "--timeout=60s")
    assert "refs/heads/drafts/web/v1" not in refs(git_repository.path)
