"""Authorization by the API server, whose decisions are cached for a moment."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from porchflow.api.names import PORCH_GROUP
from porchflow.content.access.identity import User
from porchflow.content.refusals import ApiError
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import SUBJECTACCESSREVIEWS

_ALLOWED_SECONDS = 10.0
"""As in Kubernetes' own aggregated API servers."""
_DENIED_SECONDS = 2.0
"""Short, because a user who was just granted a right should not have to wait for it."""
_KEPT_ANSWERS = 10_000


@dataclass(frozen=True)
class Attributes:
    """The request as RBAC sees it: verb, resource, namespace and name."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    version: str = "v1alpha1"


class Authorizer:
    """Authorizes requests by SubjectAccessReview."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers: OrderedDict[tuple[User, Attributes], tuple[float, bool, str]] = OrderedDict()

    async def check(self, user: User, attributes: Attributes) -> None:
        """Check that a user may do what a request asks for.

        Raises:
            ApiError: The user may not do this; or the API server does not answer the review, which grants nothing
                either.
        """
        key = (user, attributes)
        until, allowed, why = self._answers.get(key, (0.0, False, ""))
        if until <= time.monotonic():
            allowed, why = await self._ask(user, attributes)
            self._keep(key, allowed=allowed, why=why)
        if not allowed:
            raise _forbidden(user, attributes, why)

    async def _ask(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        wanted = {
            "verb": attributes.verb,
            "group": PORCH_GROUP,
            "version": attributes.version,
            "resource": attributes.resource,
            "namespace": attributes.namespace,
            "name": attributes.name,
        }
        spec: dict[str, Any] = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra},
            "resourceAttributes": {key: value for key, value in wanted.items() if value},
        }
        review = {"apiVersion": SUBJECTACCESSREVIEWS.api_version, "kind": SUBJECTACCESSREVIEWS.kind, "spec": spec}
        try:
            answer = await self._kube.create(SUBJECTACCESSREVIEWS, review)
        except KubeError as error:
            raise ApiError(
                503, "ServiceUnavailable", f"cannot ask the API server whether this is allowed: {error}", retry_after=1
            ) from error
        status = answer.get("status") or {}
        return bool(status.get("allowed")) and not status.get("denied"), str(status.get("reason") or "")

    def _keep(self, key: tuple[User, Attributes], *, allowed: bool, why: str) -> None:
        self._answers[key] = (time.monotonic() + (_ALLOWED_SECONDS if allowed else _DENIED_SECONDS), allowed, why)
        self._answers.move_to_end(key)
        while len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)


def _forbidden(user: User, attributes: Attributes, why: str) -> ApiError:
    resource = f"{attributes.resource}.{PORCH_GROUP}"
    of = f' "{attributes.name}"' if attributes.name else ""
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    message = (
        f'{resource}{of} is forbidden: User "{user.name}" cannot {attributes.verb} resource "{attributes.resource}" in'
        f' API group "{PORCH_GROUP}" {where}' + (f": {why}" if why else "")
    )
    return ApiError(403, "Forbidden", message, name=attributes.name, kind=attributes.resource)
