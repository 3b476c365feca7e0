"""How the real API server keeps the statuses of several field managers apart."""

import pytest

from porchflow.api.names import FIELD_MANAGER, KPTFILE_FIELD_MANAGER, RENDER_FIELD_MANAGER
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.api.manifests import Objects, a_condition, apply_status, package_revision

pytestmark = pytest.mark.usefixtures("crds")


class TestStatus:
    """What several field managers write; each time the whole object has to pass the rules."""

    async def test_managers_share_the_conditions(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        objects.create(package_revision())
        ready, rendered = a_condition("Ready", "Pending"), a_condition("Rendered", "Rendered")
        await apply_status(
            kube, namespace, FIELD_MANAGER, conditions=[ready, a_condition("Reconciling", "Progressing")]
        )
        await apply_status(kube, namespace, RENDER_FIELD_MANAGER, conditions=[rendered], observedPrrResourceVersion="7")
        package = [{"type": "Tested", "status": "True"}]
        await apply_status(kube, namespace, KPTFILE_FIELD_MANAGER, packageConditions=package)
        status = (await apply_status(kube, namespace, FIELD_MANAGER, conditions=[ready], observedGeneration=1))[
            "status"
        ]
        assert {condition["type"] for condition in status["conditions"]} == {"Ready", "Rendered"}
        assert status["packageConditions"] == package
        assert status["observedPrrResourceVersion"] == "7"

    async def test_package_conditions_have_one_owner(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        objects.create(package_revision())
        for kind in ("Tested", "Scanned"):
            await apply_status(
                kube, namespace, KPTFILE_FIELD_MANAGER, packageConditions=[{"type": kind, "status": "True"}]
            )
        stored = await kube.get(PACKAGEREVISIONS, namespace, "blueprints.shop.web.v1")
        assert stored["status"]["packageConditions"] == [{"type": "Scanned", "status": "True"}]

    async def test_the_kptfile_is_mirrored_into_the_spec(
        self, objects: Objects, kube: KubeClient, namespace: str
    ) -> None:
        objects.create(package_revision(lifecycle="Published"))
        mirrored = {"readinessGates": [{"conditionType": "Tested"}], "packageMetadata": {"labels": {"team": "shop"}}}
        body = package_revision() | {"spec": mirrored}
        body["metadata"]["namespace"] = namespace
        stored = await kube.apply(PACKAGEREVISIONS, body, field_manager=KPTFILE_FIELD_MANAGER)
        assert stored["spec"] == package_revision(lifecycle="Published")["spec"] | mirrored

    async def test_all_of_the_status_is_kept(self, objects: Objects, kube: KubeClient, namespace: str) -> None:
        objects.create(package_revision(lifecycle="Published"))
        lock = {"type": "git", "git": {"repo": "r", "directory": "shop/web", "ref": "shop/web/v1", "commit": "c0ffee"}}
        status = {
            "observedGeneration": 1,
            "revision": 1,
            "selfLock": lock,
            "upstreamLock": lock,
            "publishedBy": "ann@example.com",
            "publishedAt": "2026-01-02T03:04:05Z",
            "deployment": True,
            "creationSource": "init",
            "observedReconcileNow": "again",
            "lastRun": {"runID": "0a1b", "outcome": "Succeeded"},
        }
        assert (await apply_status(kube, namespace, FIELD_MANAGER, **status))["status"] == status

    @pytest.mark.parametrize("missing", ["reason", "message", "lastTransitionTime", "status"])
    async def test_an_incomplete_condition_is_refused(
        self, objects: Objects, kube: KubeClient, namespace: str, missing: str
    ) -> None:
        objects.create(package_revision())
        condition = {key: value for key, value in a_condition("Ready", "Ready").items() if key != missing}
        with pytest.raises(Exception, match=rf"conditions\[0\]\.{missing}"):
            await apply_status(kube, namespace, FIELD_MANAGER, conditions=[condition])
