from typing import Any

import pytest

from porchflow.cli.revisions.overview import Standing, describe, describe_repository, read_overview
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from tests.servers.control_plane import ControlPlane


def revision(lifecycle: str = "Draft", *conditions: tuple[str, str, str, str], **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": "repo.app.v1", "generation": 2, **metadata},
        "spec": {"lifecycle": lifecycle},
        "status": {
            "observedGeneration": 2,
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message}
                for kind, status, reason, message in conditions
            ],
        },
    }


READY = ("Ready", "True", "Ready", "")
NOT_READY = ("Ready", "False", "GitUnavailable", "no answer")


@pytest.mark.parametrize(
    ("obj", "standing", "said"),
    [
        (revision("Draft", READY), Standing.CONVERGED, ""),
        (revision("Published", READY), Standing.CONVERGED, ""),
        (revision("Draft", READY, generation=3), Standing.IN_PROGRESS, ""),
        (
            revision("Draft", NOT_READY, ("Reconciling", "True", "ProgressingWithRetry", "attempt 3 failed")),
            Standing.RETRYING,
            "attempt 3 failed",
        ),
        (
            revision("Draft", NOT_READY, ("Reconciling", "True", "Waiting", "for the Repository")),
            Standing.WAITING,
            "for the Repository",
        ),
        (revision("Draft", ("Reconciling", "True", "Progressing", "renders")), Standing.IN_PROGRESS, "renders"),
        (
            revision("Draft", NOT_READY, ("Stalled", "True", "InvalidPackage", "line 3"), generation=3),
            Standing.STALLED,
            "line 3",
        ),
        (
            revision("Proposed", NOT_READY, ("Suspended", "True", "Suspended", "suspended by ada"), generation=3),
            Standing.SUSPENDED,
            "suspended by ada",
        ),
        (
            revision("Proposed", READY),
            Standing.APPROVAL,
            "to publish: set spec.lifecycle to Published; to reject: to Draft",
        ),
        (
            revision("DeletionProposed", READY),
            Standing.APPROVAL,
            "to delete: delete the object; to keep: set spec.lifecycle to Published",
        ),
    ],
)
def test_how_an_object_stands(obj: dict[str, Any], standing: Standing, said: str) -> None:
    item = describe(obj)
    assert (item.standing, item.message) == (standing, said)


def test_an_object_that_is_being_deleted_says_so() -> None:
    obj = revision(
        "Published", READY, deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["porch.kpt.dev/packagerevisions"]
    )
    assert (describe(obj).lifecycle, describe(obj).standing) == ("Deleting", Standing.IN_PROGRESS)


def repository(*conditions: tuple[str, str, str, str], **metadata: Any) -> dict[str, Any]:
    made = revision("", *conditions, **metadata)
    made["status"] |= {"lastFullSyncTime": "2026-01-01T00:00:00Z"}
    return made | {"spec": {"type": "git"}}


@pytest.mark.parametrize(
    ("obj", "standing", "said"),
    [
        (repository(("Ready", "True", "Ready", "Repository Ready")), Standing.CONVERGED, ""),
        (repository(("Ready", "True", "RegisteredInPart", "1 left out")), Standing.CONVERGED, "1 left out"),
        (repository(("Ready", "True", "Ready", "Repository Ready"), generation=3), Standing.IN_PROGRESS, ""),
        (repository(NOT_READY, ("Stalled", "True", "GitAuthFailed", "refused")), Standing.STALLED, "refused"),
        (repository(NOT_READY, ("Reconciling", "True", "Waiting", "for a Secret")), Standing.WAITING, "for a Secret"),
        (repository(NOT_READY, ("Suspended", "True", "Suspended", "the audit")), Standing.SUSPENDED, "the audit"),
    ],
)
def test_how_a_repository_is_synced(obj: dict[str, Any], standing: Standing, said: str) -> None:
    item = describe_repository(obj)
    assert (item.standing, item.message, item.last_sync) == (standing, said, "2026-01-01T00:00:00Z")


async def test_the_objects_of_a_cluster_are_counted(control_plane: ControlPlane, namespace: str) -> None:
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        before = await read_overview(client)
        for name in ("repo", "other"):
            body = {
                "apiVersion": "config.porch.kpt.dev/v1alpha1",
                "kind": "Repository",
                "metadata": {"namespace": namespace, "name": name},
                "spec": {"type": "git", "git": {"repo": "http://127.0.0.1:1/repo.git"}},
            }
            await client.create(REPOSITORIES, body)
        for workspace in ("v1", "v2"):
            body = {
                "apiVersion": "porch.kpt.dev/v1alpha2",
                "kind": "PackageRevision",
                "metadata": {"namespace": namespace, "name": f"repo.app.{workspace}"},
                "spec": {
                    "repository": "repo",
                    "packageName": "app",
                    "workspaceName": workspace,
                    "lifecycle": "Draft",
                    "source": {"init": {"description": "of the test"}},
                },
            }
            await client.create(PACKAGEREVISIONS, body)
        after = await read_overview(client)
    assert after.lifecycles["Draft"] == before.lifecycles.get("Draft", 0) + 2
    mine = [item for item in after.items if item.namespace == namespace]
    assert [(item.name, item.standing) for item in mine] == [
        ("repo.app.v1", Standing.IN_PROGRESS),
        ("repo.app.v2", Standing.IN_PROGRESS),
    ]
    counted = {item.name: item.revisions for item in after.repositories if item.namespace == namespace}
    assert counted == {"repo": 2, "other": 0}
