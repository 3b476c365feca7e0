"""The check of `porchflow doctor` for the Secrets with which namespaces bring credentials for registries."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from porchflow.cli.doctor.findings import Finding, Level
from porchflow.cli.doctor.namespace_registries import check_namespace_registries
from porchflow.cli.settings import Settings
from porchflow.functions.registry.namespaces import SECRET_KEY, SECRET_TYPE
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import SECRETS
from tests.servers.control_plane import ControlPlane

SECRET = "porchflow-function-images"
RBAC = Path(__file__).parents[2] / "deploy/components/namespace-registries/rbac.yaml"


async def put(kube: KubeClient, namespace: str, text: bytes, kind: str = SECRET_TYPE) -> None:
    metadata = {"name": SECRET, "namespace": namespace}
    data = {SECRET_KEY: base64.b64encode(text).decode()}
    await kube.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data})


def settings_for(namespace: str, name: str = SECRET) -> Settings:
    return Settings.model_validate(
        {"scope": {"namespaces": [namespace]}, "registries": {"namespace_registry_secret": name}}
    )


async def one(kube: KubeClient, namespace: str, deployed_in: str = "") -> Finding:
    [finding] = await check_namespace_registries(kube, settings_for(namespace), deployed_in)
    return finding


async def test_without_the_setting_there_is_nothing_to_check(kube: KubeClient, namespace: str) -> None:
    assert await check_namespace_registries(kube, settings_for(namespace, "")) == []


async def test_no_namespace_needs_one(kube: KubeClient, namespace: str) -> None:
    assert (await one(kube, namespace)).message == "no namespace has one"


async def test_a_secret_that_the_runner_may_not_read_is_told(
    kube: KubeClient, namespace: str, control_plane: ControlPlane
) -> None:
    await put(kube, namespace, b'{"auths": {"r.io/a": {"username": "u", "password": "hunter2"}}}')
    assert (await one(kube, namespace)).message == "names r.io/a"
    manifests = [each for each in yaml.safe_load_all(RBAC.read_text()) if each["kind"] == "ClusterRole"]
    await control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    told = await one(kube, namespace, "porchflow-system")
    assert (told.level, told.where) == (Level.WARNING, f"{namespace}/{SECRET}")
    # What it says to do does it.
    await control_plane.kubectl(*told.mend.split()[1:])
    assert (await one(kube, namespace, "porchflow-system")).level == Level.OK


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"text": b'{"auths": {"r.io": {"auth": "hunter2!"}}}'}, "the entry 'r.io' cannot be read"),
        ({"text": b"{}", "kind": "Opaque"}, f"is not of type {SECRET_TYPE}"),
    ],
)
async def test_an_unusable_secret_is_told(kube: KubeClient, namespace: str, content: dict[str, Any], why: str) -> None:
    await put(kube, namespace, **content)
    told = await one(kube, namespace)
    assert told.level == Level.FAILURE
    assert why in told.message
    assert "hunter2" not in told.message


async def test_a_user_who_may_not_list_secrets_is_told_so(namespace: str, control_plane: ControlPlane) -> None:
    async with await KubeClient.connect(control_plane.kubeconfig_for("somebody")) as kube:
        assert (await one(kube, namespace)).level == Level.WARNING
