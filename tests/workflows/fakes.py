"""Activities of the same names as the real ones, scripted by a test."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from temporalio import activity
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase

ISOLATED = "-isolated"
"""How the name of a test's queue of isolated phases ends."""

Behaviour = Callable[[PhaseInput], PhaseResult]


class FakeActivities:
    """Keeps the facts a test sets, counts calls, and lets a test hold a phase until it says so."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.calls: Counter[str] = Counter()
        self.requests: list[tuple[Phase, PhaseInput]] = []
        self.failures: dict[Phase, list[ApplicationError]] = {}
        self.held: dict[Phase, asyncio.Event] = {}
        self.instead: dict[Phase, Callable[[PhaseInput], Awaitable[None]]] = {}
        self.lingers: dict[Phase, asyncio.Event] = {}
        self.entered: dict[Phase, asyncio.Event] = {phase: asyncio.Event() for phase in Phase}
        self.attempted_locally: list[Phase] = []
        """Phases whose first attempt was part of the workflow's task; one that is held is handed over at once."""
        self.isolated: list[Phase] = []
        """Phases that ran isolated."""
        self.cancelled: list[Phase] = []
        self.ended: list[Phase] = []
        self.render_finds: Lifecycle | None = Lifecycle.DRAFT
        self.rendered_by_source = False
        self.unreadable: ApplicationError | None = None
        """Why the object cannot be read now."""
        self.after: dict[Phase, Callable[[], None]] = {}

    @activity.defn(name="observe")
    async def observe(self, key: ObjectKey) -> Facts:
        self.calls["observe"] += 1
        if self.unreadable is not None:
            raise self.unreadable
        return self.facts

    @activity.defn(name="execute_source")
    async def execute_source(self, request: PhaseInput) -> PhaseResult:
        return await self._phase(Phase.SOURCE, request)

    @activity.defn(name="change_subpackage")
    async def change_subpackage(self, request: PhaseInput) -> PhaseResult:
        return await self._phase(Phase.SUBPACKAGE, request)

    @activity.defn(name="render")
    async def render(self, request: PhaseInput) -> PhaseResult:
        return await self._phase(Phase.RENDER, request)

    @activity.defn(name="move_lifecycle")
    async def move_lifecycle(self, request: PhaseInput) -> PhaseResult:
        return await self._phase(Phase.LIFECYCLE, request)

    @activity.defn(name="finalize")
    async def finalize(self, request: PhaseInput) -> PhaseResult:
        return await self._phase(Phase.FINALIZE, request)

    @activity.defn(name="suspend")
    async def suspend(self, request: PhaseInput) -> PhaseResult:
        return await self._phase(Phase.SUSPEND, request)

    async def _phase(self, phase: Phase, request: PhaseInput) -> PhaseResult:
        if activity.info().is_local:
            self.attempted_locally.append(phase)
            if phase in self.held or phase in self.instead:
                raise ApplicationError("takes too long", type="HandedOver", non_retryable=True)
        if activity.info().task_queue.endswith(ISOLATED):
            self.isolated.append(phase)
        self.calls[phase] += 1
        self.requests.append((phase, request))
        self.entered[phase].set()
        if failures := self.failures.get(phase):
            raise failures.pop(0)
        if phase in self.instead:
            await self.instead[phase](request)
        if phase in self.held:
            await self._hold(phase)
        if request.intent != self.facts.intent:
            raise ApplicationError("the object asks for something newer", type="Superseded", non_retryable=True)
        if after := self.after.get(phase):
            after()
        rendered = self.rendered_by_source and phase is Phase.SOURCE
        current = self.render_finds if phase is Phase.RENDER else self.facts.desired
        return PhaseResult(summary=f"{phase} done", current=current, commit="c0ffee", rendered=rendered)

    async def _hold(self, phase: Phase) -> None:
        released = asyncio.ensure_future(self.held[phase].wait())
        try:
            while not released.done():
                activity.heartbeat()
                await asyncio.wait({released}, timeout=0.2)
        except asyncio.CancelledError:
            self.cancelled.append(phase)
            if phase in self.lingers:
                await self.lingers[phase].wait()
            self.ended.append(phase)
            raise
        finally:
            released.cancel()

    @property
    def all(self) -> list[Callable[..., object]]:
        return [
            self.observe,
            self.execute_source,
            self.change_subpackage,
            self.render,
            self.move_lifecycle,
            self.finalize,
            self.suspend,
        ]
