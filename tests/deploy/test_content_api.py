"""The content API as deploy/ runs it: with the rights of its ServiceAccount, and a certificate that it makes itself."""

import base64
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.devstack.objects.api_service import SERVICE
from porchflow.devstack.processes import HOST, Process, free_port
from porchflow.devstack.servers import answers
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import APISERVICES, NAMESPACES, PACKAGEREVISIONRESOURCES, SECRETS, SERVICES
from tests.content.world import FILES, Packages
from tests.kubectl import kubectl_with
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepository
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]
NAMESPACE = "porchflow-system"
APISERVICE = "v1alpha1.porch.kpt.dev"
ACCOUNT = "system:serviceaccount:porchflow-system:porchflow-content-api"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:porchflow-system", "system:authenticated")


@pytest.fixture
async def admin(restartable_control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """A cluster of the test's own, to which deploy/ was applied."""
    apply = ("apply", "--server-side", "--force-conflicts")
    await restartable_control_plane.kubectl(*apply, "-f", str(ROOT / "deploy" / "namespaces"))
    await restartable_control_plane.kubectl(*apply, "-k", str(ROOT / "deploy"))
    async with await KubeClient.connect(restartable_control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
async def content_api(
    admin: KubeClient, restartable_control_plane: ControlPlane, tmp_path: Path
) -> AsyncIterator[Process]:
    """The process of the Deployment, on this machine, where the Service leads."""
    port, health = free_port(), f"{HOST}:{free_port()}"
    local = {"type": "ExternalName", "externalName": "localhost", "selector": None, "clusterIP": None}
    await admin.merge_patch(SERVICES, NAMESPACE, SERVICE, {"spec": {**local, "ports": [{"port": port}]}})
    await admin.merge_patch(APISERVICES, None, APISERVICE, {"spec": {"service": {"port": port}}})

    async def ready() -> bool:
        return await answers(f"http://{health}/readyz")

    process = Process(
        "content-api",
        [sys.executable, "-m", "porchflow.cli.main", "content-api"],
        log=tmp_path / "content-api.log",
        ready=ready,
        address=f"https://{HOST}:{port}",
        environment={
            "PORCHFLOW_KUBECONFIG": str(restartable_control_plane.kubeconfig_for(ACCOUNT, GROUPS)),
            "PORCHFLOW_CONTENT_ADDRESS": f"{HOST}:{port}",
            "PORCHFLOW_CONTENT_SERVICE": f"{NAMESPACE}/{SERVICE}",
            "PORCHFLOW_HEALTH_ADDRESS": health,
            "GIT_CACHE_DIR": str(tmp_path / "git"),
        },
        folder=ROOT,
    )
    await process.start()
    yield process
    await process.stop()
    assert "forbidden" not in (tmp_path / "content-api.log").read_text().lower()


@pytest.fixture
async def packages(admin: KubeClient, git_repository: GitRepository) -> Packages:
    await admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    packages = Packages(admin, "team", git_repository)
    await packages.register()
    return packages


@pytest.mark.usefixtures("content_api")
async def test_it_is_trusted_and_may_do_its_work(
    admin: KubeClient, packages: Packages, restartable_control_plane: ControlPlane
) -> None:
    async def available() -> bool:
        conditions = (await admin.get(APISERVICES, None, APISERVICE)).get("status", {}).get("conditions", [])
        return any((each["type"], each["status"]) == ("Available", "True") for each in conditions)

    await eventually(available, what="the API server trusts the content API")
    secret = await admin.get(SECRETS, NAMESPACE, f"{SERVICE}-tls")
    service = await admin.get(APISERVICES, None, APISERVICE)
    assert secret["data"]["ca.crt"] == service["spec"]["caBundle"]
    assert base64.b64decode(secret["data"]["tls.crt"]).startswith(b"-----BEGIN CERTIFICATE-----")

    name, _ = await packages.draft()
    found = await admin.get(PACKAGEREVISIONRESOURCES, "team", name)
    assert found["spec"]["resources"] == FILES

    # Applying the manifests again leaves alone what the content API has told.
    kubectl = kubectl_with(restartable_control_plane.kubeconfig)
    apply = ("apply", "--server-side", "--force-conflicts")
    kubectl(*apply, "-f", str(ROOT / "deploy" / "base" / "content-api-certificate.yaml"))
    kubectl(*apply, "-k", str(ROOT / "deploy"), "--selector=app.kubernetes.io/component=aggregated-api")
    assert (await admin.get(APISERVICES, None, APISERVICE))["spec"]["caBundle"] == secret["data"]["ca.crt"]
    assert (await admin.get(SECRETS, NAMESPACE, f"{SERVICE}-tls"))["data"] == secret["data"]
