"""A Git server behind TLS: whom it has to be signed by, and what a person is told."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from porchflow.devstack.git.gitserver import GitServer, create_bare_repository
from porchflow.gitrepo.errors import GitAuthError, GitCertificateError, GitError, GitUnavailable
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import BasicAuth, BearerToken, Remote
from tests.gitrepo.conftest import PASSWORD, USER, init, location
from tests.servers.authority import Authority
from tests.servers.faulty import FaultyGitServer

Serve = Callable[[ssl.SSLContext], Awaitable[str]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Start a server with a certificate; give the address of its repository."""
    root = tmp_path / "git"
    await asyncio.to_thread(create_bare_repository, root, "repo", durable=False)
    async with AsyncExitStack() as stack:

        async def start(tls: ssl.SSLContext) -> str:
            server = FaultyGitServer(root, username=USER, password=PASSWORD, bearer_token="t0ken", tls=tls)
            return (await stack.enter_async_context(server)).repository_url("repo")

        yield start


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


async def refusal(store: GitStore, remote: Remote) -> str:
    with pytest.raises(GitCertificateError) as caught:
        await store.list_refs(remote)
    return str(caught.value)


@pytest.mark.parametrize("credentials", [BasicAuth(USER, PASSWORD), BearerToken("t0ken")])
async def test_a_bundle_of_ones_own(
    serve: Serve, store: GitStore, authority: Authority, tmp_path: Path, credentials: BasicAuth | BearerToken
) -> None:
    url = await serve(authority.serves("127.0.0.1"))
    remote = Remote(url, credentials, ca_bundle=Authority(tmp_path, "another").pem + authority.pem)
    await store.ensure_branch(remote, "main", create_branch=True)
    draft = await init(store, remote, location())
    assert "Kptfile" in await store.read_package(remote, draft.commit, "app")
    with pytest.raises(GitAuthError, match="refused"):
        await store.list_refs(Remote(url, BearerToken("wrong"), ca_bundle=authority.pem))


async def test_a_bundle_is_trusted_for_its_own_remote_alone(
    serve: Serve, store: GitStore, authority: Authority, tmp_path: Path
) -> None:
    url = await serve(authority.serves("127.0.0.1"))
    trusting = Remote(url, BearerToken("t0ken"), ca_bundle=authority.pem)
    for _ in range(2):
        assert await store.list_refs(trusting) == {}
        told = await refusal(store, Remote(url, BearerToken("t0ken")))
        assert "put the authority's certificate as ca.crt into the Secret" in told
        told = await refusal(store, Remote(url, BearerToken("t0ken"), ca_bundle=Authority(tmp_path, "another").pem))
        assert "none of the certificates in ca.crt signed it" in told


async def test_what_is_wrong_with_a_certificate_is_said(
    serve: Serve, store: GitStore, authority: Authority, tmp_path: Path
) -> None:
    expired = authority.serves("127.0.0.1", valid=-dt.timedelta(hours=1))
    for tls, told in (
        (expired, "expired; the server's administrator must renew it"),
        (authority.serves("git.example.com"), "use a name that the certificate is for"),
        (Authority(tmp_path, "self").serves("127.0.0.1"), "none of the certificates in ca.crt signed it"),
    ):
        url = await serve(tls)
        assert told in await refusal(store, Remote(url, BearerToken("t0ken"), ca_bundle=authority.pem))


async def test_an_intermediate_authority(serve: Serve, store: GitStore, authority: Authority, tmp_path: Path) -> None:
    """The server sends its chain; a bundle may hold the root, or the intermediate alone."""
    intermediate = Authority(tmp_path, "intermediate", parent=authority)
    url = await serve(intermediate.serves("127.0.0.1"))
    for bundle in (authority.pem, intermediate.pem):
        assert await store.list_refs(Remote(url, BearerToken("t0ken"), ca_bundle=bundle)) == {}


async def test_a_server_that_changes_its_certificate(
    serve: Serve, store: GitStore, authority: Authority, tmp_path: Path
) -> None:
    """Trust in the old one is none in the new one."""
    context = authority.serves("127.0.0.1")
    url = await serve(context)
    remote = Remote(url, BearerToken("t0ken"), ca_bundle=authority.pem)
    assert await store.list_refs(remote) == {}
    strange = Authority(tmp_path, "strange").issue("server", "127.0.0.1")
    context.load_cert_chain(strange.certificate, strange.key)
    # A kept connection has shown its certificate before.
    store._connections.transport._idle.close()
    assert "none of the certificates in ca.crt signed it" in await refusal(store, remote)


async def test_an_http_server_on_an_https_address(store: GitStore, tmp_path: Path) -> None:
    async with GitServer(tmp_path) as server:
        with pytest.raises(GitUnavailable):
            await store.list_refs(Remote(server.repository_url("repo").replace("http:", "https:")))


async def test_a_bundle_that_holds_no_certificate(store: GitStore) -> None:
    with pytest.raises(GitError, match=r"correct ca\.crt"):
        await store.list_refs(Remote("https://127.0.0.1:1/x", ca_bundle="-----BEGIN nothing"))


async def test_a_server_that_is_silent_before_its_certificate(tmp_path: Path, authority: Authority) -> None:
    connections: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with GitStore(tmp_path / "cache", connect_timeout=1, server_timeout=1) as store:
        with pytest.raises(GitUnavailable):
            await store.list_refs(Remote(f"https://127.0.0.1:{port}/repo", ca_bundle=authority.pem))
    for writer in connections:
        writer.close()
    server.close()
