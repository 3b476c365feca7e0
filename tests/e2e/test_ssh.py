"""A repository behind SSH, and what a person sees until its Secret is right."""

import asyncio
import base64
from pathlib import Path

import asyncssh
import pytest

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.kube.kinds import SECRETS
from tests.e2e.conftest import register
from tests.e2e.packages import git
from tests.e2e.system import System, condition
from tests.servers.ssh import running_ssh_server

pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'Queue.join':RuntimeWarning")  # asyncssh's own


async def test_from_an_unknown_host_to_a_package_in_git(system: System, tmp_path: Path) -> None:
    bare = await asyncio.to_thread(create_bare_repository, tmp_path / "ssh", "repo", durable=False)
    stranger, host_key, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
    async with running_ssh_server(tmp_path / "ssh", host_key) as server:
        server.authorize(key)
        private = key.export_private_key().decode()

        async def secret(known_hosts: str) -> None:
            words = {"ssh-privatekey": private, "known_hosts": known_hosts}
            body = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "git-ssh", "namespace": system.namespace},
                "type": "kubernetes.io/ssh-auth",
                "data": {name: base64.b64encode(word.encode()).decode() for name, word in words.items()},
            }
            await system.kube.apply(SECRETS, body, field_manager="a-person")

        await secret(server.known_hosts(stranger))
        url = server.url("repo.git")
        await register(system, "private", url, secretRef={"name": "git-ssh"}, createBranch=True)
        name = await system.create_draft("private", "web")
        stalled = await system.stalled(name, "GitHostKeyUntrusted")
        assert host_key.get_fingerprint() in condition(stalled, "Ready")["message"]
        await secret(server.known_hosts())
        await system.ready(name)
    refs = await asyncio.to_thread(git, "for-each-ref", "--format=%(refname)", cwd=bare)
    assert "refs/heads/drafts/web/v1" in refs.split()
    assert private.splitlines()[1] not in system.log("worker").read_text() + system.log("watcher").read_text()
