"""Images that a namespace's own credentials open: the function runner with the rights of deploy/ and of the guide."""

import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.function_errors import FunctionNotFound, RunnerUnavailable
from porchflow.functions.slots import on_behalf_of
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PODS, SECRETS
from tests.cli.runner.test_function_runner import LIST, ROOT, runner, when_listed
from tests.cli.runner.test_function_runner_pods import kubelet, rights, script
from tests.conftest import create_namespace
from tests.servers.control_plane import ControlPlane
from tests.servers.kubelet import Kubelet
from tests.servers.registry import PASSWORD, USER, Registry, passwords, running_registry
from tests.servers.waiting import eventually

__all__ = ["kubelet"]

SECRET = "porchflow-function-images"
GUIDE = ROOT / "docs/guides/functions.md"


@dataclass
class Tenants:
    """Two namespaces, a registry that shows nothing without credentials, and a function runner.

    Attributes:
        a: The namespace whose Secret the runner may read.
        b: One whose Secret it may not read at first.
        flags: Of the runner.
    """

    kube: KubeClient
    control_plane: ControlPlane
    registry: Registry
    kubelet: Kubelet
    a: str
    b: str
    flags: tuple[object, ...]
    kubeconfig: Path

    async def put(self, namespace: str, name: str = SECRET, *, password: str = PASSWORD) -> None:
        """Create or replace a Secret, as the owner of a namespace does."""
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        text = json.dumps({"auths": {self.registry.address: {"auth": auth}}})
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": text},
        }
        await self.control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    async def allow(self, namespace: str) -> None:
        """Let the runner read the Secret of a namespace, with the command that the guide gives."""
        [command] = re.findall(r"kubectl -n team-a (create rolebinding (?:.|\\\n)+?)\n\n", GUIDE.read_text())
        words = command.replace("\\\n", " ").split()
        await self.control_plane.kubectl("-n", namespace, *words)

    async def may(self, verb: str, what: str, namespace: str) -> bool:
        asked = ("auth", "can-i", verb, what, "-n", namespace)
        return (await self.control_plane.kubectl(*asked, kubeconfig=self.kubeconfig, check=False)).strip() == "yes"

    async def pods(self) -> list[Object]:
        return [pod async for pod in self.kube.list_all(PODS, self.kubelet.namespace)]


@pytest.fixture
async def tenants(
    kube: KubeClient,
    namespace: str,
    control_plane: ControlPlane,
    registry_binary: Path,
    kubelet: Kubelet,
    tmp_path: Path,
) -> AsyncIterator[Tenants]:
    kubeconfig = await rights(control_plane, namespace)
    manifests = list(yaml.safe_load_all((ROOT / "deploy/components/namespace-registries/rbac.yaml").read_text()))
    for manifest in manifests:
        if "namespace" in manifest["metadata"]:
            manifest["metadata"]["namespace"] = namespace
    await control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    async with running_registry(registry_binary, tmp_path / "private", auth=passwords(tmp_path)) as registry:
        await registry.push("team-a/tool:v1", script(tmp_path, "tool", "sed s/name:.x/name:\\ secret/"))
        flags = (
            *("--kubeconfig", kubeconfig, "--function-config-namespace", namespace),
            *("--wrapper-server-image", "example.com/wrapper:v1", "--pod-namespace", namespace),
            *("--insecure-registries", registry.address, "--namespace-registry-secret", SECRET),
        )
        a, b = [await create_namespace(kube, {}) for _ in "ab"]
        yield Tenants(kube, control_plane, registry, kubelet, a, b, flags, kubeconfig)


async def _told(evaluate: GrpcEvaluator, tenants: Tenants, namespace: str) -> str:
    """Return what a namespace is told of the image, which is what it is told of one that is not there."""
    told = []
    for name in ("tool", "absent"):
        with on_behalf_of(namespace), pytest.raises(FunctionNotFound) as raised:
            await evaluate(tenants.registry.image(f"team-a/{name}:v1"), LIST)
        told.append(str(raised.value).replace("absent", "tool"))
    assert told[0] == told[1]
    return told[0]


async def test_only_the_namespace_with_the_credentials_runs_the_image(tenants: Tenants) -> None:
    image = tenants.registry.image("team-a/tool:v1")
    await tenants.put(tenants.a)
    await tenants.allow(tenants.a)
    async with runner(*tenants.flags) as (evaluate, _):
        with on_behalf_of(tenants.a):
            assert b"name: secret" in await when_listed(evaluate, image)
        # The image is known by digest, a node has it, and a pod of it waits for calls: none of that helps.
        for other in (tenants.b, ""):
            told = await _told(evaluate, tenants, other)
            assert f"Secret '{SECRET}' of the package's namespace" in told
            assert tenants.a not in told
        await tenants.allow(tenants.b)
        await tenants.put(tenants.b, password="wrong")

        own = f"Secret '{SECRET}' of namespace '{tenants.b}' do not open it"
        await _answers(evaluate, image, tenants.b, own)
        assert own in await _told(evaluate, tenants, tenants.b)
        await _answers(evaluate, image, tenants.a, "name: secret")
        assert len(tenants.kubelet.started) == 1
        await tenants.put(tenants.b)
        await _answers(evaluate, image, tenants.b, "name: secret")
        # Each has a pod of its own.
        assert len(tenants.kubelet.started) == 2
    owners = {pod["metadata"]["annotations"]["porchflow.dev/owner-namespace"] for pod in await tenants.pods()}
    assert owners == {tenants.a, tenants.b}


async def _answers(evaluate: GrpcEvaluator, image: str, namespace: str, answer: str) -> None:
    """Wait until a namespace gets an answer, or an error, with some words."""

    async def holds() -> bool:
        try:
            with on_behalf_of(namespace):
                said = (await evaluate(image, LIST)).resource_list.decode()
        except (FunctionNotFound, RunnerUnavailable) as error:
            said = str(error)
        assert "hunter2" not in said
        assert answer in said, said
        return True

    await eventually(holds, what=answer)


async def test_the_node_pulls_with_a_secret_of_the_pod(tenants: Tenants) -> None:
    await tenants.put(tenants.a)
    await tenants.allow(tenants.a)
    async with runner(*tenants.flags) as (evaluate, _):
        with on_behalf_of(tenants.a):
            await when_listed(evaluate, tenants.registry.image("team-a/tool:v1"))
    [(_, [secret])], [pod] = tenants.kubelet.pulled, await tenants.pods()
    [entry] = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"].items()
    assert entry[0] == f"{tenants.registry.address}/team-a/tool"
    assert entry[1]["password"] == PASSWORD
    [owner] = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
    assert secret["immutable"]


async def test_changed_credentials_count(tenants: Tenants) -> None:
    image = tenants.registry.image("team-a/tool:v1")
    await tenants.put(tenants.a, password="old")
    await tenants.allow(tenants.a)
    async with runner(*tenants.flags) as (evaluate, _):
        with on_behalf_of(tenants.a), pytest.raises(FunctionNotFound, match="do not open it"):
            await when_listed(evaluate, image)
        await tenants.put(tenants.a)
        await _answers(evaluate, image, tenants.a, "name: secret")
        # The pod stays, and serves the namespace no more once its credentials open nothing.
        await tenants.put(tenants.a, password="withdrawn")
        await _answers(evaluate, image, tenants.a, "do not open it")
        assert len(tenants.kubelet.started) == 1


async def test_the_runner_reads_no_other_secret(tenants: Tenants) -> None:
    """The Secret of the other namespace would open the image. Nobody gave the runner the right to it."""
    await tenants.put(tenants.a, "other")
    await tenants.put(tenants.b)
    await tenants.allow(tenants.a)
    async with runner(*tenants.flags) as (evaluate, _):
        with on_behalf_of(tenants.a), pytest.raises(FunctionNotFound, match="it takes credentials"):
            await when_listed(evaluate, tenants.registry.image("team-a/tool:v1"))
        await _told(evaluate, tenants, tenants.b)
    secret = f"secrets/{SECRET}"
    assert await tenants.may("get", secret, tenants.a)
    for verb, what, namespace in (
        ("get", secret, tenants.b),
        ("get", "secrets/other", tenants.a),
        *((verb, "secrets", tenants.a) for verb in ("get", "list", "watch", "create", "update", "patch", "delete")),
        *((verb, secret, tenants.a) for verb in ("list", "watch", "update", "patch", "delete")),
        *((verb, "secrets", tenants.kubelet.namespace) for verb in ("get", "list", "watch", "patch", "delete")),
    ):
        assert not await tenants.may(verb, what, namespace), (verb, what)


async def test_an_unusable_secret_is_named(tenants: Tenants) -> None:
    secret = {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": SECRET, "namespace": tenants.a},
        "stringData": {"password": "hunter2"},
    }
    await tenants.kube.create(SECRETS, secret)
    await tenants.allow(tenants.a)
    async with runner(*tenants.flags) as (evaluate, _):
        said = f"Secret '{SECRET}' of namespace '{tenants.a}' is not of type"
        await _answers(evaluate, tenants.registry.image("team-a/tool:v1"), tenants.a, said)
