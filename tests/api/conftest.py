from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import yaml

from porchflow.kube.client import KubeClient
from tests.api.manifests import Objects
from tests.api.team import BINDINGS, DEPLOY, PEOPLE, Team, binding
from tests.kubectl import Kubectl
from tests.servers.control_plane import ControlPlane

CRDS = DEPLOY / "crds"


@pytest.fixture(scope="session")
def crds(kubectl: Kubectl) -> None:
    """The CustomResourceDefinitions as they are in the repository, served."""
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", str(CRDS))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(CRDS))


@pytest.fixture(scope="session")
async def kube(control_plane: Any, crds: None) -> AsyncIterator[KubeClient]:
    """A client of the real API server."""
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="session")
def roles(kubectl: Kubectl) -> None:
    for file in ("roles.yaml", "worker-rbac.yaml"):
        documents = yaml.safe_load_all((DEPLOY / "base" / file).read_text())
        found = [one for one in documents if one["kind"] == "ClusterRole"]
        text = yaml.safe_dump_all(found)
        kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", input=text)


@pytest.fixture
async def team(
    roles: None, control_plane: ControlPlane, kube: KubeClient, guarded_namespace: str
) -> AsyncIterator[Team]:
    async with AsyncExitStack() as stack:
        clients = {}
        for user, role in PEOPLE.items():
            await kube.create(BINDINGS, binding(guarded_namespace, user, role))
            config = control_plane.kubeconfig_for(user)
            clients[user] = await stack.enter_async_context(await KubeClient.connect(config))
        yield Team(guarded_namespace, kube, clients)


@pytest.fixture
def objects(kubectl: Kubectl, namespace: str) -> Objects:
    return Objects(kubectl, namespace)
