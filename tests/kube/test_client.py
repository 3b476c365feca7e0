"""The client against the real API server."""

from typing import Any

import pytest

from porchflow.kube.client import KubeClient
from porchflow.kube.errors import AlreadyExists, Conflict, Invalid, KubeUnavailable, NotFound, NotServed
from porchflow.kube.kinds import CONFIGMAPS, NAMESPACES, Resource
from tests.kube.helpers import WIDGETS, widget


async def _status(api: KubeClient, namespace: str, manager: str, status: dict[str, Any], **options: Any) -> Any:
    body = {**widget(namespace, "w"), "status": status}
    del body["spec"]
    return await api.apply(WIDGETS, body, field_manager=manager, subresource="status", **options)


def _condition(kind: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status}


def _types(obj: dict[str, Any]) -> list[str]:
    return sorted(condition["type"] for condition in obj["status"].get("conditions", []))


async def test_two_field_managers_share_one_list_of_conditions(api: KubeClient, namespace: str) -> None:
    await api.create(WIDGETS, widget(namespace, "w", size=1))
    await _status(api, namespace, "main", {"phase": "x", "conditions": [_condition("Ready"), _condition("Stalled")]})
    both = await _status(api, namespace, "render", {"conditions": [_condition("Rendered")]})
    assert _types(both) == ["Ready", "Rendered", "Stalled"]

    fewer = await _status(api, namespace, "main", {"conditions": [_condition("Ready", "False")]})
    assert _types(fewer) == ["Ready", "Rendered"]
    assert "phase" not in fewer["status"], "what a manager no longer applies is removed"
    assert fewer["spec"] == {"size": 1}
    assert (await api.get(WIDGETS, namespace, "w"))["status"] == fewer["status"]
    managers = {(m["manager"], m["operation"], m.get("subresource")) for m in fewer["metadata"]["managedFields"]}
    assert {("main", "Apply", "status"), ("render", "Apply", "status")} <= managers


async def test_the_same_field_of_two_managers_is_a_conflict_unless_forced(api: KubeClient, namespace: str) -> None:
    await api.create(WIDGETS, widget(namespace, "w"))
    await _status(api, namespace, "main", {"phase": "x"})
    with pytest.raises(Conflict, match=r'conflict with "main".*\.status\.phase'):
        await _status(api, namespace, "other", {"phase": "y"}, force=False)
    taken = await _status(api, namespace, "other", {"phase": "y"})
    assert taken["status"]["phase"] == "y"


async def test_a_stale_resource_version_is_a_conflict(api: KubeClient, namespace: str) -> None:
    old = await api.create(WIDGETS, widget(namespace, "w", size=1))
    await api.merge_patch(WIDGETS, namespace, "w", {"spec": {"size": 2}})
    stale = {"namespace": namespace, "name": "w", "resourceVersion": old["metadata"]["resourceVersion"]}
    body = {**widget(namespace, "w"), "metadata": stale, "status": {"phase": "late"}}
    with pytest.raises(Conflict) as caught:
        await api.apply(WIDGETS, body, field_manager="main", subresource="status")
    assert (caught.value.code, caught.value.name) == (409, f"{namespace}/w")
    with pytest.raises(Conflict):
        await api.merge_patch(WIDGETS, namespace, "w", {"metadata": stale, "spec": {"size": 3}})


async def test_patches(api: KubeClient, namespace: str) -> None:
    await api.create(WIDGETS, widget(namespace, "w", size=1, list=["a", "b"], gone="x"))
    merged = await api.merge_patch(WIDGETS, namespace, "w", {"spec": {"list": ["c"], "gone": None}})
    assert merged["spec"] == {"size": 1, "list": ["c"]}
    status = await api.merge_patch(WIDGETS, namespace, "w", {"status": {"phase": "x"}}, subresource="status")
    assert status["status"] == {"phase": "x"}


async def test_errors_say_what_they_are(api: KubeClient, namespace: str) -> None:
    unknown = Resource("nowhere.example", "v1", "things", "Thing")
    await api.create(WIDGETS, widget(namespace, "w", size=1))
    with pytest.raises(NotFound, match=r'widgets\.test\.porchflow\.dev .*/none: .*"none" not found'):
        await api.get(WIDGETS, namespace, "none")
    with pytest.raises(NotFound):
        await api.create(CONFIGMAPS, {"metadata": {"namespace": "no-such-namespace", "name": "x"}})
    with pytest.raises(NotServed):
        await api.list_page(unknown)
    with pytest.raises(NotServed):
        await api.get(unknown, namespace, "x")
    with pytest.raises(AlreadyExists):
        await api.create(WIDGETS, widget(namespace, "w"))
    with pytest.raises(Invalid, match=r"spec\.size"):
        await api.create(WIDGETS, widget(namespace, "x", size="big"))
    with pytest.raises(Invalid, match=r"size"):
        await api.apply(WIDGETS, widget(namespace, "w", size="big"), field_manager="main")


async def test_delete_with_preconditions_and_finalizers(api: KubeClient, namespace: str) -> None:
    body = widget(namespace, "w")
    body["metadata"]["finalizers"] = ["test.porchflow.dev/hold"]
    created = await api.create(WIDGETS, body)
    with pytest.raises(Conflict):
        await api.delete(WIDGETS, namespace, "w", uid="00000000-0000-0000-0000-000000000000")
    with pytest.raises(Conflict):
        await api.delete(WIDGETS, namespace, "w", resource_version="1")
    held = await api.delete(WIDGETS, namespace, "w", uid=created["metadata"]["uid"])
    assert "deletionTimestamp" in held["metadata"]
    await api.merge_patch(WIDGETS, namespace, "w", {"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await api.delete(WIDGETS, namespace, "w")


async def test_lists_page_by_page_with_kinds_and_selectors(api: KubeClient, namespace: str) -> None:
    for number in range(7):
        body = {"metadata": {"namespace": namespace, "name": f"c{number}", "labels": {"odd": str(number % 2)}}}
        await api.create(CONFIGMAPS, body)
    page = await api.list_page(CONFIGMAPS, namespace, limit=3)
    assert (len(page.items), page.remaining) == (3, 4)
    assert {(i["apiVersion"], i["kind"]) for i in page.items} == {("v1", "ConfigMap")}
    assert page.continue_token
    odd = [o["metadata"]["name"] async for o in api.list_all(CONFIGMAPS, namespace, limit=2, label_selector="odd=1")]
    assert odd == ["c1", "c3", "c5"]
    named = await api.list_page(CONFIGMAPS, namespace, field_selector="metadata.name=c4")
    assert [o["metadata"]["name"] for o in named.items] == ["c4"]
    everywhere = [o["metadata"]["namespace"] async for o in api.list_all(CONFIGMAPS, limit=2, label_selector="odd=1")]
    assert everywhere.count(namespace) == 3


async def test_cluster_scoped_objects_have_no_namespace(api: KubeClient, namespace: str) -> None:
    assert (await api.get(NAMESPACES, None, namespace))["metadata"]["name"] == namespace


async def test_a_request_that_takes_too_long_is_given_up(control_plane: Any) -> None:
    async with await KubeClient.connect(control_plane.kubeconfig, request_timeout=0.000_01) as client:
        with pytest.raises(KubeUnavailable, match="did not answer in time"):
            await client.list_page(CONFIGMAPS)
