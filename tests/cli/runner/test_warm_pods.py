"""Pods ahead of their use that cannot be had: the status of their FunctionConfig says why, until they are there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from porchflow.cli.processes.functions.function_configs import ConfigFollower
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.executable import ExecutableRuntime
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import FUNCTIONCONFIGS, PODTEMPLATES, Resource
from porchflow.kube.watching import WatchState
from tests.cli.runner.pods import IMAGE, Cluster, Evaluator
from tests.cli.runner.test_function_runner import function_config
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
WARM = {"prefixes": ["example.com/fn"], "podExecutor": {"tags": ["v1.0"]}}
OURS = f"podExecutor: no pod is ready ahead of its use: {IMAGE}: "
PULL = ("ErrImagePull", "failed to resolve reference: not found")


class Followed:
    """The FunctionConfigs of a cluster, and what is said of them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def add(self, name: str = "tool", **spec: Any) -> None:
        await self.cluster.kube.create(FUNCTIONCONFIGS, function_config(self.cluster.namespace, name, **spec))

    async def change(self, name: str = "tool", **spec: Any) -> None:
        await self.cluster.kube.merge_patch(FUNCTIONCONFIGS, self.cluster.namespace, name, {"spec": spec})

    async def get(self, name: str = "tool") -> Object:
        return await self.cluster.kube.get(FUNCTIONCONFIGS, self.cluster.namespace, name)

    async def says(self, *words: str, name: str = "tool") -> str:
        """Wait until the newest version has an error with these words; without any, until it has none."""

        async def said() -> str | None:
            obj = await self.get(name)
            status = obj.get("status") or {}
            error: str = status.get("error", "")
            taken = status.get("functionRunnerObservedGeneration") == obj["metadata"]["generation"]
            assert taken, status
            assert bool(error) == bool(words), error
            assert all(word in error for word in words), error
            return error or "no error"

        return str(await eventually(said, 30))


@asynccontextmanager
async def runner(
    cluster: Cluster, executables: ExecutableRuntime | None = None, **settings: Any
) -> AsyncIterator[Evaluator]:
    """A function runner's part that has pods and follows the FunctionConfigs."""
    async with cluster.evaluator(**settings) as evaluate:
        follower = ConfigFollower(
            cluster.kube,
            cluster.namespace,
            evaluate.configs,
            executables,
            WatchState("FunctionConfigs"),
            pods=evaluate.pool,
        )
        task = asyncio.create_task(follower.run())
        try:
            yield evaluate
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def followed(cluster: Cluster) -> Followed:
    return Followed(cluster)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runner try again as soon as it looks."""
    monkeypatch.setattr("porchflow.functions.pods.pool._FIRST_BLOCK", 0.0)


@pytest.mark.usefixtures("at_once")
async def test_an_image_that_cannot_be_pulled_is_said_until_it_can(cluster: Cluster, followed: Followed) -> None:
    cluster.kubelet.problems[IMAGE] = PULL
    await followed.add(**WARM)
    async with runner(cluster) as evaluate:
        said = await followed.says(OURS, f"container function: {': '.join(PULL)}")
        # Once, not for each of the words around it.
        assert said.count(IMAGE) == 1
        del cluster.kubelet.problems[IMAGE]
        await cluster.collected(evaluate, lambda pods: bool(pods) and "podIP" in pods[0].get("status", {}))
        await followed.says()


@pytest.mark.usefixtures("at_once")
async def test_an_image_that_no_registry_has_is_said_until_its_tag_is_mended(
    cluster: Cluster, followed: Followed
) -> None:
    await followed.add(prefixes=["example.com/fn"], podExecutor={"tags": ["v1.0", "v9", "v8"]})
    async with runner(cluster):
        said = await followed.says("example.com/fn/tool:v8: the registry example.com has no such image", "tool:v9: ")
        assert IMAGE not in said
        await followed.change(podExecutor={"tags": ["v1.0"]})
        await followed.says()


async def test_tags_that_stand_for_nothing_are_said_and_the_others_are_warmed(
    cluster: Cluster, followed: Followed
) -> None:
    tags = ["v1.0", "*", ">= v0.4.0 < v0.5.0", "no tag"]
    await followed.add(prefixes=["example.com/fn"], podExecutor={"tags": tags})
    async with runner(cluster):
        said = await followed.says("podExecutor.tags: 'no tag': neither a tag nor a constraint on versions: ")
        assert ">= v0.4.0 < v0.5.0', '~0.4'" in said
        await cluster.until(lambda pods: len(pods) == 1)
        await followed.change(podExecutor={"tags": tags[:-1]})
        await followed.says()
        assert len(await cluster.names()) == 1


@pytest.mark.usefixtures("at_once")
async def test_a_full_quota_is_said_until_there_is_room(cluster: Cluster, followed: Followed) -> None:
    kube, namespace = cluster.kube, cluster.namespace
    full = {"hard": {"pods": "0"}, "used": {"pods": "0"}}
    await kube.create(QUOTAS, {"metadata": {"name": "few"}, "spec": {"hard": full["hard"]}}, namespace=namespace)
    await kube.merge_patch(QUOTAS, namespace, "few", {"status": full}, subresource="status")
    await followed.add(**WARM)
    async with runner(cluster) as evaluate:
        await followed.says(OURS, "no pod can be created: ", "exceeded quota: few, requested: pods=1")
        await kube.delete(QUOTAS, namespace, "few")
        await cluster.collected(evaluate, lambda pods: len(pods) == 1)
        await followed.says()


async def test_a_change_that_may_mend_it_is_tried_at_once(cluster: Cluster, followed: Followed) -> None:
    def limited(memory: str) -> dict[str, Any]:
        resources = {"requests": {"memory": "64Mi"}, "limits": {"memory": memory}}
        return {"tags": ["v1.0"], "templateOverrides": {"container": {"resources": resources}}}

    await followed.add(prefixes=["example.com/fn"], podExecutor=limited("32Mi"))
    async with runner(cluster):
        await followed.says(OURS, "must be less than or equal to memory limit")
        await followed.change(podExecutor=limited("128Mi"))
        await followed.says()


async def test_no_room_on_the_nodes_is_said_until_there_is(cluster: Cluster, followed: Followed) -> None:
    cluster.kubelet.no_room = True
    await followed.add(**WARM)
    async with runner(cluster):
        await followed.says(OURS, "Unschedulable: 0/1 nodes are available: 1 Insufficient memory.")
        cluster.kubelet.no_room = False
        [name] = await cluster.names()
        await cluster.kubelet.remove(name)
        patch = {"template": {"spec": {"priorityClassName": "system-node-critical"}}}
        await cluster.kube.merge_patch(PODTEMPLATES, cluster.namespace, "base-pod-template", patch)
        await followed.says()


async def test_a_pod_that_nobody_starts_or_reaches_is_said_after_a_while(cluster: Cluster, followed: Followed) -> None:
    cluster.kubelet.unreachable = True
    await followed.add(**WARM)
    async with runner(cluster, pod_start_timeout=30) as evaluate:
        await cluster.until(lambda pods: bool(pods) and "podIP" in pods[0].get("status", {}))
        evaluate.pool.collect()
        # Not yet: it may still be on its way.
        await followed.says()
        evaluate.clock.passed = 31
        evaluate.pool.collect()
        await followed.says(OURS, "it runs, but the function runner cannot reach 127.")


async def test_missing_rights_are_said(cluster: Cluster, followed: Followed, control_plane: ControlPlane) -> None:
    await followed.add(**WARM)
    async with (
        await KubeClient.connect(control_plane.kubeconfig_for("nobody")) as nobody,
        runner(cluster, kube=nobody) as evaluate,
    ):

        async def said() -> bool:
            evaluate.pool.collect()
            return '"nobody" cannot list' in ((await followed.get()).get("status") or {}).get("error", "")

        await eventually(said)


@pytest.mark.usefixtures("at_once")
async def test_what_was_said_stands_until_the_next_runner_knows_better(cluster: Cluster, followed: Followed) -> None:
    cluster.kubelet.problems[IMAGE] = PULL
    await followed.add(**WARM)
    async with runner(cluster):
        await followed.says(*PULL)
    before = (await followed.get())["metadata"]["resourceVersion"]
    await cluster.until(lambda pods: not pods)
    cluster.kubelet.stopped = True
    async with runner(cluster) as evaluate:
        await cluster.until(lambda pods: len(pods) == 1)
        assert (await followed.get())["metadata"]["resourceVersion"] == before
        cluster.kubelet.stopped = False
        # Somebody has mended the image.
        del cluster.kubelet.problems[IMAGE]
        await cluster.kubelet.remove((await cluster.names())[0])
        await evaluate()
        await followed.says()


async def test_runners_that_see_it_differently_do_not_write_in_turns(
    cluster: Cluster, followed: Followed, tmp_path: Path
) -> None:
    tool = tmp_path / "old"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    executables = ExecutableRuntime(tmp_path, FunctionConfigs(), slots=1, max_output=1)
    await followed.add("old", binaryExecutor={"tags": ["v1"], "path": "old"})
    async with runner(cluster, executables), runner(cluster):
        await _both_took_up(followed, "one")
        before = (await followed.get("old"))["metadata"]["resourceVersion"]
        for name in ("two", "three", "four"):
            await _both_took_up(followed, name)
        assert (await followed.get("old"))["metadata"]["resourceVersion"] == before


async def _both_took_up(followed: Followed, name: str) -> None:
    await followed.add(name, goExecutor={"tags": ["v1"], "id": "set-labels"})
    await followed.says(name=name)
