"""Pods of images that a namespace's own credentials open, on a real API server."""

import pytest

from porchflow.cli.processes.functions.function_pods import KubeCluster
from porchflow.functions.function_errors import FunctionUnavailable
from porchflow.functions.pods.pull_secrets import PullSecret, waits_for_secret
from porchflow.functions.pods.template import OWNER_ANNOTATION, Wrapper, compose, default_template
from porchflow.functions.slots import on_behalf_of
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PODTEMPLATES, SECRETS
from tests.cli.runner.pods import ANSWER, IMAGE, Cluster, Evaluator
from tests.cli.runner.test_function_runner_pods import rights
from tests.servers.control_plane import ControlPlane

WRAPPER = "example.com/wrapper:v1"


def _owners(pods: list[Object]) -> list[str]:
    return sorted(pod["metadata"]["annotations"].get(OWNER_ANNOTATION, "") for pod in pods)


async def _call(evaluate: Evaluator, namespace: str) -> bytes:
    with on_behalf_of(namespace):
        return await evaluate()


async def test_a_pod_serves_its_owner_alone(cluster: Cluster) -> None:
    cluster.images.own = {(namespace, IMAGE): '{"auths": {}}' for namespace in ("a", "b")}
    wanted = [""]
    async with cluster.evaluator() as evaluate:
        for namespace in ("", "a", "c", "b"):
            assert await _call(evaluate, namespace) == ANSWER
            wanted = sorted({*wanted, *({namespace} & {"a", "b"})})
            assert _owners(await cluster.pods()) == wanted
    # The next runner finds them all, and knows whose they are.
    async with cluster.evaluator() as evaluate:
        for namespace in ("b", "a", "c", ""):
            assert await _call(evaluate, namespace) == ANSWER
    assert _owners(await cluster.pods()) == ["", "a", "b"]
    assert len(cluster.kubelet.started) == 3


async def test_what_no_longer_is_a_namespaces_own_is_no_way_to_its_pods(cluster: Cluster) -> None:
    cluster.images.own = {("a", IMAGE): '{"auths": {}}'}
    async with cluster.evaluator() as evaluate:
        await _call(evaluate, "a")
        cluster.images.own = {}
        await _call(evaluate, "a")
    assert _owners(await cluster.pods()) == ["", "a"]


async def test_a_pod_without_its_secret_does_not_stay(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    """These rights lack the one to create Secrets."""
    cluster.images.own = {("a", IMAGE): '{"auths": {}}'}
    kubeconfig = await rights(control_plane, namespace)
    async with await KubeClient.connect(kubeconfig) as kube, cluster.evaluator(kube=kube) as evaluate:
        with pytest.raises(FunctionUnavailable, match=r"no pod can be created: .*secrets"):
            await _call(evaluate, "a")
        assert await _call(evaluate, "") == ANSWER
        await cluster.until(lambda pods: _owners(pods) == [""], "the pod without a Secret gone")
    assert not [secret async for secret in cluster.kube.list_all(SECRETS, namespace)]


async def test_a_pod_that_lost_its_runner_before_its_secret_came_is_replaced(cluster: Cluster) -> None:
    cluster.images.own = {("a", IMAGE): '{"auths": {}}'}
    template = await cluster.kube.create(
        PODTEMPLATES, default_template(WRAPPER), namespace=cluster.namespace, field_manager="test"
    )
    info = await cluster.images.describe(IMAGE)
    wrapper = Wrapper(WRAPPER, 6 * 1024 * 1024)
    pod = compose(template, None, wrapper, image=IMAGE, info=info, number=1, owner="a")
    assert PullSecret.of(pod, "{}") is not None
    left = await KubeCluster(cluster.kube, cluster.namespace).create_pod(pod)
    assert waits_for_secret(left)
    async with cluster.evaluator() as evaluate:
        assert await _call(evaluate, "") == ANSWER
        evaluate.pool.collect()
        assert len(await cluster.pods()) == 2, "its runner may be about to create the Secret"
        evaluate.clock.passed = 31
        await cluster.collected(evaluate, lambda pods: _owners(pods) == [""], "the pod that waits gone")
        assert await _call(evaluate, "a") == ANSWER
