"""Pods of functions that do not start, or go away over a call."""

import asyncio

import pytest

from porchflow.functions.function_errors import FunctionUnavailable, ImageNotFound, RegistryUnavailable
from porchflow.functions.image_facts import ImageInfo
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import NAMESPACES, PODS, PODTEMPLATES
from tests.cli.runner.pods import ANSWER, IMAGE, LIST, Cluster, Evaluator, Images, Slow
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually


async def told(evaluate: Evaluator, *words: str) -> None:
    """Call until a call fails with these words: on a busy machine the first may give up before they are known."""

    async def fails() -> bool:
        with pytest.raises(FunctionUnavailable) as raised:
            await evaluate()
        for each in words:
            assert each in str(raised.value)
        return True

    await eventually(fails)


class TestBadPods:
    @pytest.mark.parametrize(
        ("reason", "message"),
        [
            ("ErrImagePull", "failed to resolve reference: example.com/fn/tool:v1.0: not found"),
            ("ImagePullBackOff", 'Back-off pulling image "example.com/fn/tool:v1.0"'),
            ("InvalidImageName", "couldn't parse image name"),
            ("CrashLoopBackOff", "back-off 10s restarting failed container=function"),
        ],
    )
    async def test_a_bad_image_fails_all_who_wait_at_once(self, cluster: Cluster, reason: str, message: str) -> None:
        cluster.kubelet.problems[IMAGE] = (reason, message)
        async with cluster.evaluator(pod_start_timeout=600) as evaluate:
            answers = await asyncio.gather(*(evaluate() for _ in range(3)), return_exceptions=True)
            for answer in answers:
                assert isinstance(answer, FunctionFailed)
                assert not answer.ran
                assert answer.message.endswith(f"cannot run: container function: {reason}: {message}")
            await cluster.until(lambda pods: not pods)
            # Mended, it works without delay.
            del cluster.kubelet.problems[IMAGE]
            assert await evaluate() == ANSWER

    @pytest.mark.parametrize(
        ("reason", "message"),
        [
            ("ErrImagePull", "failed to pull: dial tcp 10.0.0.1:443: i/o timeout"),
            ("ErrImagePull", "unexpected status code 429 Too Many Requests"),
            ("CreateContainerConfigError", 'secret "token" not found'),
        ],
    )
    async def test_what_is_not_the_images_fault_is_tried_again(
        self, cluster: Cluster, reason: str, message: str
    ) -> None:
        cluster.kubelet.problems[IMAGE] = (reason, message)
        async with cluster.evaluator(pod_start_timeout=600) as evaluate:
            with pytest.raises(FunctionUnavailable) as raised:
                await evaluate()
            assert f"{reason}: {message}" in raised.value.reason

    async def test_an_image_that_the_registry_does_not_have(self, cluster: Cluster) -> None:
        async with cluster.evaluator(pod_start_timeout=600) as evaluate:
            with pytest.raises(ImageNotFound, match=r"the registry example\.com has no such image"):
                await evaluate("example.com/fn/absent:v1")
        assert not cluster.kubelet.started

    async def test_a_registry_that_does_not_answer(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        async def down(_: Images, image: str, owner: str) -> ImageInfo:
            raise RegistryUnavailable(image, "connection refused")

        async with cluster.evaluator() as evaluate:
            await evaluate()
            with monkeypatch.context() as patch:
                patch.setattr(Images, "describe", down)
                with pytest.raises(RegistryUnavailable, match="connection refused"):
                    await evaluate("example.com/fn/other:v1")
                # Pods that run need nobody to ask.
                assert await evaluate() == ANSWER

    async def test_no_room_for_long_is_said(self, cluster: Cluster) -> None:
        cluster.kubelet.no_room = True
        async with cluster.evaluator(pod_start_timeout=1) as evaluate:
            await told(
                evaluate, "no pod was ready within 1 s", "Unschedulable: 0/1 nodes are available: 1 Insufficient"
            )
            # The pod stays: when there is room, it will do.
            assert len(await cluster.pods()) == 1

    async def test_a_kubelet_that_never_starts_it_is_said(self, cluster: Cluster) -> None:
        cluster.kubelet.stopped = True
        async with cluster.evaluator(pod_start_timeout=1) as evaluate:
            await told(evaluate, "it was not started on a node yet")
            [old] = await cluster.names()
            evaluate.clock.passed = 100
            evaluate.pool.collect()
            cluster.kubelet.stopped = False
            await cluster.until(lambda pods: not pods, f"{old} is given up")
        async with cluster.evaluator() as evaluate:
            assert await evaluate() == ANSWER

    async def test_a_pod_that_cannot_be_reached_is_said(self, cluster: Cluster) -> None:
        cluster.kubelet.unreachable = True
        async with cluster.evaluator(pod_start_timeout=2) as evaluate:
            await told(evaluate, "the function runner cannot reach 127.", " port 9446")

    async def test_a_template_without_the_functions_container_is_said(self, cluster: Cluster) -> None:
        spec = {"containers": [{"name": "other", "image": "i"}], "initContainers": [{"name": "copy", "image": "i"}]}
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "base-pod-template"}}
        await cluster.kube.create(PODTEMPLATES, {**template, "template": {"spec": spec}}, namespace=cluster.namespace)
        async with cluster.evaluator() as evaluate:
            with pytest.raises(FunctionUnavailable, match="base-pod-template has no container 'function'"):
                await evaluate()

    async def test_a_namespace_that_does_not_exist_is_said(self, cluster: Cluster) -> None:
        absent = f"{cluster.namespace}-absent"
        async with cluster.evaluator(namespace=absent, pod_start_timeout=1) as evaluate:
            await told(evaluate, "it cannot be created: ", f'namespaces "{absent}" not found')
            await cluster.kube.create(NAMESPACES, {"metadata": {"name": absent}})
            evaluate.pool.collect()
            # It goes on by itself; nobody runs pods there.
            await told(evaluate, "it was not started on a node yet")

    async def test_missing_rights_are_said(self, cluster: Cluster, control_plane: ControlPlane) -> None:
        kubeconfig = control_plane.kubeconfig_for("nobody")
        async with (
            await KubeClient.connect(kubeconfig) as nobody,
            cluster.evaluator(kube=nobody, pod_start_timeout=1) as evaluate,
        ):
            await told(evaluate, "cannot watch pods of functions ", '"nobody" cannot list')

    async def test_a_pod_that_the_api_server_refuses_is_said(self, cluster: Cluster) -> None:
        async with cluster.evaluator() as evaluate:
            evaluate.configure(templateOverrides={"container": {"resources": {"limits": {"memory": "no"}}}})
            with pytest.raises(FunctionUnavailable, match=r"no pod can be created: .*quantities must match"):
                await evaluate()


class TestLostPods:
    async def test_a_call_whose_pod_is_killed_goes_to_another(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator() as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [pod] = cluster.kubelet.pods.values()
            pod.kill()
            await eventually(lambda: slow.begun() == 2)
            slow.go()
            assert await call == LIST
        await cluster.until(lambda pods: [each["metadata"]["name"] for each in pods] != [pod.name])

    async def test_a_deleted_pod_gives_its_call_to_another(self, cluster: Cluster, slow: Slow) -> None:
        """Porch's wrapper server ends at once when it is told to."""
        async with cluster.evaluator(max_parallel_pods_per_function=1) as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [name] = await cluster.names()
            await cluster.kube.delete(PODS, cluster.namespace, name)
            await eventually(lambda: slow.begun() == 2)
            other = evaluate.call()
            await eventually(lambda: slow.begun() == 3)
            slow.go()
            assert await call == await other == LIST
            assert len(cluster.kubelet.started) == 2

    async def test_a_pod_that_vanishes_gives_its_call_to_another(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator() as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [pod] = cluster.kubelet.pods.values()
            # Its node is gone with it: the connection says nothing.
            pod.freeze()
            await cluster.kubelet.remove(pod.name)
            await eventually(lambda: slow.begun() == 2)
            slow.go()
            assert await call == LIST

    async def test_a_function_that_eats_its_pods_memory_fails(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator() as evaluate:
            call = evaluate.call()
            for count in (1, 2):
                await eventually(lambda count=count: slow.begun() == count)
                for pod in list(cluster.kubelet.pods.values()):
                    pod.kill("OOMKilled")
            with pytest.raises(FunctionFailed, match="its pods ran out of memory"):
                await call

    async def test_pods_that_are_always_lost_end_the_attempts(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator() as evaluate:
            call = evaluate.call()
            for count in (1, 2, 3):
                await eventually(lambda count=count: slow.begun() == count)
                for pod in list(cluster.kubelet.pods.values()):
                    pod.kill()
            with pytest.raises(FunctionUnavailable, match=r"was lost: .*; so were 2 others before"):
                await call
