"""Authorization by the API server, whose decisions are cached for a moment."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from porchflow.api.names import PORCH_GROUP
from porchflow.api.newest import Newest
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


class _Answer(NamedTuple):
    """The API server's answer to a review, and until when it is taken again; seconds of the monotonic clock."""

    until: float
    allowed: bool
    why: str


class Authorizer:
    """Authorizes requests by SubjectAccessReview."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers = Newest[tuple[User, Attributes], _Answer](_KEPT_ANSWERS)

    async def check(self, user: User, attributes: Attributes) -> None:
        """Check that a user may do what a request asks for.

        Raises:
            ApiError: The user may not do this; or the API server does not answer the review, which grants nothing
                either.
        """
        key = (user, attributes)
        answer = self._answers.get(key)
        if answer is None or answer.until <= time.monotonic():
            answer = await self._ask(user, attributes)
            self._answers.put(key, answer)
        if not answer.allowed:
            raise _forbidden(user, attributes, answer.why)

    async def _ask(self, user: User, attributes: Attributes) -> _Answer:
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
        allowed = bool(status.get("allowed")) and not status.get("denied")
        until = time.monotonic() + (_ALLOWED_SECONDS if allowed else _DENIED_SECONDS)
        return _Answer(until, allowed, str(status.get("reason") or ""))


def _forbidden(user: User, attributes: Attributes, why: str) -> ApiError:
    resource = f"{attributes.resource}.{PORCH_GROUP}"
    of = f' "{attributes.name}"' if attributes.name else ""
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    message = (
        f'{resource}{of} is forbidden: User "{user.name}" cannot {attributes.verb} resource "{attributes.resource}" in'
        f' API group "{PORCH_GROUP}" {where}' + (f": {why}" if why else "")
    )
    return ApiError(403, "Forbidden", message, name=attributes.name, kind=attributes.resource)
