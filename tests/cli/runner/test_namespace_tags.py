"""Tags that a worker lists with the credentials of namespaces, with the worker's own rights at a real API server."""

from pathlib import Path

import pytest
import yaml

from porchflow.cli.processes.functions.registries import open_tags
from porchflow.cli.settings import Settings
from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.slots import on_behalf_of
from porchflow.kpt.render.versions import Constraint
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import SECRETS
from tests.cli.runner.test_function_runner import ROOT
from tests.conftest import create_namespace
from tests.servers.control_plane import ControlPlane
from tests.servers.registry import docker_config, passwords, running_registry

SECRET, SECRET_TYPE = "porchflow-function-images", "kubernetes.io/dockerconfigjson"
WORKER = "system:serviceaccount:porchflow-system:porchflow-worker"


async def test_a_worker_lists_tags_with_the_credentials_of_the_package(
    kube: KubeClient, control_plane: ControlPlane, registry_binary: Path, tmp_path: Path
) -> None:
    manifests = list(yaml.safe_load_all((ROOT / "deploy/base/worker-rbac.yaml").read_text()))
    manifests = [one for one in manifests if one["kind"] != "ServiceAccount"]
    await control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    a, b = [await create_namespace(kube, {}) for _ in "ab"]
    async with running_registry(registry_binary, tmp_path / "private", auth=passwords(tmp_path)) as registry:
        await registry.push("team-a/tool:v1.2.0", ["/tool"])
        text = docker_config(tmp_path / "config.json", registry.address).read_text()
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": SECRET_TYPE}
        await kube.create(SECRETS, {**secret, "stringData": {".dockerconfigjson": text}}, namespace=a)
        settings = Settings.model_validate(
            {
                "runner_client": {"address": "127.0.0.1:1"},
                "registries": {"insecure_registries": [registry.address], "namespace_registry_secret": SECRET},
            }
        )
        kubeconfig = control_plane.kubeconfig_for(WORKER, ("system:serviceaccounts", "system:authenticated"))
        async with await KubeClient.connect(kubeconfig) as worker, open_tags(settings, worker) as tags:
            for namespace in (a, b, a):
                with on_behalf_of(namespace):
                    asked = tags.tags(registry.image("team-a/tool"), Constraint("^1"))
                    if namespace == a:
                        assert await asked == ["v1.2.0"]
                        continue
                    with pytest.raises(ImageNotFound, match="of the package's namespace"):
                        await asked
