"""The function runner as a process that runs functions in pods: with a real registry and the rights of deploy/."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from porchflow.devstack.processes import free_port
from porchflow.functions.function_errors import FunctionNotFound
from porchflow.functions.slots import on_behalf_of
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import FUNCTIONCONFIGS, NAMESPACES
from tests.cli.runner.test_function_runner import (
    LIST,
    ROOT,
    function_config,
    metrics_at,
    runner,
    settled,
    when_listed,
)
from tests.servers.control_plane import ControlPlane
from tests.servers.kubelet import Kubelet
from tests.servers.registry import Registry, docker_config, passwords, running_registry
from tests.servers.waiting import eventually

ACCOUNT = "system:serviceaccount:porchflow-system:porchflow-function-runner"


@pytest.fixture
async def kubelet(kube: KubeClient, namespace: str, wrapper_binary: Path) -> AsyncIterator[Kubelet]:
    async with Kubelet(kube, namespace, wrapper_binary).running() as kubelet:
        yield kubelet


async def rights(control_plane: ControlPlane, namespace: str) -> Path:
    """Give the runner what deploy/ gives it, in this namespace instead of its own; return its kubeconfig."""
    for file in ("base/function-runner-rbac.yaml", "components/function-pods/rbac.yaml"):
        manifests = yaml.safe_load_all((ROOT / "deploy" / file).read_text())
        moved = [one for one in manifests if one["metadata"]["namespace"] == "porch-fn-system"]
        for manifest in moved:
            manifest["metadata"]["namespace"] = namespace
        await control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(moved))
    return control_plane.kubeconfig_for(ACCOUNT, ("system:serviceaccounts", "system:authenticated"))


def script(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


async def test_images_of_a_registry_run_in_pods(
    kube: KubeClient, namespace: str, control_plane: ControlPlane, registry: Registry, kubelet: Kubelet, tmp_path: Path
) -> None:
    # As deploy/namespaces labels porch-fn-system: pods that may do more would be refused.
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    await kube.merge_patch(NAMESPACES, None, namespace, {"metadata": {"labels": restricted}})
    await registry.push("fn/tool:v1", script(tmp_path, "tool", "sed s/name:.x/name:\\ from-$COLOUR-pod/"))
    overrides = {"container": {"env": [{"name": "COLOUR", "value": "red"}]}}
    config = function_config(namespace, "tool", podExecutor={"templateOverrides": overrides, "tags": ["v1"]})
    config["spec"]["prefixes"] = [registry.image("fn")]
    await kube.create(FUNCTIONCONFIGS, config)
    metrics = f"127.0.0.1:{free_port()}"
    flags = (
        *("--kubeconfig", await rights(control_plane, namespace), "--function-config-namespace", namespace),
        *("--wrapper-server-image", "example.com/wrapper:v1", "--pod-namespace", namespace),
        *("--insecure-registries", registry.address, "--metrics-address", metrics),
    )
    async with runner(*flags) as (evaluate, _):
        await eventually(lambda: kubelet.started, what="a pod ahead of the first use")
        assert b"from-red-pod" in await when_listed(evaluate, registry.image("fn/tool:v1"))
        assert await settled(kube, namespace, "tool") == {"functionRunnerObservedGeneration": 1}
        # Builtin functions go before.
        await evaluate("ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2", LIST)
        with pytest.raises(FunctionNotFound, match="has no such image"):
            await evaluate(registry.image("fn/absent:v1"), LIST)
        await registry.push("fn/other:v1", script(tmp_path, "other", "echo broken >&2; cat; exit 1"))
        with pytest.raises(FunctionFailed, match="stderr: broken"):
            await evaluate(registry.image("fn/other:v1"), LIST)
        counted = await metrics_at(metrics)
        assert counted['porchflow_function_pods{function="tool",state="ready"}'] == 1
        assert counted['porchflow_function_pod_start_seconds_count{function="tool"}'] == 1
        assert counted['porchflow_function_pod_failures_total{function="absent"}'] == 1
        assert counted['porchflow_function_calls_waiting{function="tool"}'] == 0
    assert len(kubelet.started) == 2
    async with runner(*flags) as (evaluate, _):
        assert b"from-red-pod" in await when_listed(evaluate, registry.image("fn/tool:v1"))
    assert len(kubelet.started) == 2, "the pods of the runner before are used"
    async with runner(*flags, "--allowed-images", "registry.example.com/functions") as (evaluate, _):
        with pytest.raises(FunctionNotFound, match=r"only images below \S+/functions may be used here"):
            await when_listed(evaluate, registry.image("fn/tool:v1"))
        await evaluate("ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2", LIST)


async def test_a_private_image_runs_for_its_namespace_alone(
    kube: KubeClient,
    namespace: str,
    control_plane: ControlPlane,
    registry_binary: Path,
    kubelet: Kubelet,
    tmp_path: Path,
) -> None:
    """The runner may read the registry, and the pod is there: neither is a way to another namespace's image."""
    async with running_registry(registry_binary, tmp_path / "private", auth=passwords(tmp_path)) as registry:
        await registry.push("team-a/tool:v1", script(tmp_path, "tool", "sed s/name:.x/name:\\ secret/"))
        credentials = docker_config(tmp_path / "config.json", registry.address)
        flags = (
            *("--kubeconfig", await rights(control_plane, namespace), "--function-config-namespace", namespace),
            *("--wrapper-server-image", "example.com/wrapper:v1", "--pod-namespace", namespace),
            *("--insecure-registries", registry.address, "--registry-credentials", credentials),
            *("--private-images", f"{registry.address}/team-a=team-a"),
        )
        image = registry.image("team-a/tool:v1")
        async with runner(*flags) as (evaluate, _):
            with on_behalf_of("team-a"):
                assert b"name: secret" in await when_listed(evaluate, image)
            for other in ("team-b", ""):
                with on_behalf_of(other), pytest.raises(FunctionNotFound, match=r"/team-a are not for ") as raised:
                    await evaluate(image, LIST)
                with on_behalf_of(other), pytest.raises(FunctionNotFound, match=r"/team-a are not for ") as absent:
                    await evaluate(registry.image("team-a/absent:v1"), LIST)
                told = [str(error.value).replace("absent", "tool") for error in (raised, absent)]
                assert told[0] == told[1], "nor is it told which images there are"
            with on_behalf_of("team-a"):
                assert b"name: secret" in await when_listed(evaluate, image)
    assert len(kubelet.started) == 1
