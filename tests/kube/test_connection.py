"""Where credentials come from, and what happens when they are refused."""

from pathlib import Path

import pytest
import yaml
from aiohttp import web

from porchflow.kube.client import KubeClient
from porchflow.kube.connection import Connection, credentials_loader, default_namespace
from porchflow.kube.errors import KubeConfigError, KubeUnavailable, Unauthorized
from tests.kube.helpers import WIDGETS, kubeconfig_for
from tests.kube.scripted import ScriptedServer, listing, scripted_server


def _guard(server: ScriptedServer, token: str) -> None:
    """Let the server accept one bearer token only."""
    allowed = listing(1)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {token}":
            return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)
        return await allowed(request)

    server.lists = [answer]


async def test_refused_credentials_are_read_again_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("porchflow.kube.connection._RELOAD_INTERVAL", 0.0)
    async with scripted_server() as server:
        _guard(server, "second")
        kubeconfig = kubeconfig_for(server.url, tmp_path, token="first")
        async with await KubeClient.connect(kubeconfig) as client:
            with pytest.raises(Unauthorized):
                await client.list_page(WIDGETS)
            assert len(server.requests) == 2
            kubeconfig_for(server.url, tmp_path, token="second")
            await client.list_page(WIDGETS)
            assert [r.headers["Authorization"] for r in server.requests[2:]] == ["Bearer first", "Bearer second"]


async def test_credentials_that_stay_refused_are_not_read_for_every_request(tmp_path: Path) -> None:
    async with scripted_server() as server:
        _guard(server, "other")
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path, token="first")) as client:
            for _ in range(3):
                with pytest.raises(Unauthorized):
                    await client.list_page(WIDGETS)
        assert len(server.requests) == 3


async def test_another_server_in_the_kubeconfig_replaces_the_connections(tmp_path: Path) -> None:
    path = kubeconfig_for("http://127.0.0.1:1", tmp_path)
    load = credentials_loader(path, 10)
    connection = await Connection.open(load)
    before = connection.rest
    path.write_text(path.read_text().replace("127.0.0.1:1", "127.0.0.1:2"))
    connection._reloaded = float("-inf")
    assert await connection.reload()
    assert connection.rest is not before
    assert connection.host == "http://127.0.0.1:2"
    await connection.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot use the kubeconfig"),
        ("", "cannot use the kubeconfig"),
        ("apiVersion: v1\nkind: Config\ncurrent-context: nowhere\ncontexts: []\n", "nowhere"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(KubeConfigError, match=said):
        await KubeClient.connect(path)


async def test_no_kubeconfig_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(KubeConfigError, match=r"no kubeconfig at .*none: name one with --kubeconfig or KUBECONFIG"):
        await KubeClient.connect()


async def test_the_current_context_of_the_default_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    path = kubeconfig_for("http://127.0.0.1:1", tmp_path)
    config = yaml.safe_load(path.read_text())
    config["clusters"].append({"name": "other", "cluster": {"server": "http://127.0.0.1:9"}})
    config["contexts"].append({"name": "other", "context": {"cluster": "other", "user": "test"}})
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    async with await KubeClient.connect() as client:
        assert client.host == "http://127.0.0.1:1"
    path.write_text(yaml.safe_dump({**config, "current-context": "other"}))
    async with await KubeClient.connect() as client:
        assert client.host == "http://127.0.0.1:9"


async def test_a_pod_without_its_token_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(KubeConfigError, match="the pod's service account"):
        await KubeClient.connect()


@pytest.mark.parametrize(("exempt", "taken"), [("", True), ("cluster.example", False)])
async def test_the_proxy_of_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exempt: str, taken: bool
) -> None:
    async with scripted_server() as server:
        server.lists = [listing(1)]
        monkeypatch.setenv("http_proxy", server.url)
        monkeypatch.setenv("no_proxy", exempt)
        path = kubeconfig_for("http://cluster.example:1", tmp_path)
        configuration = await credentials_loader(path, 10)()
        assert configuration.proxy == (server.url if taken else None)
        if taken:
            async with await KubeClient.connect(path) as client:
                await client.list_page(WIDGETS)
            assert [request.headers["Host"] for request in server.requests] == ["cluster.example:1"]


async def test_no_password_is_taken_from_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password of-another-server\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted_server() as server:
        server.lists = [listing(1)]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as client:
            await client.list_page(WIDGETS)
        assert "Authorization" not in server.requests[0].headers


async def test_nobody_listens(tmp_path: Path) -> None:
    async with await KubeClient.connect(kubeconfig_for("http://127.0.0.1:1", tmp_path)) as client:
        with pytest.raises(KubeUnavailable, match="cannot reach the API server"):
            await client.list_page(WIDGETS)


async def test_an_answer_that_is_no_json(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>welcome</html>")

    async with scripted_server() as server:
        server.lists = [answer]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as client:
            with pytest.raises(KubeUnavailable, match="no JSON"):
                await client.list_page(WIDGETS)


async def test_certificates_that_cannot_be_used_are_told_and_the_old_ones_kept(tmp_path: Path) -> None:
    path = kubeconfig_for("https://127.0.0.1:1", tmp_path)
    connection = await Connection.open(credentials_loader(path, 10))
    before = connection.rest
    (tmp_path / "ca.crt").write_text("no certificate")
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    path.write_text(yaml.safe_dump(config))
    connection._reloaded = float("-inf")
    with pytest.raises(KubeConfigError, match=r"TLS certificates for https://127\.0\.0\.1:1"):
        await connection.reload()
    assert connection.rest is before
    with pytest.raises(KubeConfigError, match="TLS certificates"):
        await KubeClient.connect(path)
    await connection.close()


def test_the_namespace_is_that_of_the_current_context(tmp_path: Path) -> None:
    path = kubeconfig_for("http://127.0.0.1:1", tmp_path)
    assert default_namespace(path) == "default"
    content = yaml.safe_load(path.read_text())
    content["contexts"][0]["context"]["namespace"] = "team-a"
    path.write_text(yaml.safe_dump(content))
    assert default_namespace(path) == "team-a"
    with pytest.raises(KubeConfigError, match="there is no kubeconfig at"):
        default_namespace(tmp_path / "other")
    path.write_text("{}")
    with pytest.raises(KubeConfigError, match="cannot use the kubeconfig"):
        default_namespace(path)
