"""Reading the live object, and the facts that a pass decides on."""

from datetime import UTC, datetime

from porchflow.activities.definitions import ObjectKey
from porchflow.activities.running.handoff import JustSeen, version_of
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.api.models.packagerevision import PackageRevision, PackageSource, SubpackageOperation
from porchflow.api.work.intent import intent_key
from porchflow.api.work.needs import Facts, facts_of
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories


class Observer:
    """Turns a live object into the facts that a pass decides on."""

    def __init__(self, kube: KubeClient, repositories: Repositories, upstreams: Upstreams, seen: JustSeen) -> None:
        """Create the observer.

        Args:
            kube: Reads the object.
            repositories: Reads its Repository and Secrets.
            upstreams: Reads the package revisions that its source names.
            seen: Receives the object and its Repository for the first phase.
        """
        self._kube = kube
        self._repositories = repositories
        self._upstreams = upstreams
        self._seen = seen

    async def facts(self, key: ObjectKey) -> Facts:
        """Read one object; a missing one has the fact `exists=False`.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, key.namespace, key.name)
        except NotFound:
            return Facts(exists=False)
        spec = PackageRevision.model_validate(obj).spec
        facts = facts_of(obj, datetime.now(UTC), access_changed=True)
        asked: list[PackageSource | SubpackageOperation] = [
            *([spec.source] if facts.source_pending and spec.source is not None else []),
            *(
                [spec.subpackage_operation]
                if facts.subpackage_pending and spec.subpackage_operation is not None
                else []
            ),
        ]
        asked = asked if not facts.deleting else []
        repository = await self._repositories.raw(key.namespace, spec.repository) if spec.repository else None
        context = await self._repositories.context(repository, *(each.secret for each in asked))
        for each in asked:
            context += await self._upstreams.context(key.namespace, each.references)
        self._seen.put(key, obj, repository)
        return facts.model_copy(update={"intent": intent_key(obj), "context": context, "version": version_of(obj)})
