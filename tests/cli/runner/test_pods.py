"""Functions in pods: the evaluator on the real API server, each pod Porch's own wrapper server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from functions.errors import FunctionUnavailable, ImageNotFound, RegistryUnavailable
from functions.pods.images import ImageInfo
from kpt.errors import FunctionFailed
from kube.client import KubeClient
from kube.resources import NAMESPACES, PODS, PODTEMPLATES
from tests.cli.runner.pods import IMAGE, LIST, Cluster, Evaluator, Images
from tests.servers.control_plane import ControlPlane
from tests.servers.kubelet import Kubelet
from tests.servers.waiting import eventually

ANSWER = LIST.replace(b"x", b"y")
HANGS = "cat > {0}/in.$$; mv {0}/in.$$ {0}/began.$$; while [ ! -e {0}/go ]; do sleep 0.05; done; cat {0}/began.$$"
"""A function that says that it began, and ends when it is told to."""


@pytest.fixture
async def cluster(kube: KubeClient, namespace: str, wrapper_binary: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Kubelet(kube, namespace, wrapper_binary).running() as kubelet:
        images = Images(tmp_path)
        images.add(IMAGE, "sed s/x/y/")
        yield Cluster(kube, namespace, kubelet, images)


class Slow:
    """An image whose function ends when told; counts the calls that have begun."""

    def __init__(self, images: Images, folder: Path, image: str = IMAGE) -> None:
        self._folder = folder / "slow"
        self._folder.mkdir()
        images.add(image, HANGS.format(self._folder))

    def begun(self) -> int:
        return len(list(self._folder.glob("began.*")))

    def go(self) -> None:
        (self._folder / "go").touch()


@pytest.fixture
def slow(cluster: Cluster, tmp_path: Path) -> Slow:
    return Slow(cluster.images, tmp_path)


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
        async with cluster.evaluator(max_pods=3) as evaluate:
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
        async with cluster.evaluator(max_pods=2, max_queue=2) as evaluate:
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
        async with cluster.evaluator(max_pods=1) as evaluate:
            evaluate.configure(maxParallelExecutions=3, preferredMaxQueueLength=1)
            calls = [evaluate.call() for _ in range(4)]
            await eventually(lambda: slow.begun() == 4)
            assert len(await cluster.pods()) == 3
            evaluate.configure(maxParallelExecutions=2, preferredMaxQueueLength=1)
            slow.go()
            await asyncio.gather(*calls)
            await cluster.collected(evaluate, lambda pods: len(pods) == 2, "the surplus pod is deleted")

    async def test_who_waits_for_another_pod_takes_what_is_free_sooner(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_pods=2) as evaluate:
            first = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            cluster.kubelet.stopped = True
            second = evaluate.call()
            await cluster.until(lambda pods: len(pods) == 2)
            slow.go()
            assert await first == await second == LIST
            cluster.kubelet.stopped = False

    async def test_without_room_for_another_pod_the_first_does_it(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_pods=2) as evaluate:
            first = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            cluster.kubelet.no_room = True
            second = evaluate.call()
            await eventually(lambda: slow.begun() == 2)
            slow.go()
            await asyncio.gather(first, second)

    async def test_a_cancelled_call_lets_go_of_its_place(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_pods=1) as evaluate:
            cluster.kubelet.stopped = True
            waiting = evaluate.call()
            await cluster.until(lambda pods: len(pods) == 1)
            [group] = evaluate.pool.groups()
            assert group.waiting == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert group.waiting == 0

    async def test_a_cancelled_call_ends_in_its_pod(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_pods=1) as evaluate:
            running = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [group] = evaluate.pool.groups()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            assert [pod.calls for pod in group.pods.values()] == [0]
            [pod] = cluster.kubelet.pods.values()
            await eventually(lambda: not pod.children())


class TestLifetime:
    async def test_an_unused_pod_is_deleted_after_its_time(self, cluster: Cluster) -> None:
        async with cluster.evaluator(time_to_live=600) as evaluate:
            await evaluate()
            evaluate.clock.passed = 590
            evaluate.pool.collect()
            await evaluate()
            evaluate.clock.passed = 1180
            evaluate.pool.collect()
            assert await evaluate() == ANSWER
            assert len(cluster.kubelet.started) == 1
            evaluate.clock.passed = 1800
            await cluster.collected(evaluate, lambda pods: not pods)
            assert await evaluate() == ANSWER
            assert len(cluster.kubelet.started) == 2

    async def test_a_function_config_has_a_time_of_its_own(self, cluster: Cluster) -> None:
        async with cluster.evaluator(time_to_live=600) as evaluate:
            evaluate.configure(timeToLive="1h30m")
            await evaluate()
            evaluate.clock.passed = 5000
            evaluate.pool.collect()
            await evaluate()
            assert len(cluster.kubelet.started) == 1
            evaluate.clock.passed = 11000
            await cluster.collected(evaluate, lambda pods: not pods)

    async def test_a_pod_in_use_is_not_deleted_however_long(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(time_to_live=600) as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            evaluate.clock.passed = 10_000
            evaluate.pool.collect()
            evaluate.pool.collect()
            # It is also written down, for other runners.
            await cluster.until(lambda pods: _used(pods) > evaluate.clock() - 100)
            slow.go()
            assert await call == LIST

    async def test_listed_tags_get_a_pod_ahead_and_keep_it(self, cluster: Cluster) -> None:
        cluster.images.add("example.com/fn/tool:v2", "sed s/x/z/")
        async with cluster.evaluator(time_to_live=600, max_pods=2) as evaluate:
            evaluate.configure(tags=["v1.0", "v2"])
            await cluster.until(lambda pods: len(pods) == 2)
            # The kubelet hears of a pod a moment after it is there.
            await eventually(lambda: sorted(cluster.kubelet.started) == [IMAGE, "example.com/fn/tool:v2"])
            await asyncio.gather(*(evaluate() for _ in range(10)))
            await eventually(lambda: all(group.usable and not group.coming for group in evaluate.pool.groups()))
            evaluate.clock.passed = 10_000
            await cluster.collected(evaluate, lambda pods: len(pods) == 2)
            assert {name[:9] for name in await cluster.names()} == {"tool-v10-", "tool-v2-1"}

    async def test_no_pod_is_started_ahead_for_what_runs_elsewhere(self, cluster: Cluster) -> None:
        async with cluster.evaluator(default_image_prefix="example.com/fn") as evaluate:
            evaluate.configure("set-labels", tags=["v0.2"])
            evaluate.configure(tags=["v1.0"])
            await cluster.until(lambda pods: len(pods) == 1)
            await eventually(lambda: bool(cluster.kubelet.started))
        assert cluster.kubelet.started == [IMAGE]


def _used(pods: list[dict[str, object]]) -> float:
    [pod] = pods
    return float(pod["metadata"]["annotations"].get("porchflow.dev/last-used", 0))  # type: ignore[index]


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
        async with cluster.evaluator(start_timeout=600) as evaluate:
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
        async with cluster.evaluator(start_timeout=600) as evaluate:
            with pytest.raises(FunctionUnavailable) as raised:
                await evaluate()
            assert f"{reason}: {message}" in raised.value.reason

    async def test_an_image_that_the_registry_does_not_have(self, cluster: Cluster) -> None:
        async with cluster.evaluator(start_timeout=600) as evaluate:
            with pytest.raises(ImageNotFound, match=r"the registry example\.com has no such image"):
                await evaluate("example.com/fn/absent:v1")
        assert not cluster.kubelet.started

    async def test_a_registry_that_does_not_answer(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        async def down(_: Images, image: str) -> ImageInfo:
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
        async with cluster.evaluator(start_timeout=1) as evaluate:
            with pytest.raises(FunctionUnavailable, match="no pod was ready within 1 s") as raised:
                await evaluate()
            assert "Unschedulable: 0/1 nodes are available: 1 Insufficient memory." in raised.value.reason
            # The pod stays: when there is room, it will do.
            assert len(await cluster.pods()) == 1

    async def test_a_kubelet_that_never_starts_it_is_said(self, cluster: Cluster) -> None:
        cluster.kubelet.stopped = True
        async with cluster.evaluator(start_timeout=1) as evaluate:
            with pytest.raises(FunctionUnavailable, match="it was not started on a node yet"):
                await evaluate()
            [old] = await cluster.names()
            evaluate.clock.passed = 100
            evaluate.pool.collect()
            cluster.kubelet.stopped = False
            await cluster.until(lambda pods: not pods, f"{old} is given up")
        async with cluster.evaluator() as evaluate:
            assert await evaluate() == ANSWER

    async def test_a_pod_that_cannot_be_reached_is_said(self, cluster: Cluster) -> None:
        cluster.kubelet.unreachable = True
        async with cluster.evaluator(start_timeout=2) as evaluate:
            with pytest.raises(FunctionUnavailable, match=r"the function runner cannot reach 127\.\S+ port 9446"):
                await evaluate()

    async def test_a_template_without_the_functions_container_is_said(self, cluster: Cluster) -> None:
        spec = {"containers": [{"name": "other", "image": "i"}], "initContainers": [{"name": "copy", "image": "i"}]}
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "base-pod-template"}}
        await cluster.kube.create(PODTEMPLATES, {**template, "template": {"spec": spec}}, namespace=cluster.namespace)
        async with cluster.evaluator() as evaluate:
            with pytest.raises(FunctionUnavailable, match="base-pod-template has no container 'function'"):
                await evaluate()

    async def test_a_namespace_that_does_not_exist_is_said(self, cluster: Cluster) -> None:
        absent = f"{cluster.namespace}-absent"
        async with cluster.evaluator(namespace=absent, start_timeout=1) as evaluate:
            with pytest.raises(FunctionUnavailable, match=f'it cannot be created: .*namespaces "{absent}" not found'):
                await evaluate()
            await cluster.kube.create(NAMESPACES, {"metadata": {"name": absent}})
            evaluate.pool.collect()
            with pytest.raises(FunctionUnavailable, match="it was not started on a node yet"):
                # It goes on by itself; nobody runs pods there.
                await evaluate()

    async def test_missing_rights_are_said(self, cluster: Cluster, control_plane: ControlPlane) -> None:
        kubeconfig = control_plane.kubeconfig_for("nobody")
        async with (
            await KubeClient.connect(kubeconfig) as nobody,
            cluster.evaluator(kube=nobody, start_timeout=1) as evaluate,
        ):
            with pytest.raises(FunctionUnavailable, match=r'cannot watch pods of functions .*"nobody" cannot list'):
                await evaluate()

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
        async with cluster.evaluator(max_pods=1) as evaluate:
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


class TestRestart:
    async def test_pods_are_adopted(self, cluster: Cluster) -> None:
        async with cluster.evaluator() as evaluate:
            await evaluate()
        async with cluster.evaluator() as evaluate:
            assert await evaluate() == ANSWER
        assert len(cluster.kubelet.started) == 1

    async def test_the_surplus_is_deleted(self, cluster: Cluster) -> None:
        async with cluster.evaluator(max_pods=3) as evaluate:
            await asyncio.gather(*(evaluate() for _ in range(9)))
        async with cluster.evaluator(max_pods=1) as evaluate:
            await evaluate()
            await cluster.collected(evaluate, lambda pods: len(pods) == 1)

    async def test_two_runners_share_the_pods(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_pods=2) as one, cluster.evaluator(max_pods=2) as other:
            calls = [evaluate.call() for evaluate in (one, other) for _ in range(5)]
            await eventually(lambda: slow.begun() == 10)
            slow.go()
            assert set(await asyncio.gather(*calls)) == {LIST}
            one.pool.collect()
            other.pool.collect()
            assert len(await cluster.pods()) == 2
        assert cluster.kubelet.most == 2

    async def test_what_one_runner_uses_no_other_deletes(self, cluster: Cluster) -> None:
        async with cluster.evaluator(time_to_live=600) as one, cluster.evaluator(time_to_live=600) as other:
            await one()
            await other()
            one.clock.passed = other.clock.passed = 590
            await one()
            await eventually(
                lambda: max(p.used_at for g in other.pool.groups() for p in g.pods.values()) > other.clock() - 60
            )
            other.clock.passed = 700
            other.pool.collect()
            other.pool.collect()
            assert await one() == ANSWER
        assert len(cluster.kubelet.started) == 1

    async def test_runners_with_other_settings_leave_each_others_pods_alone(self, cluster: Cluster) -> None:
        async with cluster.evaluator(wrapper_image="w:1") as one, cluster.evaluator(wrapper_image="w:2") as other:
            for _ in range(3):
                assert await one() == await other() == ANSWER
                one.pool.collect()
                other.pool.collect()
            assert len(cluster.kubelet.started) == 2
            one.clock.passed = 10_000
            await cluster.collected(one, lambda pods: not pods, "long unused, anybody's pods are deleted")


class TestChanges:
    async def test_overrides_reach_the_pod_and_changes_replace_it(self, cluster: Cluster) -> None:
        cluster.images.add(IMAGE, 'cat; echo "# $COLOUR"')
        async with cluster.evaluator() as evaluate:
            colours = [{"name": "COLOUR", "value": "red"}]
            evaluate.configure(
                templateOverrides={
                    "serviceAccountName": "robot",
                    "securityContext": {"runAsNonRoot": True},
                    "initContainer": {"resources": {"limits": {"memory": "32Mi"}}},
                    "container": {"env": colours, "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}},
                }
            )
            assert (await evaluate()).endswith(b"# red\n")
            [pod] = await cluster.pods()
            assert pod["spec"]["serviceAccountName"] == "robot"
            assert pod["spec"]["automountServiceAccountToken"] is True
            assert pod["spec"]["securityContext"] == {"runAsNonRoot": True}
            assert pod["spec"]["initContainers"][0]["resources"]["limits"] == {"memory": "32Mi"}
            [function] = pod["spec"]["containers"]
            assert function["resources"]["limits"] == {"cpu": "500m", "memory": "64Mi"}
            assert function["env"] == colours

            evaluate.configure(templateOverrides={"container": {"env": [{"name": "COLOUR", "value": "blue"}]}})
            assert (await evaluate()).endswith(b"# blue\n")
            await cluster.until(lambda pods: len(pods) == 1)

    async def test_a_pod_with_a_call_is_replaced_after_it(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator() as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [old] = await cluster.names()
            evaluate.configure(templateOverrides={"serviceAccountName": "robot"})
            other = evaluate.call()
            await eventually(lambda: slow.begun() == 2)
            assert old in await cluster.names()
            slow.go()
            assert await call == await other == LIST
            await cluster.until(lambda pods: old not in [pod["metadata"]["name"] for pod in pods])

    async def test_a_runner_that_stops_deletes_what_its_last_call_had_outdated(
        self, cluster: Cluster, slow: Slow
    ) -> None:
        async with cluster.evaluator() as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            evaluate.configure(templateOverrides={"serviceAccountName": "robot"})
            slow.go()
            assert await call == LIST
        assert not await cluster.names()

    async def test_a_changed_template_replaces_the_pods(self, cluster: Cluster) -> None:
        async with cluster.evaluator() as evaluate:
            await evaluate()
            [before] = await cluster.names()
            patch = {"template": {"spec": {"priorityClassName": "system-node-critical"}}}
            await cluster.kube.merge_patch(PODTEMPLATES, cluster.namespace, "base-pod-template", patch)
            await cluster.until(lambda pods: before not in [pod["metadata"]["name"] for pod in pods])
            await evaluate()
            [pod] = await cluster.pods()
            assert pod["spec"]["priorityClassName"] == "system-node-critical"
            # A template that is deleted is made anew.
            await cluster.kube.delete(PODTEMPLATES, cluster.namespace, "base-pod-template")
            await cluster.until(lambda pods: not pods)
            assert await evaluate() == ANSWER

    async def test_a_moved_tag_replaces_the_pods_with_the_next_one(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_pods=2) as evaluate:
            call = evaluate.call()
            await eventually(lambda: slow.begun() == 1)
            [old] = await cluster.names()
            cluster.images.add(IMAGE, "sed s/x/y/")
            assert await evaluate() == ANSWER
            slow.go()
            assert await call == LIST
            await cluster.until(lambda pods: [pod["metadata"]["name"] != old for pod in pods] == [True])

    async def test_a_failed_pod_is_replaced(self, cluster: Cluster) -> None:
        async with cluster.evaluator() as evaluate:
            await evaluate()
            [name] = await cluster.names()
            status = {"status": {"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory"}}
            await cluster.kube.merge_patch(PODS, cluster.namespace, name, status, subresource="status")
            await cluster.until(lambda pods: not pods)
            assert await evaluate() == ANSWER


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
    with caplog.at_level(logging.INFO, "functions.pods"):
        async with cluster.evaluator() as evaluate:
            await asyncio.gather(*(evaluate() for _ in range(3)))
    assert [record.message.partition(" ")[0] for record in caplog.records] == ["started", "started"]
