"""The people of a soak and the Repositories they use, on a running stack."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import yaml

from porchflow.api.names import REPOSITORY_API_VERSION, REPOSITORY_KIND
from porchflow.devstack.demo.demo_repository import ensure_repository
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import NAMESPACES as NAMESPACE_KIND
from porchflow.kube.kinds import REPOSITORIES, Resource
from soak.places import ADMINISTRATOR, APPROVER, AUTHORS, GIT_REPOSITORIES, NAMESPACES, PLACES, Place
from soak.stack import SoakStack

_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", namespaced=True)
_ROLES = {**dict.fromkeys(AUTHORS, "porchflow-author"), APPROVER: "porchflow-approver"}


@contextlib.asynccontextmanager
async def gathered(stack: SoakStack) -> AsyncIterator[None]:
    """Make namespaces, people and Repositories; the people's clients are open while the context is."""
    for namespace in NAMESPACES:
        await _make_namespace(stack.admin, namespace)
    for name in GIT_REPOSITORIES:
        await asyncio.to_thread(ensure_repository, stack.folder.git, stack.git_url, name)
    for place in PLACES:
        await stack.admin.create(REPOSITORIES, repository(stack, place))
    stack.clients[ADMINISTRATOR] = stack.admin
    async with contextlib.AsyncExitStack() as opened:
        for user in _ROLES:
            stack.clients[user] = await opened.enter_async_context(await _client(stack, user))
        yield


async def _make_namespace(admin: KubeClient, namespace: str) -> None:
    await admin.create(NAMESPACE_KIND, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for user, role in _ROLES.items():
        await admin.create(_BINDINGS, _binding(namespace, user, role))


def _binding(namespace: str, user: str, role: str) -> Object:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{user}-{role}", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


async def _client(stack: SoakStack, user: str) -> KubeClient:
    certificates = stack.certificates
    certificates.ensure_client(user, user, "people")
    shown = {"client-certificate": str(certificates.certificate(user)), "client-key": str(certificates.key(user))}
    path = stack.folder.root / f"kubeconfig-{user}"
    path.write_text(yaml.safe_dump(certificates.kubeconfig(stack.admin.host, user, shown)), encoding="utf-8")
    return await KubeClient.connect(path)


def repository(stack: SoakStack, place: Place) -> Object:
    """Return the manifest of a Repository."""
    git = {"repo": f"{stack.git_url}/{place.git}.git", "branch": "main"}
    return {
        "apiVersion": REPOSITORY_API_VERSION,
        "kind": REPOSITORY_KIND,
        "metadata": {"name": place.repository, "namespace": place.namespace},
        "spec": {"type": "git", "git": {**git, **({"directory": place.directory} if place.directory else {})}},
    }
