"""Admission webhooks on Porch's objects that cannot be called, so that the API server refuses every write.

A Porch that was taken away may leave the configurations of its webhooks behind: they belong to the cluster.

Source: docs/reference/porch-api.md, "Admission webhooks".
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from porchflow.api.names import CONFIG_GROUP, PORCH_GROUP
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import MUTATINGWEBHOOKCONFIGURATIONS, SERVICES, VALIDATINGWEBHOOKCONFIGURATIONS

_FAILED: Final = "failed calling webhook"
"""In the words of an API server that cannot call a webhook."""
_OF_PORCH: Final[Mapping[str, str]] = {
    "/validate-porch-kpt-dev-v1alpha2-packagerevision": "packagerevision-validating-webhook-configuration",
    "/validate-repository": "repository-validating-webhook-configuration",
}
"""The configurations of Porch's webhooks, by the path that they call."""


@dataclass(frozen=True)
class Webhook:
    """A webhook that the API server asks about objects of Porch's groups.

    Attributes:
        kind: Of its configuration.
        name: Of its configuration.
        service: `namespace/name` of its Service; empty for one with a URL.
        refuses: Whether the API server refuses what it cannot ask the webhook about.
        is_dead: Whether its Service is gone.
        is_for_porch: Whether it names one of the groups, and not all of them.
    """

    kind: str
    name: str
    service: str
    refuses: bool
    is_dead: bool
    is_for_porch: bool

    @property
    def message(self) -> str:
        """What it means that the Service is gone."""
        effect = "every write that it should check is refused" if self.refuses else "the API server goes on without it"
        return f"calls the Service {self.service}, which is gone: {effect}"

    @property
    def mend(self) -> str:
        """What to do."""
        return (
            f"kubectl delete {self.kind.lower()} {self.name}, if nobody needs it any more, as after Porch was taken"
            " away; else bring its Service back"
        )


async def webhooks(kube: KubeClient) -> list[Webhook]:
    """Return the webhooks on objects of Porch's groups.

    Raises:
        KubeError: The configurations or Services cannot be read.
    """
    services: dict[tuple[str, str], bool] = {}
    found: dict[Webhook, None] = {}
    async for kind, name, webhook in _webhooks(kube):
        service = (webhook.get("clientConfig") or {}).get("service")
        key = (service["namespace"], service["name"]) if service else None
        if key is not None and key not in services:
            services[key] = await _exists(kube, *key)
        each = Webhook(
            kind,
            name,
            service="/".join(key) if key else "",
            refuses=webhook.get("failurePolicy", "Fail") == "Fail",
            is_dead=key is not None and not services[key],
            is_for_porch="*" not in _groups(webhook),
        )
        found[each] = None
    return list(found)


async def dead_webhooks(kube: KubeClient) -> list[Webhook]:
    """Return the webhooks on objects of Porch's groups whose Service is gone.

    Raises:
        KubeError: The configurations or Services cannot be read.
    """
    return [each for each in await webhooks(kube) if each.is_dead]


def webhook_mend(message: str) -> str:
    """Return what to do about an API server's refusal for want of a webhook's answer; empty for other messages."""
    if _FAILED not in message:
        return ""
    known = next((name for path, name in _OF_PORCH.items() if f"{path}?" in message), "")
    if known:
        return (
            "start Porch's controllers, or, where Porch was taken away, delete what it left behind: kubectl delete"
            f" validatingwebhookconfiguration {known}"
        )
    return (
        "see whether the webhook's Service runs; kubectl get validatingwebhookconfigurations,"
        "mutatingwebhookconfigurations shows whose it is"
    )


async def _webhooks(kube: KubeClient) -> AsyncIterator[tuple[str, str, Mapping[str, Any]]]:
    for kind in (VALIDATINGWEBHOOKCONFIGURATIONS, MUTATINGWEBHOOKCONFIGURATIONS):
        async for configuration in kube.list_all(kind, None):
            for webhook in configuration.get("webhooks") or []:
                if _groups(webhook) & {PORCH_GROUP, CONFIG_GROUP, "*"}:
                    yield kind.kind, configuration["metadata"]["name"], webhook


def _groups(webhook: Mapping[str, Any]) -> set[str]:
    return {group for rule in webhook.get("rules") or [] for group in rule.get("apiGroups") or []}


async def _exists(kube: KubeClient, namespace: str, name: str) -> bool:
    try:
        await kube.get(SERVICES, namespace, name)
    except NotFound:
        return False
    return True
