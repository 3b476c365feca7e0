"""How long pods of functions stay, over restarts too, and what becomes of them when what they are made of changes."""

import asyncio
import shlex
from pathlib import Path

from porchflow.kube.kinds import PODS, PODTEMPLATES, SECRETS
from tests.cli.runner.pods import ANSWER, IMAGE, LIST, Cluster, Slow
from tests.kubectl import Kubectl
from tests.servers.waiting import eventually


class TestLifetime:
    async def test_an_unused_pod_is_deleted_after_its_time(self, cluster: Cluster) -> None:
        async with cluster.evaluator(pod_ttl=600) as evaluate:
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
        async with cluster.evaluator(pod_ttl=600) as evaluate:
            evaluate.configure(timeToLive="1h30m")
            await evaluate()
            evaluate.clock.passed = 5000
            evaluate.pool.collect()
            await evaluate()
            assert len(cluster.kubelet.started) == 1
            evaluate.clock.passed = 11000
            await cluster.collected(evaluate, lambda pods: not pods)

    async def test_a_pod_in_use_is_not_deleted_however_long(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(pod_ttl=600) as evaluate:
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
        async with cluster.evaluator(pod_ttl=600, max_parallel_pods_per_function=2) as evaluate:
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


class TestRestart:
    async def test_pods_are_adopted(self, cluster: Cluster) -> None:
        async with cluster.evaluator() as evaluate:
            await evaluate()
        async with cluster.evaluator() as evaluate:
            assert await evaluate() == ANSWER
        assert len(cluster.kubelet.started) == 1

    async def test_the_surplus_is_deleted(self, cluster: Cluster) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=3) as evaluate:
            await asyncio.gather(*(evaluate() for _ in range(9)))
        async with cluster.evaluator(max_parallel_pods_per_function=1) as evaluate:
            await evaluate()
            await cluster.collected(evaluate, lambda pods: len(pods) == 1)

    async def test_two_runners_share_the_pods(self, cluster: Cluster, slow: Slow) -> None:
        async with (
            cluster.evaluator(max_parallel_pods_per_function=2) as one,
            cluster.evaluator(max_parallel_pods_per_function=2) as other,
        ):
            calls = [evaluate.call() for evaluate in (one, other) for _ in range(5)]
            await eventually(lambda: slow.begun() == 10)
            slow.go()
            assert set(await asyncio.gather(*calls)) == {LIST}
            one.pool.collect()
            other.pool.collect()
            assert len(await cluster.pods()) == 2
        assert cluster.kubelet.most == 2

    async def test_what_one_runner_uses_no_other_deletes(self, cluster: Cluster) -> None:
        async with cluster.evaluator(pod_ttl=600) as one, cluster.evaluator(pod_ttl=600) as other:
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
        async with (
            cluster.evaluator(wrapper_server_image="w:1") as one,
            cluster.evaluator(wrapper_server_image="w:2") as other,
        ):
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
            # What the override does not name is filled in: no pod runs with more rights than it asks for.
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
            assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
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

    async def test_the_pull_secret_of_the_docs_reaches_the_pods(self, cluster: Cluster, kubectl: Kubectl) -> None:
        async with cluster.evaluator() as evaluate:
            await evaluate()
            for command in documented("-n porch-fn-system"):
                await asyncio.to_thread(kubectl, *command, f"--namespace={cluster.namespace}")
            await cluster.until(lambda pods: not pods, "the pod without it is replaced")
            await evaluate()
            [pod] = await cluster.pods()
            [secret] = pod["spec"]["imagePullSecrets"]
            assert await cluster.kube.get(SECRETS, cluster.namespace, secret["name"])

    async def test_a_moved_tag_replaces_the_pods_with_the_next_one(self, cluster: Cluster, slow: Slow) -> None:
        async with cluster.evaluator(max_parallel_pods_per_function=2) as evaluate:
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


def documented(words: str) -> list[list[str]]:
    """The kubectl commands of docs/guides/functions.md with these words, without their first and without these."""
    text = (Path(__file__).parents[3] / "docs" / "guides" / "functions.md").read_text().replace("\\\n", "")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    kubectl ")]
    return [shlex.split(line.replace(words, ""))[1:] for line in lines if words in line]
