"""What waits for a Repository goes on as soon as it is there."""

from porchflow.kube.client import KubeClient
from porchflow.kube.following import key_of
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from tests.servers.waiting import eventually
from tests.watcher.objects import converge, package_revision, repository
from tests.watcher.signallers import RecordingSignaller
from tests.watcher.test_packagerevisions import watching


async def test_a_repository_wakes_those_of_its_packages_that_need_work(kube: KubeClient, namespace: str) -> None:
    names = (("mine", "a"), ("mine", "b"), ("mine", "done"), ("other", "c"))
    keys = {}
    for repo, package in names:
        obj = await kube.create(PACKAGEREVISIONS, package_revision(namespace, repo, package))
        keys[package] = key_of(obj)
        if package == "done":
            await converge(kube, obj)
    signaller = RecordingSignaller()

    def counts() -> tuple[int, int, int, int]:
        a, b, done, c = (signaller.counts[keys[name]] for name in ("a", "b", "done", "c"))
        return a, b, done, c

    async with watching(kube, signaller, namespace):
        await eventually(lambda: counts() == (1, 1, 0, 1), what="the signals of the list")
        made = await kube.create(REPOSITORIES, repository(namespace, "mine"))
        await eventually(lambda: counts() == (2, 2, 0, 1), what="signals because the Repository appeared")

        changed = {"spec": {"description": "for the shop"}}
        await kube.merge_patch(REPOSITORIES, namespace, "mine", changed)
        await eventually(lambda: counts() == (3, 3, 0, 1), what="signals because its spec changed")

        status = {"status": {"conditions": []}}
        await kube.merge_patch(REPOSITORIES, namespace, "mine", status, subresource="status")
        await kube.merge_patch(REPOSITORIES, namespace, "mine", {"metadata": {"labels": {"a": "b"}}})
        await kube.create(REPOSITORIES, repository(namespace, "other"))
        await eventually(lambda: counts() == (3, 3, 0, 2), what="signals of the other one only")

        await kube.delete(REPOSITORIES, namespace, "mine", uid=made["metadata"]["uid"])
        await eventually(lambda: counts() == (4, 4, 0, 2), what="signals because it went")


async def test_repositories_that_are_there_at_the_start_wake_nobody(kube: KubeClient, namespace: str) -> None:
    await kube.create(REPOSITORIES, repository(namespace, "mine"))
    obj = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "mine", "a"))
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace):
        await eventually(lambda: signaller.counts[key_of(obj)] == 1, what="the signal of the list")
        last = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "mine", "b"))
        await eventually(lambda: signaller.counts[key_of(last)] == 1, what="a later signal")
    assert signaller.calls == 2
