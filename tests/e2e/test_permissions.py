"""The processes with the rights that deploy/ gives them, and no others, checked by the API server."""

import base64
from pathlib import Path

import pytest

from porchflow.kube.kinds import SECRETS
from tests.e2e.conftest import PrivateRepository, register
from tests.e2e.packages import KPTFILE, push_content
from tests.e2e.system import ROOT, System, condition, is_ready
from tests.servers.control_plane import ControlPlane


def _as(control_plane: ControlPlane, account: str) -> str:
    """Return the kubeconfig of a ServiceAccount of deploy/."""
    user = f"system:serviceaccount:porchflow-system:{account}"
    groups = ("system:serviceaccounts", "system:serviceaccounts:porchflow-system", "system:authenticated")
    return str(control_plane.kubeconfig_for(user, groups))


@pytest.fixture
async def restricted(idle_system: System, control_plane: ControlPlane) -> System:
    """A watcher and a worker as the ServiceAccounts of deploy/."""
    # Not the aggregated API: nothing would answer for it, in this test and those after it.
    others = "--selector=app.kubernetes.io/component!=aggregated-api"
    apply = ("apply", "--server-side", "--force-conflicts")
    await control_plane.kubectl(*apply, "-f", str(ROOT / "deploy" / "namespaces"))
    await control_plane.kubectl(*apply, "-k", str(ROOT / "deploy"), others)
    namespaces = ("--namespaces", idle_system.namespace)
    watcher, worker = _as(control_plane, "porchflow-watcher"), _as(control_plane, "porchflow-worker")
    idle_system.start("watcher", "watcher", *namespaces, PORCHFLOW_KUBECONFIG=watcher)
    idle_system.start_worker(PORCHFLOW_KUBECONFIG=worker)
    return idle_system


async def _register_private(system: System, repository: PrivateRepository) -> None:
    words = {"username": repository.username, "password": repository.password}
    await system.kube.create(
        SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "git-auth", "namespace": system.namespace},
            "type": "kubernetes.io/basic-auth",
            "data": {key: base64.b64encode(word.encode()).decode() for key, word in words.items()},
        },
    )
    await register(system, "private", repository.url, secretRef={"name": "git-auth"})


async def _publish(system: System, name: str) -> None:
    await system.ready(name)
    for lifecycle in ("Proposed", "Published"):
        await system.lifecycle(name, lifecycle)
        await system.ready(name)


async def test_every_phase_gets_by_with_them(
    restricted: System, private_repository: PrivateRepository, tmp_path: Path
) -> None:
    waiting = await restricted.create_draft("private", "web")
    await restricted.until(waiting, "waits", lambda obj: condition(obj, "Ready").get("reason") == "RepositoryNotFound")
    await _register_private(restricted, private_repository)
    await restricted.ready(waiting)

    url = private_repository.url.replace("://", f"://{private_repository.username}:{private_repository.password}@")
    pushed = await push_content(url, "drafts/web/v1", "web", {"Kptfile": KPTFILE}, tmp_path)
    await restricted.patch(waiting, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    rendered = await restricted.until(
        waiting, "is rendered", lambda obj: is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == pushed
    )
    assert rendered["metadata"]["finalizers"]
    assert rendered["metadata"]["ownerReferences"][0]["name"] == "private"
    await _publish(restricted, waiting)
    published = await restricted.get(waiting)
    assert published is not None
    assert published["status"]["publishedBy"] == "porchflow-admin", "the worker may see that approvers are written down"

    second = await restricted.create_draft("private", "web", "v2", source={"copyFrom": {"name": waiting}})
    await _publish(restricted, second)
    await restricted.until(
        waiting,
        "is not the latest any more",
        lambda obj: obj["metadata"]["labels"]["porch.kpt.dev/latest-revision"] == "false",
    )
    await restricted.lifecycle(second, "DeletionProposed")
    await restricted.ready(second)
    await restricted.kubectl("delete", "packagerevisions", second, "--timeout=60s")

    # Stopping waits until the Events are written.
    restricted.stop_all()
    told = {reason for reason, _ in await restricted.events(waiting)}
    assert {"RepositoryNotFound", "Rendered", "Ready"} <= told
    for process in restricted.processes:
        assert "forbidden" not in restricted.log(process).read_text().lower()
