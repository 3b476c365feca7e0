"""Who is signalled when a PackageRevision is published."""

from typing import Any

from porchflow.api.work.subpackage import operation_hash
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.following import key_of
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.watcher.indexes.waiters import Waiters
from tests.servers.waiting import eventually
from tests.watcher.objects import package_revision
from tests.watcher.signallers import RecordingSignaller
from tests.watcher.test_packagerevisions import watching


def waiting(name: str, *references: str, done: bool = False) -> Object:
    obj = package_revision("ns", "repo", name)
    names = dict(zip(("oldUpstream", "newUpstream", "currentPackage"), references, strict=False))
    obj["spec"]["source"] = {"upgrade": {field: {"name": reference} for field, reference in names.items()}}
    return obj | ({"status": {"creationSource": "upgrade"}} if done else {})


def upstream(name: str, **status: Any) -> Object:
    return {"metadata": {"namespace": "ns", "name": name}, "status": status}


def test_who_waits_is_told_when_it_is_published_and_forgotten_when_done() -> None:
    waiters = Waiters()
    first, second = waiting("first", "a", "b"), waiting("second", "b")
    waiters.note(first)
    waiters.note(second)
    assert list(waiters.of(upstream("b"))) == []
    assert list(waiters.of(upstream("b", revision=1))) == [key_of(first), key_of(second)]
    assert list(waiters.of(upstream("a", revision=-1))) == [key_of(first)]
    elsewhere = {"metadata": {"namespace": "other", "name": "a"}, "status": {"revision": 1}}
    assert list(waiters.of(elsewhere)) == []
    waiters.note(waiting("second", "b", done=True))
    assert list(waiters.of(upstream("b", revision=1))) == [key_of(first)]
    waiters.forget(key_of(first))
    waiters.forget(key_of(first))
    assert vars(waiters) == vars(Waiters())


def test_an_operation_waits_for_its_upstreams_until_it_is_done() -> None:
    waiters = Waiters()
    obj = waiting("first", done=True)
    operation = {"subpackageDir": "db", "cloneFrom": {"upstreamRef": {"name": "a"}}}
    obj["spec"]["subpackageOperation"] = operation
    waiters.note(obj)
    assert list(waiters.of(upstream("a", revision=1))) == [key_of(obj)]
    obj["status"]["lastSubpackageOperationHash"] = operation_hash(operation)
    waiters.note(obj)
    assert list(waiters.of(upstream("a", revision=1))) == []


async def test_a_clone_is_signalled_again_when_its_upstream_is_published(kube: KubeClient, namespace: str) -> None:
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace):
        upstream = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "up"))
        body = package_revision(namespace, "repo", "down")
        body["spec"]["source"] = {"cloneFrom": {"upstreamRef": {"name": upstream["metadata"]["name"]}}}
        clone = await kube.create(PACKAGEREVISIONS, body)
        await eventually(lambda: signaller.counts[key_of(clone)] == 1, what="the signal of the creation")
        status = {"status": {"revision": 1, "observedGeneration": 1, "creationSource": "init"}}
        name = upstream["metadata"]["name"]
        await kube.merge_patch(PACKAGEREVISIONS, namespace, name, status, subresource="status")
        await eventually(lambda: signaller.counts[key_of(clone)] == 2, what="the signal of the publication")
