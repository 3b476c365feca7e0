"""Git servers that refuse or are away, pushes at once, and a content API killed in the middle of a push."""

import asyncio
import ssl
from pathlib import Path

import aiohttp

from porchflow.api.names import RENDER_REQUEST_ANNOTATION
from porchflow.devstack.processes import free_port
from tests.content.direct import ADMIN, Direct
from tests.content.world import KPTFILE, Packages
from tests.servers.authority import Authority
from tests.servers.content import content_process
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories
from tests.servers.waiting import eventually


async def test_of_pushes_at_once_one_wins(direct: Direct, packages: Packages) -> None:
    name, before = await packages.draft()
    pushes = [direct.push(name, before, {"Kptfile": KPTFILE, "who.txt": f"{n}\n"}) for n in range(6)]
    answers = await asyncio.gather(*pushes)
    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1
    assert {answer.json["reason"] for answer in answers if answer.status != 200} == {"Conflict"}
    tip = await packages.tip("drafts/web/v1")
    assert won[0].json["metadata"]["resourceVersion"] == tip
    assert (await packages.object(name))["metadata"]["annotations"][RENDER_REQUEST_ANNOTATION] == tip


async def test_a_refusal_of_the_git_server_is_told(direct: Direct, packages: Packages) -> None:
    name, before = await packages.draft()
    packages.git.hook("pre-receive", "echo drafts are closed today >&2; exit 1")
    answer = await direct.push(name, before, {"Kptfile": KPTFILE})
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    assert "the Git server refuses the change" in answer.message
    assert "annotations" not in (await packages.object(name))["metadata"]


async def test_a_git_server_that_fails_is_unavailable_for_a_while(
    direct: Direct, packages: Packages, git_server: GitRepositories
) -> None:
    name, before = await packages.draft()
    git_server.faults.fail_next(1000)
    for answer in (await direct.get(name), await direct.push(name, before, {"Kptfile": KPTFILE})):
        assert (answer.status, answer.json["reason"]) == (503, "ServiceUnavailable")
        assert answer.headers["Retry-After"] == "1"
    git_server.faults.fail_next(0)
    assert (await direct.push(name, before, {"Kptfile": KPTFILE})).status == 200


async def test_a_kill_between_the_two_writes_of_a_push(
    packages: Packages, control_plane: ControlPlane, tmp_path: Path
) -> None:
    name, before = await packages.draft()
    gate = tmp_path / "gate"
    # Runs when the branch has moved, while the pusher still waits for its answer.
    packages.git.hook("post-receive", f"while [ ! -e {gate} ]; do sleep 0.05; done")
    folder = control_plane.etcd.log.parent / "certs"
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    trust.load_cert_chain(folder / "front-proxy-client.crt", folder / "front-proxy-client.key")
    process = content_process(control_plane, tmp_path / "killed", free_port(), Authority(tmp_path / "pki"))
    path = f"/apis/porch.kpt.dev/v1alpha1/namespaces/{packages.namespace}/packagerevisionresources/{name}"
    body = {
        "apiVersion": "porch.kpt.dev/v1alpha1",
        "kind": "PackageRevisionResources",
        "metadata": {"name": name, "resourceVersion": before},
        "spec": {"resources": {"Kptfile": KPTFILE}},
    }
    try:
        await process.start()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), headers=ADMIN) as session:
            push = asyncio.create_task(session.put(process.address + path, json=body))

            async def moved() -> bool:
                return await packages.tip("drafts/web/v1") != before

            await eventually(moved, what="the commit is in Git")
            await process.kill()
            await asyncio.gather(push, return_exceptions=True)
        gate.touch()
        assert "annotations" not in (await packages.object(name))["metadata"], "killed before the second write"
        await process.start()
        tip = await packages.tip("drafts/web/v1")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), headers=ADMIN) as session:
            again = {**body, "metadata": {"name": name, "resourceVersion": tip}}
            assert (await session.put(process.address + path, json=again)).status == 200

        async def asked() -> bool:
            annotations = (await packages.object(name))["metadata"].get("annotations") or {}
            return bool(annotations.get(RENDER_REQUEST_ANNOTATION) == tip)

        await eventually(asked, what="the client that pushes again has it rendered, as the next sync would")
        assert await packages.tip("drafts/web/v1") == tip, "nothing was pushed twice"
    finally:
        gate.touch()
        await process.stop()
