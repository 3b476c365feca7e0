"""Getting in without the right to."""

import asyncio
import datetime as dt
import gzip
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import Resource
from tests.content.direct import ADMIN, PROXY_NAME, Direct, announce, front_proxy_data, running_direct
from tests.content.world import KPTFILE, Packages
from tests.servers.authority import Authority, Pair
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLEBINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
JSON = {**ADMIN, "Content-Type": "application/json"}
PATHS = ("/apis", "/openapi/v2", "/apis/porch.kpt.dev/v1alpha1", "/", "/metrics", "/healthz")


async def _grant(kube: KubeClient, namespace: str, subject: dict[str, str], *verbs: str) -> None:
    rule = {"apiGroups": ["porch.kpt.dev"], "resources": ["packagerevisionresources"], "verbs": list(verbs)}
    metadata = {"name": "content", "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    await kube.create(ROLES, {"apiVersion": ROLES.api_version, "kind": "Role", "metadata": metadata, "rules": [rule]})
    binding = {
        "apiVersion": ROLEBINDINGS.api_version,
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "content"},
        "subjects": [{"apiGroup": group, **subject}],
    }
    await kube.create(ROLEBINDINGS, binding)


async def test_without_a_certificate_nothing_is_served(direct: Direct) -> None:
    name, commit = await direct.packages.draft()
    for path in (*PATHS, f"{direct.path}/{name}", direct.path):
        answer = await direct.ask("GET", path, anonymous=True)
        assert answer.status == 401, path
        assert answer.json["reason"] == "Unauthorized"
        assert "use the Kubernetes API server" in answer.message
    assert (await direct.push(name, commit, {"Kptfile": KPTFILE}, anonymous=True)).status == 401


async def test_a_certificate_of_another_authority_ends_the_handshake(
    direct: Direct, control_plane: ControlPlane, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger").issue(PROXY_NAME)
    folder = control_plane.etcd.log.parent / "certs"
    administrator = Pair(folder / "admin.crt", folder / "admin.key")
    expired = direct.front_proxy.issue(PROXY_NAME, valid=-dt.timedelta(hours=1))
    server = direct.front_proxy.issue_for_servers_only(PROXY_NAME)
    for certificate in (stranger, administrator, expired, server):
        with pytest.raises(aiohttp.ClientError):
            await direct.ask("GET", "/apis", certificate=certificate)


async def test_a_certificate_of_another_name_is_not_the_front_proxy(direct: Direct) -> None:
    answer = await direct.ask("GET", direct.path, certificate=direct.front_proxy.issue("somebody-else"))
    assert answer.status == 401
    assert "common name" in answer.message


async def test_the_front_proxy_must_name_a_user(direct: Direct) -> None:
    for headers in ({}, {"X-Remote-User": ""}, {"X-Remote-Group": "system:masters"}, {"Authorization": "Bearer x"}):
        answer = await direct.ask("GET", direct.path, headers=headers)
        assert (answer.status, "names no user" in answer.message) == (401, True)


async def test_a_user_may_do_what_rbac_says_and_no_more(direct: Direct, kube: KubeClient) -> None:
    name, commit = await direct.packages.draft()
    await _grant(kube, direct.packages.namespace, {"kind": "User", "name": "rita"}, "get", "list")
    rita = {"X-Remote-User": "rita", "X-Remote-Group": "system:authenticated"}
    assert (await direct.get(name, headers=rita)).status == 200
    assert (await direct.ask("GET", direct.path, headers=rita)).status == 200
    refused = await direct.push(name, commit, {"Kptfile": KPTFILE}, headers=rita)
    assert refused.status == 403
    assert 'User "rita" cannot update resource "packagerevisionresources"' in refused.message
    patch = {"Content-Type": "application/merge-patch+json", **rita}
    assert (await direct.ask("PATCH", f"{direct.path}/{name}", headers=patch, data={})).status == 403
    assert (await direct.ask("GET", f"{direct.path}?watch=1", headers=rita)).status == 403
    everywhere = "/apis/porch.kpt.dev/v1alpha1/packagerevisionresources"
    assert (await direct.ask("GET", everywhere, headers=rita)).status == 403
    elsewhere = direct.path.replace(direct.packages.namespace, "default")
    assert (await direct.ask("GET", f"{elsewhere}/{name}", headers=rita)).status == 403
    assert await direct.packages.tip("drafts/web/v1") == commit


async def test_groups_count(direct: Direct, kube: KubeClient) -> None:
    name, _ = await direct.packages.draft()
    await _grant(kube, direct.packages.namespace, {"kind": "Group", "name": "readers"}, "get")
    headers = CIMultiDict([("X-Remote-User", "gil"), ("X-Remote-Group", "a"), ("X-Remote-Group", "readers")])
    assert (await direct.get(name, headers=headers)).status == 200
    assert (await direct.get(name, headers={"X-Remote-User": "gil", "X-Remote-Group": "a"})).status == 403


async def test_a_name_leads_to_its_own_package_only(direct: Direct, packages: Packages) -> None:
    """Who may make PackageRevisions cannot use one to reach what another name stands for."""
    await packages.draft(package="secret")
    manifest = {
        "apiVersion": "porch.kpt.dev/v1alpha2",
        "kind": "PackageRevision",
        "metadata": {"name": "blueprints.mine.v1", "namespace": packages.namespace},
        "spec": {
            "repository": "blueprints",
            "packageName": "secret",
            "workspaceName": "v1",
            "lifecycle": "Draft",
        },
    }
    await packages.create_object(manifest)
    answer = await direct.get("blueprints.mine.v1")
    assert (answer.status, "does not match its spec" in answer.message) == (404, True)


@pytest.mark.parametrize(
    "path",
    [
        "/apis/porch.kpt.dev/v1alpha1/namespaces/x/packagerevisionresources/%2e%2e",
        "/apis/porch.kpt.dev/v1alpha1/namespaces/x/packagerevisionresources/..%2f..%2fsecrets",
        "/apis/porch.kpt.dev/v1alpha1/namespaces/%2e%2e/packagerevisionresources/y",
        "/apis/porch.kpt.dev/v1alpha1/namespaces/x/packagerevisionresources/y/z/more",
        "/apis/porch.kpt.dev/v1alpha1/namespaces/x/secrets/y",
        "/apis/porch.kpt.dev/v1alpha2/namespaces/x/packagerevisionresources/y",
        "/apis/porch.kpt.dev/v1alpha1/namespaces/x/packagerevisionresources//y",
        "/api/v1/secrets",
    ],
)
async def test_paths_lead_nowhere_else(direct: Direct, path: str) -> None:
    answer = await direct.ask("GET", path)
    assert (answer.status, answer.json["reason"]) == (404, "NotFound")


async def test_a_body_above_the_limit_is_refused(packages: Packages, kube: KubeClient, tmp_path: Path) -> None:
    async with running_direct(packages, tmp_path, kube, max_body=4096) as direct:
        name, commit = await packages.draft()
        answer = await direct.push(name, commit, {"Kptfile": KPTFILE, "big": "x" * 5000})
        assert (answer.status, answer.json["reason"]) == (413, "RequestEntityTooLarge")
        assert "4096 bytes" in answer.message

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield b" " * 1024

        answer = await direct.ask("PUT", f"{direct.path}/{name}", data=endless(), headers=JSON)
        assert answer.status == 413, "a body that does not say how long it is"
        packed = {**ADMIN, "Content-Encoding": "gzip", "Content-Type": "application/json"}
        answer = await direct.ask("PUT", f"{direct.path}/{name}", data=gzip.compress(b" " * 100_000), headers=packed)
        assert answer.status == 415, "what unpacks to more than it seems"
        assert await packages.tip("drafts/web/v1") == commit


async def test_a_user_has_a_rate_of_their_own(packages: Packages, kube: KubeClient, tmp_path: Path) -> None:
    async with running_direct(packages, tmp_path, kube, rate=0.001, burst=2) as direct:
        name, _ = await packages.draft()
        statuses = [(await direct.get(name)).status for _ in range(2)]
        refused = await direct.get(name)
        assert [*statuses, refused.status] == [200, 200, 429]
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json["details"]["retryAfterSeconds"] == int(refused.headers["Retry-After"])
        assert (await direct.get(name, headers={**ADMIN, "X-Remote-User": "bob"})).status == 200
        assert (await direct.ask("GET", "/apis")).status == 200, "what is the same for all costs nothing"


async def test_the_cluster_can_change_its_front_proxy(direct: Direct, kube: KubeClient, tmp_path: Path) -> None:
    name, _ = await direct.packages.draft()
    authority = Authority(tmp_path / "new")
    new = authority.issue("new-name")
    with pytest.raises(aiohttp.ClientError):
        await direct.get(name, certificate=new)
    await announce(kube, direct.packages.namespace, {"requestheader-client-ca-file": "nonsense"})
    await announce(kube, direct.packages.namespace, front_proxy_data(authority, "new-name"))

    async def accepted() -> bool:
        try:
            return (await direct.get(name, certificate=new)).status == 200
        except aiohttp.ClientError:
            return False

    await eventually(accepted, what="the new front proxy is let in")
    with pytest.raises(aiohttp.ClientError):
        await direct.get(name)


async def test_the_log_says_who_did_what_and_no_content(direct: Direct, caplog: pytest.LogCaptureFixture) -> None:
    name, commit = await direct.packages.draft()
    with caplog.at_level(logging.INFO, "content.audit"):
        await direct.push(name, commit, {"Kptfile": KPTFILE, "password.txt": "hunter2"})
        await direct.get(name, headers={"X-Remote-User": "eve"})
        await direct.get(name, anonymous=True)
    lines = [record.getMessage() for record in caplog.records if record.name == "content.audit"]
    assert len(lines) == 3
    tip = await direct.packages.tip("drafts/web/v1")
    assert f'user="ada" verb=update object={direct.packages.namespace}/{name} status=200 commit={tip}' in lines[0]
    assert f'user="eve" verb=get object={direct.packages.namespace}/{name} status=403' in lines[1]
    assert "status=401" in lines[2]
    assert "hunter2" not in caplog.text


async def test_requests_that_take_too_long_end(packages: Packages, kube: KubeClient, tmp_path: Path) -> None:
    async with running_direct(packages, tmp_path, kube, timeout=0.5) as direct:
        name, _ = await packages.draft()

        async def slow() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        answer: Any = await direct.ask("PUT", f"{direct.path}/{name}", data=slow(), headers=JSON)
        assert (answer.status, answer.json["reason"]) == (504, "Timeout")


async def test_a_connection_without_a_request_is_closed(packages: Packages, kube: KubeClient, tmp_path: Path) -> None:
    async with running_direct(packages, tmp_path, kube, silence=0.2) as direct:
        trust = ssl.create_default_context(cadata=direct.serving.pem)
        reader, writer = await asyncio.open_connection("localhost", direct.port, ssl=trust)
        writer.write(b"GET /apis HTTP/1.1\r\nX-Slow: ")
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_methods_that_objects_do_not_have(direct: Direct) -> None:
    assert (await direct.ask("HEAD", "/apis")).status == 200
    for method in ("HEAD", "OPTIONS", "TRACE", "POST", "DELETE"):
        answer = await direct.ask(method, f"{direct.path}/blueprints.web.v1")
        assert answer.status == 405, method
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await direct.ask(method, direct.path)).status == 405, method
