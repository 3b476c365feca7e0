"""Does what the plan says, as the person would, and writes down what was promised."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.devstack.demo.demo_repository import GitFailed
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import AlreadyExists, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONRESOURCES, PACKAGEREVISIONS
from soak.findings import Findings, Violation
from soak.ledger import GONE, Ledger, Wanted
from soak.places import Key
from soak.stack import SoakStack
from soak.work import bodies
from soak.work.actions import CREATES, REFUSED, Action, Kind
from soak.work.pushes import note, note_path, push_note
from soak.work.requests import Asker

LIFECYCLES: dict[Kind, Lifecycle] = {
    Kind.PROPOSE: Lifecycle.PROPOSED,
    Kind.REJECT: Lifecycle.DRAFT,
    Kind.PUBLISH: Lifecycle.PUBLISHED,
    Kind.PROPOSE_DELETION: Lifecycle.DELETION_PROPOSED,
    Kind.UNDO_DELETION: Lifecycle.PUBLISHED,
}


_ATTEMPTS_BESIDE = 3


class Deeds:
    """Actions on PackageRevisions."""

    def __init__(self, stack: SoakStack, ledger: Ledger, asker: Asker, findings: Findings) -> None:
        """Create the deeds of all people."""
        self._stack = stack
        self._ledger = ledger
        self._asker = asker
        self._findings = findings
        self._deeds: dict[Kind, Callable[[Action], Awaitable[int]]] = {
            **dict.fromkeys(CREATES, self._create),
            **dict.fromkeys(LIFECYCLES, self._move),
            **dict.fromkeys(REFUSED, self._be_refused),
            Kind.PUSH: self._push,
            Kind.WRITE: self._write,
            Kind.LABEL: self._label,
            Kind.DELETE: self._delete,
            Kind.RECONCILE: self._reconcile,
            Kind.SUSPEND: self._suspend,
            Kind.RESUME: self._resume,
        }

    async def do(self, action: Action) -> int:
        """Do one action.

        Returns:
            The generation that it gave its object; 0 where it gave none.

        Raises:
            Refused: The API server refuses it for good.
            CutOff: The run is over; it may or may not have been done.
        """
        return await self._deeds[action.kind](action)

    def _client(self, action: Action) -> KubeClient:
        return self._stack.clients[action.user]

    async def _patch(self, action: Action, body: bodies.Body) -> int:
        key, client = action.object, self._client(action)
        request = partial(client.merge_patch, PACKAGEREVISIONS, key.namespace, key.name, body)
        return _generation(await self._asker.ask(request))

    async def _create(self, action: Action) -> int:
        promise = self._ledger.make(action.object)
        promise.stalled = Reason.PACKAGE_EXISTS if action.kind is Kind.INIT_AGAIN else ""
        promise.wanted = frozenset({Lifecycle.DRAFT, GONE})
        promise.sources = action.sources
        if action.sources and action.kind is not Kind.CLONE:
            self._inherit(action)
        client, body = self._client(action), bodies.creation(action)

        async def create() -> Object:
            try:
                return await client.create(PACKAGEREVISIONS, body)
            except AlreadyExists:
                # An attempt before this one was carried out, and its answer lost.
                return await client.get(PACKAGEREVISIONS, action.object.namespace, action.object.name)

        generation = _generation(await self._asker.ask(create))
        promise.wanted = frozenset({Lifecycle.DRAFT})
        return generation

    def _inherit(self, action: Action) -> None:
        """Promise of a next revision what the one before it has."""
        before = self._ledger.promise(action.sources[-1])
        promise = self._ledger.promise(action.object)
        promise.tokens = list(before.tokens)
        promise.labels = list(before.labels)

    async def _move(self, action: Action) -> int:
        wanted: Wanted = LIFECYCLES[action.kind]
        promise = self._ledger.promise(action.object)
        promise.wanted |= {wanted}
        generation = await self._patch(action, bodies.lifecycle(LIFECYCLES[action.kind]))
        promise.wanted = frozenset({wanted})
        promise.published = promise.published or wanted is Lifecycle.PUBLISHED
        return generation

    async def _push(self, action: Action) -> int:
        attempts: list[str] = []
        while not await self._push_once(action, attempts):
            await self._asker.pause()
        return 0

    async def push_beside(self, action: Action) -> bool:
        """Push to a draft that somebody may propose, publish or delete meanwhile.

        Returns:
            Whether Git accepted it; it need not, for the branch may be gone.

        Raises:
            CutOff: The run is over; it may or may not have been done.
        """
        attempts: list[str] = []
        for _ in range(_ATTEMPTS_BESIDE):
            if await self._push_once(action, attempts):
                return True
            await self._asker.pause()
        return False

    async def _push_once(self, action: Action, attempts: list[str]) -> bool:
        key = action.object
        url = f"{self._stack.git_url}/{key.place.git}.git"
        try:
            commit = await asyncio.to_thread(push_note, url, key, action.token, action.user, attempts)
        except GitFailed:
            return False
        promise = self._ledger.promise(key)
        promise.pushed.append(commit)
        promise.tokens.append(action.token)
        return True

    async def _write(self, action: Action) -> int:
        key, promise, client = action.object, self._ledger.promise(action.object), self._client(action)
        patch = {"spec": {"resources": {note_path(action.token): note(action.token, action.user)}}}
        request = partial(client.merge_patch, PACKAGEREVISIONRESOURCES, key.namespace, key.name, patch)
        answer = await self._asker.ask(request)
        promise.pushed.append(str(answer["metadata"]["resourceVersion"]))
        promise.tokens.append(action.token)
        return 0

    async def _label(self, action: Action) -> int:
        generation = await self._patch(action, bodies.label(action.token))
        self._ledger.promise(action.object).labels.append(action.token)
        return generation

    async def _delete(self, action: Action) -> int:
        promise, client, key = self._ledger.promise(action.object), self._client(action), action.object
        promise.wanted |= {GONE}

        async def delete() -> Object:
            try:
                return await client.delete(PACKAGEREVISIONS, key.namespace, key.name)
            except NotFound:
                return {}

        await self._asker.ask(delete)
        promise.wanted = frozenset({GONE})
        return 0

    async def _reconcile(self, action: Action) -> int:
        await self._patch(action, bodies.reconcile_now(action.token))
        return 0

    async def _suspend(self, action: Action) -> int:
        self._ledger.promise(action.object).suspended = True
        await self._patch(action, bodies.suspension("the soak"))
        return 0

    async def _resume(self, action: Action) -> int:
        await self._patch(action, bodies.suspension(None))
        self._ledger.promise(action.object).suspended = False
        return 0

    async def resume(self, key: Key) -> None:
        """Resume an object at the end of a run, as the administrator."""
        admin = self._stack.admin
        request = partial(admin.merge_patch, PACKAGEREVISIONS, key.namespace, key.name, bodies.suspension(None))
        await self._asker.ask(request)
        self._ledger.promise(key).suspended = False

    async def _be_refused(self, action: Action) -> int:
        key, client = action.object, self._client(action)
        if action.kind is Kind.DELETE_PUBLISHED:
            request = partial(client.delete, PACKAGEREVISIONS, key.namespace, key.name)
        else:
            body = bodies.lifecycle(Lifecycle.PUBLISHED)
            request = partial(client.merge_patch, PACKAGEREVISIONS, key.namespace, key.name, body)
        if not await self._asker.is_refused(request):
            self._findings.add([Violation("refusals", str(key), f"{action.kind} by {action.user} must be refused")])
        return 0


def _generation(obj: Object) -> int:
    return int(obj["metadata"]["generation"])
