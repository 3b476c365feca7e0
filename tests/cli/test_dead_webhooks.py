"""Admission webhooks that a Porch left behind, on the real API server."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from porchflow.api.models.conditions import Reason
from porchflow.cli.doctor.cluster import check_webhooks
from porchflow.cli.doctor.findings import Level
from porchflow.cli.revisions.overview import read_overview
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES, SERVICES, VALIDATINGWEBHOOKCONFIGURATIONS
from porchflow.kube.webhooks import Webhook, dead_webhooks, webhook_mend
from porchflow.repositories.failures import classify
from tests.servers.waiting import eventually

NAME = "packagerevision-validating-webhook-configuration"
PATH = "/validate-porch-kpt-dev-v1alpha2-packagerevision"


@contextlib.asynccontextmanager
async def left_behind(
    kube: KubeClient, namespace: str, *, name: str = NAME, path: str = PATH, policy: str = "Fail", groups: Any = None
) -> AsyncIterator[None]:
    """The configuration as Porch leaves it, for the test's namespace alone."""
    webhook = {
        "name": "validation.porch.kpt.dev",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": policy,
        "timeoutSeconds": 5,
        "clientConfig": {"service": {"name": "porch-controllers", "namespace": namespace, "port": 9443, "path": path}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {
                "apiGroups": groups or ["porch.kpt.dev", "config.porch.kpt.dev"],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "resources": ["packagerevisions", "repositories"],
            }
        ],
    }
    body = {
        "apiVersion": VALIDATINGWEBHOOKCONFIGURATIONS.api_version,
        "kind": VALIDATINGWEBHOOKCONFIGURATIONS.kind,
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
    await kube.create(VALIDATINGWEBHOOKCONFIGURATIONS, body)
    try:
        yield
    finally:
        await kube.delete(VALIDATINGWEBHOOKCONFIGURATIONS, None, name)


def repository(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": REPOSITORIES.api_version,
        "kind": REPOSITORIES.kind,
        "metadata": {"name": "blueprints", "namespace": namespace},
        "spec": {"type": "git", "git": {"repo": "https://git.example.com/x.git", "branch": "main"}},
    }


async def test_every_write_is_refused_and_the_message_names_what_to_delete(kube: KubeClient, namespace: str) -> None:
    await kube.create(REPOSITORIES, repository(namespace))
    async with left_behind(kube, namespace):
        number = 0

        async def refused() -> KubeError:
            nonlocal number
            number += 1
            patch = {"metadata": {"annotations": {"example.com/try": str(number)}}}
            with pytest.raises(KubeError) as error:
                await kube.merge_patch(REPOSITORIES, namespace, "blueprints", patch)
            return error.value

        # The API server takes a moment to learn of the webhook.
        failure = classify(await eventually(refused))
        assert failure.reason == Reason.KUBERNETES_UNAVAILABLE
        assert 'service "porch-controllers" not found' in failure.message
        assert failure.message.endswith(
            f"delete what it left behind: kubectl delete validatingwebhookconfiguration {NAME}"
        )


async def test_doctor_and_status_name_it_while_its_service_is_gone(kube: KubeClient, namespace: str) -> None:
    service = f"{namespace}/porch-controllers"
    async with left_behind(kube, namespace):
        dead = Webhook("ValidatingWebhookConfiguration", NAME, service, refuses=True, is_dead=True, is_for_porch=True)
        assert dead in await dead_webhooks(kube)
        [found] = [each for each in await check_webhooks(kube) if NAME in each.where]
        assert found.level is Level.FAILURE
        assert (
            found.message == f"calls the Service {service}, which is gone: every write that it should check is refused"
        )
        assert found.mend.startswith(
            f"kubectl delete validatingwebhookconfiguration {NAME}, if nobody needs it any more"
        )
        [told] = [each for each in (await read_overview(kube)).refusing if NAME in each]
        assert told == f"ValidatingWebhookConfiguration {NAME} {found.message}; {found.mend}"
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "porch-controllers"}}
        await kube.create(SERVICES, {**body, "spec": {"ports": [{"port": 9443}]}}, namespace=namespace)
        assert dead not in await dead_webhooks(kube)
        assert not any(NAME in each.where for each in await check_webhooks(kube))


async def test_one_that_refuses_nothing_is_a_warning(kube: KubeClient, namespace: str) -> None:
    async with left_behind(kube, namespace, name=f"ignored-{namespace}", policy="Ignore"):
        [found] = [each for each in await check_webhooks(kube) if "ignored-" in each.where]
        assert found.level is Level.WARNING
        assert "the API server goes on without it" in found.message
        assert not any("ignored-" in each for each in (await read_overview(kube)).refusing)


async def test_webhooks_of_others_are_nobodys_business_here(kube: KubeClient, namespace: str) -> None:
    async with left_behind(kube, namespace, name=f"others-{namespace}", groups=["example.com"]):
        assert not any(each.name.startswith("others-") for each in await dead_webhooks(kube))
    async with left_behind(kube, namespace, name=f"all-{namespace}", groups=["*"]):
        assert any(each.name.startswith("all-") for each in await dead_webhooks(kube))


CALL = "Internal error occurred: failed calling webhook {!r}: failed to call webhook: Post {!r}: no endpoints available"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (PATH, f"delete validatingwebhookconfiguration {NAME}"),
        ("/validate-repository", "delete validatingwebhookconfiguration repository-validating-webhook-configuration"),
        ("/other", "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations shows whose it is"),
    ],
)
def test_the_mend_follows_the_path_that_is_called(path: str, told: str) -> None:
    message = CALL.format("v.kb.io", f"https://porch-controllers.porch-system.svc:9443{path}?timeout=30s")
    assert told in webhook_mend(message)


def test_other_messages_have_no_such_mend() -> None:
    assert webhook_mend("the server has asked for the client to provide credentials") == ""
    assert webhook_mend(f'admission webhook "v.kb.io" denied the request: {PACKAGEREVISIONS} {PATH}?') == ""
