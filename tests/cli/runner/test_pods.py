"""Functions in pods: the evaluator on the real API server, each pod Porch's own wrapper server."""

import asyncio
import logging
from pathlib import Path

import pytest

from porchflow.functions.function_errors import FunctionUnavailable
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import NAMESPACES, PODTEMPLATES
from tests.cli.runner.pods import ANSWER, IMAGE, LIST, Cluster, Evaluator, Images, Slow
from tests.servers.control_plane import ControlPlane
from tests.servers.kubelet import Kubelet
from tests.servers.waiting import eventually


class TestOnePod:
    async def test_it_is_started_and_used_again(self, cluster: Cluster) -> None:
        async with cluster.evaluator() as evaluate:
            assert await evaluate() == ANSWER
            assert await evaluate() == ANSWER
        [name] = await cluster.names()
        assert name.startswith("tool-v10-1-")
        template = await cluster.kube.get(PODTEMPLATES, cluster.namespace, "base-pod-template")
        [pod] = await cluster.pods()
        metadata = pod["metadata"]
        assert metadata["labels"] == {"fn.kpt.dev/image": name, "app.kubernetes.io/managed-by": "porchflow"}
        assert metadata["annotations"]["fn.kpt.dev/template-version"] == template["metadata"]["resourceVersion"]
        [function] = pod["spec"]["containers"]
        assert function["image"] == IMAGE
        assert function["command"] == ["/wrapper-server-tools/wrapper-server"]
        options = ["--port", "9446", "--max-request-body-size", str(6 * 1024 * 1024), "--"]
        assert function["args"] == [*options, *cluster.images.known[IMAGE].command]
        assert pod["spec"]["initContainers"][0]["image"] == "example.com/wrapper:v1"

    async def test_many_first_calls_start_as_many_pods_as_allowed(self, cluster: Cluster) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=3) as evaluate:
            answers = await asyncio.gather(*(evaluate() for _ in range(20)))
        assert set(answers) == {ANSWER}
        assert cluster.kubelet.most == 3

    async def test_a_function_that_fails_says_why(self, cluster: Cluster) -> None:
        cluster.images.add(IMAGE, "cat; echo bad input >&2; exit 1")
        async with cluster.evaluator() as evaluate:
            with pytest.raises(FunctionFailed, match=r"failed to evaluate function .* and stderr: bad input") as failed:
                await evaluate()
            assert failed.value.stderr == "bad input"

    async def test_a_function_that_overstays_its_time_is_killed(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator() as evaluate:
            with pytest.raises(FunctionFailed, match=r"was killed after 0\.5 s"):
                # Starting the pod may take longer: that has a limit of its own.
                await _after_start(evaluate, cluster, slow, time_limit=0.5)

    async def test_an_answer_that_is_too_large_is_said(self, cluster: Cluster) -> None:
        cluster.images.add(IMAGE, "cat; printf '# %050000d' 0")
        async with cluster.evaluator(max_message_size=20_000) as evaluate:
            with pytest.raises(FunctionFailed, match=r"the answer of function .* is too large"):
                await evaluate()


async def _after_start(evaluate: Evaluator, cluster: Cluster, slow: Slow, time_limit: float) -> None:
    first = evaluate.call()
    await eventually(lambda: slow.begun() == 1)
    try:
        await evaluate(time_limit=time_limit)
    finally:
        slow.go()
        await first


class TestScale:
    async def test_up_to_the_limit_and_not_above(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=2, max_waitlist_length=2) as evaluate:
            calls = [evaluate.call() for _ in range(2)]
            await eventually(lambda: slow.begun() == 2)
            assert len(await cluster.pods()) == 1
            calls += [evaluate.call() for _ in range(6)]
            await eventually(lambda: slow.begun() == 8)
            assert len(await cluster.pods()) == 2
            loads = sorted(pod.calls for group in evaluate.pool.groups() for pod in group.pods.values())
            assert loads == [4, 4]
            slow.go()
            assert set(await asyncio.gather(*calls)) == {LIST}
        assert cluster.kubelet.most == 2

    async def test_a_function_config_has_limits_of_its_own(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=1) as evaluate:
            evaluate.configure(maxParallelExecutions=3, preferredMaxQueueLength=1)
            calls = [evaluate.call() for _ in range(4)]
            await eventually(lambda: slow.begun() == 4)
            assert len(await cluster.pods()) == 3
            evaluate.configure(maxParallelExecutions=2, preferredMaxQueueLength=1)
            slow.go()
            await asyncio.gather(*calls)
            await cluster.collected(evaluate, lambda pods: len(pods) == 2, "the surplus pod is deleted")

    async def test_who_waits_for_another_pod_takes_what_is_free_sooner(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=2) as evaluate:
            first = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            cluster.kubelet.stopped = True
            second = evaluate.call()
            await cluster.until(lambda pods: len(pods) == 2)
            slow.go()
            assert await first == await second == LIST
            cluster.kubelet.stopped = False

    async def test_without_room_for_another_pod_the_first_does_it(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=2) as evaluate:
            first = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            cluster.kubelet.no_room = True
            second = evaluate.call()
            await eventually(lambda: slow.begun() == 2)
            slow.go()
            await asyncio.gather(first, second)

    async def test_a_cancelled_call_lets_go_of_its_place(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=1) as evaluate:
            cluster.kubelet.stopped = True
            waiting = evaluate.call()
            await cluster.until(lambda pods: len(pods) == 1)
            [group] = evaluate.pool.groups()
            assert group.waiting == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert group.waiting == 0

    async def test_a_cancelled_call_ends_in_its_pod(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=1) as evaluate:
            running = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [group] = evaluate.pool.groups()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert [pod.calls for pod in group.pods.values()] == [0]
            [pod] = cluster.kubelet.pods.values()
            await eventually(lambda: not pod.children())


async def test_pods_go_on_without_the_api_server(
    restartable_control_plane: ControlPlane, wrapper_binary: Path, tmp_path: Path
) -> None:
    plane, other = restartable_control_plane, "example.com/fn/other:v1"
    images = Images(tmp_path)
    for image in (IMAGE, other):
        images.add(image, "sed s/x/y/")
    async with await KubeClient.connect(plane.kubeconfig) as kube:
        await kube.create(NAMESPACES, {"metadata": {"name": "pods"}})
        async with (
            Kubelet(kube, "pods", wrapper_binary).running() as kubelet,
            Cluster(kube, "pods", kubelet, images).evaluator() as evaluate,
        ):
            assert await evaluate() == ANSWER
            await plane.stop_apiserver()
            assert await evaluate() == ANSWER
            with pytest.raises(FunctionUnavailable, match="no pod can be created: pods pods/other-v1-1"):
                await evaluate(other)
            await plane.start_apiserver()
            assert await evaluate(other) == ANSWER


async def test_nothing_is_logged_but_what_happened(cluster: Cluster, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "porchflow.functions.pods"):
        async with cluster.evaluator() as evaluate:
            await asyncio.gather(*(evaluate() for _ in range(3)))
    assert [record.message.partition(" ")[0] for record in caplog.records] == ["started", "started"]
