"""A push that a forge tells about, from the request to what is in Git again."""

import json
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from porchflow.devstack.processes import HOST, free_port
from tests.e2e.packages import DEPLOYMENT, KPTFILE, RENDERED_DEPLOYMENT, push_content
from tests.e2e.system import System, is_ready
from tests.servers.git import GitRepository
from tests.servers.waiting import eventually
from tests.watcher.forges import SECRET, signature


async def test_a_pushed_draft_is_rendered_at_once(
    idle_system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    system = idle_system
    address = f"{HOST}:{free_port()}"
    system.environment |= {
        "PORCHFLOW_WEBHOOK_ADDRESS": address,
        "PORCHFLOW_WEBHOOK_SECRET": SECRET,
        # No sync by the schedule may come to help.
        "PORCHFLOW_SYNC_SECONDS": "3600",
    }
    system.start_watcher()
    system.start_worker()
    name = await system.create_draft(repository, "web")
    before = await system.ready(name)
    content = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
    commit = await push_content(git_repository.url, "drafts/web/v1", "web", content, tmp_path)
    body = json.dumps({"ref": "refs/heads/drafts/web/v1", "repository": {"clone_url": git_repository.url}}).encode()
    headers = {"X-Gitea-Event": "push", "X-Gitea-Signature": signature(body)}

    async def taken() -> bool:
        try:
            async with ClientSession() as client:
                response = await client.post(f"http://{address}/webhooks", data=body, headers=headers)
                return response.status == 202
        except ClientError:
            return False

    await eventually(taken, what="the watcher takes the webhook")

    def rendered(obj: dict[str, Any]) -> bool:
        lock = obj["status"]["selfLock"]["git"]["commit"]
        return is_ready(obj) and lock not in {commit, before["status"]["selfLock"]["git"]["commit"]}

    await system.until(name, "is rendered again", rendered)
    assert git_repository.read("refs/heads/drafts/web/v1", "web/deployment.yaml") + "\n" == RENDERED_DEPLOYMENT
