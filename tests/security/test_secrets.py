"""Nobody has a Secret sent anywhere who may not read it, or to a host that it is not for."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import SECRETS_POLICY
from porchflow.api.work.needs import Phase
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden, KubeError
from porchflow.kube.kinds import REPOSITORIES, SECRETS
from tests.activities.upstream import clone_from_git
from tests.activities.world import World, entered, reason
from tests.api.team import BINDINGS, DEPLOY, ROLES, Team, binding, refused, without_rules
from tests.kubectl import KubectlError, kubectl_with
from tests.security.stage import NAME, Listener, Stage, create_secret, repository, secret
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories
from tests.servers.waiting import eventually

REGISTRAR = "rob@example.com"


async def _let(team: Team, user: str, name: str, *rules: dict[str, Any]) -> None:
    await team.admin.apply(
        ROLES,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": rules,
        },
        field_manager="test",
    )
    await team.admin.create(BINDINGS, binding(team.namespace, user, name))


GET_SECRET = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["git-auth"], "verbs": ["get"]}
REGISTERS = {
    "apiGroups": ["config.porch.kpt.dev"],
    "resources": ["repositories"],
    "verbs": ["get", "create", "update", "patch"],
}


async def test_an_author_who_may_not_read_a_secret_has_it_sent_nowhere(stage: Stage, listener: Listener) -> None:
    await create_secret(stage)
    source = clone_from_git(f"{listener.url}/x.git", "main", "/", "git-auth")
    words = await refused(stage.team.create(source=source), Forbidden)
    assert f"Secret git-auth, which is sent to {listener.url}/x.git" in words
    assert "ada@example.com may not get it in namespace" in words
    await stage.team.create()
    words = await refused(stage.team.patch(stage.team.author, {"spec": {"source": source}}), Forbidden)
    assert "spec.source.cloneFrom.git.secretRef names Secret git-auth" in words
    assert listener.shown == []


async def test_an_operation_sends_a_secret_nowhere_that_its_author_may_not_read(
    stage: Stage, listener: Listener
) -> None:
    await create_secret(stage)
    await stage.team.create(source={"init": {}})
    await stage.world.settle(NAME)
    clone = clone_from_git(f"{listener.url}/x.git", "main", "/", "git-auth")["cloneFrom"]
    wanted = {"spec": {"subpackageOperation": {"subpackageDir": "db", "cloneFrom": clone}}}
    words = await refused(stage.team.patch(stage.team.author, wanted), Forbidden)
    assert f"Secret git-auth, which is sent to {listener.url}/x.git" in words
    await stage.team.patch(stage.team.admin, wanted)
    words = await stage.world.fails(Phase.SUBPACKAGE, NAME, ErrorKind.STALLED)
    assert "because it would go there unencrypted" in words
    clone["git"]["directory"] = "other"
    await stage.team.patch(stage.team.author, wanted)
    clone["git"]["repo"] = f"{listener.url}/y.git"
    await refused(stage.team.patch(stage.team.author, wanted), Forbidden)
    assert listener.shown == []


async def test_an_author_who_may_read_it_names_it(stage: Stage) -> None:
    await create_secret(stage)
    await _let(stage.team, "ada@example.com", "reads-git-auth", GET_SECRET)
    source = clone_from_git("https://git.example.invalid/x.git", "main", "/", "git-auth")

    async def created() -> bool:
        try:
            await stage.team.create(source=source)
        except Forbidden:
            return False
        return True

    await eventually(created, what="the API server knows the new role")
    other = clone_from_git("https://git.example.invalid/x.git", "main", "/", "other-secret")
    await refused(stage.team.create(name="blueprints.web.v2", workspaceName="v2", source=other), Forbidden)


async def test_a_secret_is_not_sent_unencrypted_to_what_an_author_chose(stage: Stage, listener: Listener) -> None:
    """Even where she may read it: she would show it to the network."""
    await create_secret(stage)
    source = clone_from_git(f"{listener.url}/x.git", "main", "/", "git-auth")
    await stage.team.create(stage.team.admin, source=source)
    words = await stage.world.fails(Phase.SOURCE, NAME, ErrorKind.STALLED)
    assert f"Secret 'git-auth' is not sent to {listener.url}, because it would go there unencrypted" in words
    assert f"let the annotation porchflow.dev/hosts of the Secret name {listener.url}" in words
    assert reason(await stage.world.get(NAME), "Stalled") == "True/InvalidSecret"
    assert listener.shown == []
    patch = {"metadata": {"annotations": {"porchflow.dev/hosts": listener.url}}}
    await stage.team.admin.merge_patch(SECRETS, stage.team.namespace, "git-auth", patch)
    await stage.world.fails(Phase.SOURCE, NAME, ErrorKind.STALLED)
    word = base64.b64encode(b"team-a:company-word").decode()
    assert set(listener.shown) == {f"Basic {word}"}, "the Secret says so itself"


@pytest.mark.parametrize("registered", [True, False], ids=["of a Repository", "of a clone"])
async def test_a_secret_that_names_its_hosts_is_sent_to_no_other(
    stage: Stage, listener: Listener, registered: bool
) -> None:
    """Whoever asks: an administrator may mistype an address, too."""
    await create_secret(stage, "git.example.com")
    url = f"{listener.url}/x.git"
    if registered:
        await stage.team.admin.create(REPOSITORIES, repository(stage.team.namespace, url))
        name = "private.web.v1"
        await stage.team.create(name=name, repository="private", source={"init": {}})
    else:
        name = NAME
        await stage.team.create(stage.team.admin, source=clone_from_git(url, "main", "/", "git-auth"))
    words = await stage.world.fails(Phase.SOURCE, name, ErrorKind.STALLED)
    assert "because its annotation porchflow.dev/hosts names other servers" in words
    assert "git.example.com" not in words, "whom it is for is told to who may read it"
    assert listener.shown == []


async def test_who_registers_repositories_names_no_secret_that_is_not_hers(
    stage: Stage, control_plane: ControlPlane
) -> None:
    await create_secret(stage)
    await _let(stage.team, REGISTRAR, "registers", REGISTERS)
    async with await KubeClient.connect(control_plane.kubeconfig_for(REGISTRAR)) as registrar:
        wanted = repository(stage.team.namespace, "https://git.example.invalid/x.git")
        bare = json.loads(json.dumps(wanted))
        del bare["spec"]["git"]["secretRef"]

        async def created() -> bool:
            try:
                await registrar.create(REPOSITORIES, bare)
            except Forbidden:
                return False
            return True

        await eventually(created, what="the API server knows the new role")
        for request in (
            registrar.create(REPOSITORIES, wanted | {"metadata": wanted["metadata"] | {"name": "second"}}),
            registrar.merge_patch(
                REPOSITORIES, stage.team.namespace, "private", {"spec": {"git": {"secretRef": {"name": "git-auth"}}}}
            ),
        ):
            words = await refused(request, Forbidden)
            assert (
                f"spec.git.secretRef names Secret git-auth, which is sent to {wanted['spec']['git']['repo']}" in words
            )
        await stage.team.admin.merge_patch(
            REPOSITORIES, stage.team.namespace, "private", {"spec": {"git": {"secretRef": {"name": "git-auth"}}}}
        )
        other = {"metadata": {"labels": {"a": "b"}}, "spec": {"description": "the same place"}}
        await registrar.merge_patch(REPOSITORIES, stage.team.namespace, "private", other)


async def test_who_writes_beside_a_secret_need_not_read_it(stage: Stage, control_plane: ControlPlane) -> None:
    """As a worker, whose sync takes `runOnceAt` out of a spec that names one."""
    await create_secret(stage)
    await stage.team.admin.create(REPOSITORIES, repository(stage.team.namespace, stage.world.git.url))
    when = {"spec": {"sync": {"runOnceAt": "2026-01-01T00:00:00Z"}}}
    await stage.team.admin.merge_patch(REPOSITORIES, stage.team.namespace, "private", when)
    rights = {"apiGroups": ["config.porch.kpt.dev"], "resources": ["repositories"], "verbs": ["get", "patch"]}
    await _let(stage.team, "wes@example.com", "writes-as-workers", rights)
    async with await KubeClient.connect(control_plane.kubeconfig_for("wes@example.com")) as blind:

        async def consumed() -> bool:
            try:
                await blind.merge_patch(
                    REPOSITORIES, stage.team.namespace, "private", {"spec": {"sync": {"runOnceAt": None}}}
                )
            except Forbidden:
                return False
            return True

        await eventually(consumed, what="the API server knows the new role")


async def test_another_address_beside_the_same_secret_needs_the_right_to_read_it(
    restartable_control_plane: ControlPlane,
) -> None:
    """Where Porch's CRDs are installed, which let addresses change."""
    plane = restartable_control_plane
    crd = yaml.safe_load((DEPLOY / "crds" / "config.porch.kpt.dev_repositories.yaml").read_text())
    await plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump(without_rules(crd))
    )
    async with (
        await KubeClient.connect(plane.kubeconfig) as admin,
        await KubeClient.connect(plane.kubeconfig_for(REGISTRAR)) as registrar,
    ):
        team = Team("default", admin, {})
        await _let(team, REGISTRAR, "registers", REGISTERS)
        await admin.create(REPOSITORIES, repository("default", "https://git.example.com/x.git"))

        async def asks(client: KubeClient) -> str:
            patch = {"spec": {"git": {"repo": "https://git.example.invalid/x.git"}}}
            try:
                await client.merge_patch(REPOSITORIES, "default", "private", patch)
            except KubeError as error:
                return str(error)
            return ""

        async def by_the_policy() -> bool:
            return "which is sent to https://git.example.invalid/x.git" in await asks(registrar)

        await eventually(by_the_policy, what="no CRD rules, and the new role")
        assert await asks(admin) == ""


async def test_unencrypted_credentials_of_a_repository_are_warned_of(stage: Stage, control_plane: ControlPlane) -> None:
    await create_secret(stage)
    wanted = repository(stage.team.namespace, "http://git.example.invalid/x.git")
    run = kubectl_with(control_plane.kubeconfig)
    with pytest.raises(KubectlError, match=r"what Secret git-auth holds is sent unencrypted to http://git\.example"):
        await asyncio.to_thread(run, "create", "-f", "-", "--warnings-as-errors", input=json.dumps(wanted))
    with pytest.raises(Exception, match=r"git\.example\.invalid"):
        await stage.syncs.sync("private")
    assert any("git-auth' holds is sent unencrypted" in text for text in await stage.syncs.told("private"))


async def _without_policy(plane: ControlPlane, world: World) -> None:
    await plane.kubectl("delete", "validatingadmissionpolicybindings", SECRETS_POLICY)
    async with await KubeClient.connect(plane.kubeconfig_for("ada@example.com")) as author:
        team = Team("default", world.kube, {"ada@example.com": author})
        await _let(team, "ada@example.com", "makes-packages", _MAKES)
        source = clone_from_git("https://git.example.invalid/x.git", "main", "/", "git-auth")

        async def created() -> bool:
            try:
                await team.create(source=source)
            except Forbidden:
                return False
            return True

        await eventually(created, what="the policy is gone")


_MAKES = {"apiGroups": ["porch.kpt.dev"], "resources": ["packagerevisions"], "verbs": ["create"]}


async def test_without_the_policy_only_a_secret_that_names_the_host_is_used(
    restartable_control_plane: ControlPlane, git_server: GitRepositories, listener: Listener, tmp_path: Path
) -> None:
    plane = restartable_control_plane
    async with entered(plane, "default", git_server, tmp_path) as world:
        await world.kube.create(SECRETS, secret("default"))
        await _without_policy(plane, world)
        words = await world.fails(Phase.SOURCE, NAME, ErrorKind.STALLED)
        assert "because the API server does not check that the author who names a Secret may read it" in words
        assert "let the annotation porchflow.dev/hosts of the Secret name https://git.example.invalid" in words
        await world.kube.create(SECRETS, secret("default", listener.url, "named"))
        source = clone_from_git(f"{listener.url}/x.git", "main", "/", "named")
        await world.create("v2", source=source)
        await world.fails(Phase.SOURCE, "blueprints.web.v2", ErrorKind.STALLED)
        assert listener.shown
        assert all(listener.shown)
