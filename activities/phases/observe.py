"""Reading the live object, and the facts that a pass decides on."""

from datetime import UTC, datetime

from porchflow.activities.definitions import ObjectKey
from porchflow.activities.phases.handoff import JustSeen
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.api.intent import intent_key
from porchflow.api.needs import Facts, facts_of
from porchflow.api.packagerevision import PackageRevision
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
        source = spec.source if facts.source_pending and not facts.deleting else None
        repository = await self._repositories.raw(key.namespace, spec.repository) if spec.repository else None
        context = await self._repositories.context(repository, source.secret if source else "")
        if source is not None:
            context += await self._upstreams.context(key.namespace, source.references)
        self._seen.put(key, obj, repository)
        return facts.model_copy(update={"intent": intent_key(obj), "context": context})
