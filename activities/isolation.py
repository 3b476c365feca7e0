"""Phases and syncs that run isolated, because a process has ended with them: in a child process, one at a time."""

from typing import Any, Protocol

from porchflow.activities.definitions import PhaseInput, PhaseResult, SyncRequest, SyncResult
from porchflow.activities.heartbeat import heartbeating
from porchflow.activities.reconcile import PhaseActivities
from porchflow.activities.sync.sync import RepositorySync
from porchflow.api.work.needs import Phase


class ChildDied(Exception):  # noqa: N818 - an event more than an error
    """The child process ended during its work. The text says how, with "it" for the work."""


class Child(Protocol):
    """Runs activities in a child process."""

    async def run(self, name: str, request: PhaseInput | SyncRequest) -> Any:  # noqa: ANN401 - the activity's result
        """Run one activity, as that in whose context this is called.

        Args:
            name: Of the activity.
            request: Its input.

        Raises:
            ChildDied: The child process ended.
            ApplicationError: The activity failed.
        """
        ...


class Isolation:
    """Runs activities in the child process, and turns its death into an ordinary failure of them."""

    def __init__(self, phases: PhaseActivities, sync: RepositorySync, child: Child) -> None:
        """Create the activities.

        Args:
            phases: Report the deaths of phases.
            sync: Reports those of syncs.
            child: Runs activities.
        """
        self._phases = phases
        self._sync = sync
        self._child = child

    async def run_phase(self, phase: Phase, name: str, request: PhaseInput) -> PhaseResult:
        """Run one phase isolated; its own report is that of the child process.

        Args:
            phase: The phase.
            name: Of its activity.
            request: The request for it.

        Raises:
            ApplicationError: The phase failed, or the child process ended: of type Lost, or Stalled after
                `PHASE_DEATHS`.
        """
        try:
            async with heartbeating():
                result: PhaseResult = await self._child.run(name, request)
        except ChildDied as death:
            return await self._phases.died(phase, request, str(death))
        return result

    async def run_sync(self, name: str, request: SyncRequest) -> SyncResult:
        """Run one sync isolated; see `run_phase`."""
        try:
            async with heartbeating():
                result: SyncResult = await self._child.run(name, request)
        except ChildDied as death:
            return await self._sync.died(request, str(death))
        return result
