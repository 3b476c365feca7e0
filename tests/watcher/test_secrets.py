"""Who stalled on credentials looks again when they change."""

import base64
import json
from typing import Any

import pytest

from porchflow.api.models.conditions import Reason
from porchflow.api.names import FIELD_MANAGER, PACKAGE_REVISION_API_VERSION, PACKAGE_REVISION_KIND
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.following import Key, key_of
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES, SECRET_METADATA, SECRETS
from porchflow.kube.watching import Changed, Listed, ListEnd, ListStarted, WatchState
from porchflow.watcher.secrets import SecretWatcher
from tests.kube.helpers import QUICK
from tests.servers.waiting import eventually
from tests.watcher.objects import package_revision, repository
from tests.watcher.signallers import RecordingSchedules, RecordingSignaller
from tests.watcher.test_packagerevisions import watching


async def secret(kube: KubeClient, namespace: str, name: str, word: str = "one") -> None:
    data = {"bearerToken": base64.b64encode(word.encode()).decode()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "data": data}
    await kube.apply(SECRETS, body, field_manager="a-person")


async def stalled(kube: KubeClient, obj: Object, reason: str) -> Key:
    """Write the status that a worker leaves when a person must act."""
    metadata = obj["metadata"]
    condition = {"reason": reason, "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    observed = {"observedGeneration": metadata["generation"]}
    body = {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"namespace": metadata["namespace"], "name": metadata["name"]},
        "status": {
            **observed,
            "conditions": [{**condition, **observed, "type": "Stalled", "status": "True"}],
        },
    }
    await kube.apply(PACKAGEREVISIONS, body, field_manager=FIELD_MANAGER, subresource="status")
    return key_of(obj)


async def taken_up_and_stalled(kube: KubeClient, signaller: RecordingSignaller, body: Object, reason: str) -> Key:
    """Create an object and let it stall once the watcher has signalled it: what stalls sooner needs no signal."""
    made = await kube.create(PACKAGEREVISIONS, body)
    await eventually(lambda: signaller.counts[key_of(made)] == 1, what="the signal of the creation")
    return await stalled(kube, made, reason)


def with_secret(body: Object, name: str) -> Object:
    body["spec"]["git"]["secretRef"] = {"name": name}
    return body


async def test_a_changed_secret_wakes_what_stalled_on_it(kube: KubeClient, namespace: str) -> None:
    await kube.create(REPOSITORIES, with_secret(repository(namespace, "mine"), "mine"))
    await kube.create(REPOSITORIES, with_secret(repository(namespace, "other"), "other"))
    await secret(kube, namespace, "mine")
    signaller, schedules = RecordingSignaller(), RecordingSchedules()
    async with watching(kube, signaller, namespace, schedules, watch_secrets=True):
        keys = {}
        for repo, package, reason in (
            ("mine", "auth", Reason.GIT_AUTH_FAILED),
            ("mine", "kind", Reason.INVALID_SECRET),
            ("mine", "render", Reason.RENDER_FAILED),
            ("other", "auth", Reason.GIT_AUTH_FAILED),
        ):
            body = package_revision(namespace, repo, package)
            keys[f"{repo}/{package}"] = await taken_up_and_stalled(kube, signaller, body, reason)
        before = signaller.counts

        def woken() -> list[str]:
            return sorted(name for name, key in keys.items() if signaller.counts[key] > before[key])

        await secret(kube, namespace, "mine", "two")
        await eventually(lambda: woken() == ["mine/auth", "mine/kind"], what="those of the Repository")
        await eventually(lambda: ((namespace, "mine"), True) in schedules.triggered, what="a sync of the Repository")
        await secret(kube, namespace, "unrelated")
        await secret(kube, namespace, "other")
        await eventually(lambda: woken() == ["mine/auth", "mine/kind", "other/auth"], what="a Secret that appeared")
        await kube.merge_patch(REPOSITORIES, namespace, "mine", {"spec": {"git": {"secretRef": {"name": "better"}}}})
        again = keys["mine/auth"]
        await eventually(lambda: signaller.counts[again] == before[again] + 2, what="a Repository that changed")
        assert "mine/render" not in woken(), "a person has to mend the package"
        await secret(kube, namespace, "better")
        await eventually(lambda: signaller.counts[again] == before[again] + 3, what="the Secret that it names now")


async def test_the_bundle_of_the_namespace_and_the_secret_of_a_clone(kube: KubeClient, namespace: str) -> None:
    await kube.create(REPOSITORIES, repository(namespace, "mine"))
    body = package_revision(namespace, "elsewhere", "cloned")
    git = {"repo": "https://git.example/x", "ref": "main", "directory": "/", "secretRef": {"name": "of-clone"}}
    body["spec"]["source"] = {"cloneFrom": {"type": "git", "git": git}}
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace, watch_secrets=True):
        plain = package_revision(namespace, "mine", "plain")
        mine = await taken_up_and_stalled(kube, signaller, plain, Reason.GIT_CERTIFICATE_INVALID)
        clone = await taken_up_and_stalled(kube, signaller, body, Reason.GIT_AUTH_FAILED)
        before = signaller.counts
        await secret(kube, namespace, f"{namespace}-ca-bundle")
        await eventually(lambda: signaller.counts[mine] == before[mine] + 1, what="who trusts the bundle")
        await secret(kube, namespace, "of-clone")
        await eventually(lambda: signaller.counts[clone] == before[clone] + 1, what="who clones with it")
    assert signaller.counts[mine] == before[mine] + 1


async def test_what_stalled_before_the_watcher_started_is_tried_once(kube: KubeClient, namespace: str) -> None:
    made = [await kube.create(PACKAGEREVISIONS, package_revision(namespace, "mine", name)) for name in ("a", "b")]
    key = await stalled(kube, made[0], Reason.GIT_AUTH_FAILED)
    await stalled(kube, made[1], Reason.RENDER_FAILED)
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace, relist_seconds=1.5):
        last = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "mine", "c"))
        await eventually(lambda: signaller.counts[key_of(last)] >= 3, what="two more lists")
        assert signaller.counts[key] == 1
    assert set(signaller.counts) == {key, key_of(last)}


async def test_no_secrets_are_watched_unless_asked_for(kube: KubeClient, namespace: str) -> None:
    async with watching(kube, RecordingSignaller(), namespace) as health:
        names = [watch["name"] for watch in health.readiness()[1]["watches"]]
    assert [name.split()[0] for name in names] == ["PackageRevisions", "Repositories"]


async def test_without_that_a_sync_that_works_again_wakes_what_stalled_on_credentials(
    kube: KubeClient, namespace: str
) -> None:
    await kube.create(REPOSITORIES, with_secret(repository(namespace, "mine"), "mine"))
    await synced(kube, namespace, "mine", "False")
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace):
        denied = await taken_up_and_stalled(
            kube, signaller, package_revision(namespace, "mine", "auth"), Reason.GIT_AUTH_FAILED
        )
        broken = await taken_up_and_stalled(
            kube, signaller, package_revision(namespace, "mine", "render"), Reason.RENDER_FAILED
        )
        before = signaller.counts
        await synced(kube, namespace, "mine", "True")
        await eventually(lambda: signaller.counts[denied] == before[denied] + 1, what="what stalled on the credentials")
        # Another sync that works is nothing new; the one that fails before it brings the next signal.
        await synced(kube, namespace, "mine", "True", count=7)
        await synced(kube, namespace, "mine", "False")
        await synced(kube, namespace, "mine", "True")
        await eventually(lambda: signaller.counts[denied] == before[denied] + 2, what="the second time")
        assert signaller.counts[broken] == before[broken], "a person has to mend the package"


async def synced(kube: KubeClient, namespace: str, name: str, ready: str, count: int = 0) -> None:
    """Write the status that a sync leaves."""
    condition = {"type": "Ready", "status": ready, "reason": "ForATest", "message": "x"}
    since = {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"conditions": [condition | since], "packageCount": count}
    await kube.merge_patch(REPOSITORIES, namespace, name, {"status": status}, subresource="status")


async def test_only_metadata_of_secrets_is_asked_for(kube: KubeClient, namespace: str) -> None:
    await secret(kube, namespace, "mine", "s3cret")
    coded = base64.b64encode(b"s3cret").decode()
    one = await kube.get(SECRET_METADATA, namespace, "mine")
    page = await kube.list_page(SECRET_METADATA, namespace)
    for answer in (one, *page.items):
        assert coded not in json.dumps(answer)
        assert answer["metadata"]["name"] == "mine"
    query = {"resourceVersion": "0"}
    async with kube.watch(SECRET_METADATA, namespace, query, inactivity_timeout=20) as body:
        line = json.loads(await body.readline())
    assert (line["object"]["kind"], coded in json.dumps(line)) == ("PartialObjectMetadata", False)


def version(name: str, number: int) -> Object:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(number)}}


@pytest.mark.parametrize("again", [[], [ListStarted(), Listed(version("a", 1)), ListEnd("9")]])
def test_each_change_is_told_once(again: list[Any]) -> None:
    told: list[Key] = []
    watcher = SecretWatcher(
        None,  # type: ignore[arg-type]  # no request is made
        told.append,
        namespace=None,
        timings=QUICK,
        state=WatchState("x"),
    )
    events = [ListStarted(), Listed(version("a", 1)), Listed(version("gone", 1)), ListEnd("1"), *again]
    for event in (*events, Changed("MODIFIED", version("a", 2)), Changed("MODIFIED", version("a", 2))):
        watcher.handle(event)
    assert told == [("ns", "a")]
    for event in (ListStarted(), Listed(version("a", 3)), Listed(version("new", 4)), ListEnd("5")):
        watcher.handle(event)
    assert told == [("ns", "a"), ("ns", "a"), ("ns", "new")], "what a broken watch missed is told by the list"
