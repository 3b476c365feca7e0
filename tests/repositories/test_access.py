import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.remote.remote import BasicAuth, BearerToken
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import REPOSITORIES, SECRETS
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import Stalled, Waiting
from tests.activities.world import World
from tests.servers.authority import Authority
from tests.servers.control_plane import ControlPlane


def encode(**data: str) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}


async def secret(world: World, kind: str, data: dict[str, str], name: str = "git-auth") -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": world.namespace},
        "type": kind,
        "data": data,
    }
    await world.kube.create(SECRETS, body)


@pytest.fixture
def repositories(world: World) -> Repositories:
    return Repositories(world.kube)


async def private(world: World) -> None:
    await world.register("private", "https://git.example.com/x.git", secretRef={"name": "git-auth"})


async def test_what_the_phases_need_of_a_repository(world: World, repositories: Repositories) -> None:
    spec = {"directory": "/teams/a/", "createBranch": True, "author": "Ada", "email": "ada@example.com"}
    made = await world.register("apps", "https://git.example.com/x.git", **spec)
    access = await repositories.access(world.namespace, "apps")
    assert (access.name, access.uid) == ("apps", made["metadata"]["uid"])
    assert (access.remote.url, access.remote.credentials) == ("https://git.example.com/x.git", None)
    assert (access.branch, access.directory, access.create_branch) == ("main", "teams/a", True)
    assert (access.author.name, access.author.email) == ("Ada", "ada@example.com")


@pytest.mark.parametrize(
    ("kind", "data", "credentials"),
    [
        ("kubernetes.io/basic-auth", encode(username="ada", password="p"), BasicAuth("ada", "p")),
        ("Opaque", encode(bearerToken="t0ken"), BearerToken("t0ken")),
    ],
    ids=["basic", "bearer"],
)
async def test_credentials(
    world: World, repositories: Repositories, kind: str, data: dict[str, str], credentials: Any
) -> None:
    await private(world)
    await secret(world, kind, data)
    access = await repositories.access(world.namespace, "private")
    assert access.remote.credentials == credentials
    assert "t0ken" not in repr(access)


async def test_a_secret_that_cannot_be_used(world: World, repositories: Repositories) -> None:
    await private(world)
    await secret(world, "Opaque", encode(token="s3cret"))
    with pytest.raises(Stalled, match="type 'Opaque' holds no Git credentials") as raised:
        await repositories.access(world.namespace, "private")
    assert (raised.value.reason, "git-auth" in raised.value.message) == ("InvalidSecret", True)
    assert "s3cret" not in raised.value.message


async def test_the_bundle_of_a_namespace_is_for_those_without_one(
    world: World, repositories: Repositories, tmp_path: Path
) -> None:
    await world.register("open", "https://git.example.com/x.git")
    await world.register("plain", "http://git.example.com/x.git")
    await private(world)
    mine, shared = (Authority(tmp_path, name).pem for name in ("mine", "shared"))
    await secret(world, "Opaque", encode(bearerToken="t0ken", **{"ca.crt": mine}))
    await secret(world, "Opaque", encode(**{"ca.crt": shared}), f"{world.namespace}-ca-bundle")
    found = [(await repositories.access(world.namespace, name)).remote for name in ("open", "plain", "private")]
    assert [remote.ca_bundle for remote in found] == [shared, None, mine]
    assert found[2].secret == "git-auth"


async def test_an_ssh_repository_without_a_secret(world: World, repositories: Repositories) -> None:
    await world.register("bare", "ssh://git:pw@git.example.com/x.git")
    with pytest.raises(Stalled, match=r"names no Secret: name one of type kubernetes\.io/ssh-auth") as raised:
        await repositories.access(world.namespace, "bare")
    assert "pw" not in raised.value.message


async def context(world: World, repositories: Repositories, name: str, *secrets: str) -> str:
    return await repositories.context(await repositories.raw(world.namespace, name), *secrets)


async def test_another_secret_is_another_context(world: World, repositories: Repositories) -> None:
    await private(world)
    contexts = [await context(world, repositories, "private")]
    await secret(world, "Opaque", encode(bearerToken="t0ken"))
    contexts.append(await context(world, repositories, "private"))
    await world.kube.merge_patch(SECRETS, world.namespace, "git-auth", {"data": encode(bearerToken="another")})
    contexts.append(await context(world, repositories, "private"))
    contexts.append(await context(world, repositories, "private", "of-a-clone"))
    await secret(world, "Opaque", encode(bearerToken="t0ken"), "of-a-clone")
    contexts.append(await context(world, repositories, "private", "of-a-clone"))
    assert len(set(contexts)) == 5
    assert contexts[2] == await context(world, repositories, "private", "")


async def test_a_secret_with_a_line_break_is_refused(world: World, repositories: Repositories) -> None:
    await private(world)
    await secret(world, "Opaque", encode(bearerToken="t0ken\n"))
    with pytest.raises(InvalidName, match="line break") as raised:
        await repositories.access(world.namespace, "private")
    assert "t0ken" not in str(raised.value)


async def test_a_missing_repository_or_secret_is_waited_for(world: World, repositories: Repositories) -> None:
    with pytest.raises(Waiting, match="there is none in namespace"):
        await repositories.access(world.namespace, "private")
    await private(world)
    with pytest.raises(Waiting, match="Secret 'git-auth'"):
        await repositories.access(world.namespace, "private")
    await secret(world, "Opaque", encode(bearerToken="t0ken"))
    assert (await repositories.access(world.namespace, "private")).remote.credentials == BearerToken("t0ken")


async def test_a_repository_that_appears_changes_or_goes_is_seen_at_once(
    world: World, repositories: Repositories
) -> None:
    contexts = [await context(world, repositories, "apps")]
    await world.register("apps", "https://git.example.com/x.git")
    contexts.append(await context(world, repositories, "apps"))
    patch = {"spec": {"git": {"author": "Ada"}}}
    await world.kube.merge_patch(REPOSITORIES, world.namespace, "apps", patch)
    contexts.append(await context(world, repositories, "apps"))
    assert (await repositories.access(world.namespace, "apps")).author.name == "Ada"
    await world.kube.merge_patch(REPOSITORIES, world.namespace, "apps", {"metadata": {"labels": {"a": "b"}}})
    assert await context(world, repositories, "apps") == contexts[2], "a label asks for nothing"
    await world.kube.delete(REPOSITORIES, world.namespace, "apps")
    contexts.append(await context(world, repositories, "apps"))
    assert contexts[0] == contexts[3] == ""
    assert len(set(contexts)) == 3


class Counting(KubeClient):
    reads = 0

    async def get(self, *args: Any, **kwargs: Any) -> Object:
        self.reads += 1
        return await super().get(*args, **kwargs)


async def test_a_burst_shares_its_looks(world: World, control_plane: ControlPlane) -> None:
    async with await Counting.connect(control_plane.kubeconfig) as kube:
        repositories = Repositories(kube)
        burst = [context(world, repositories, "blueprints") for _ in range(200)]
        assert len(set(await asyncio.gather(*burst))) == 1
        assert kube.reads <= 3


async def test_a_look_that_is_cancelled_answers_nobody(world: World, repositories: Repositories) -> None:
    first = asyncio.ensure_future(context(world, repositories, "blueprints"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(context(world, repositories, "blueprints"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second != ""
