"""The durable reconcile of one PackageRevision: order of phases, cancellation by newer intent, waits."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    # `from porchflow.workflows import policies` would load a second copy of it for every run: the sandbox passes a
    # module through only when the import statement names it in full.
    import porchflow.workflows.policies as policies  # noqa: PLR0402
    from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult, ReconcileActivities
    from porchflow.api.error_kinds import ErrorKind
    from porchflow.api.models.conditions import Reason
    from porchflow.api.models.packagerevision import Lifecycle, RunOutcome
    from porchflow.api.work.needs import Facts, Phase, plan
    from porchflow.workflows.ids import LOOK_AGAIN_SIGNAL, WORKFLOW_NAME, Attributes, PackageRevisionInput
    from porchflow.workflows.losses import is_lost, never_began
    from porchflow.workflows.results import Outcome, PackageRevisionResult

_LINE_LIMIT = 300
"""Characters of a line in the current details; with 50 lines they stay far below what a payload may hold."""

_FINAL_KINDS = frozenset({ErrorKind.STALLED, ErrorKind.SUPERSEDED, ErrorKind.LOST})
"""Kinds of error that end a local attempt and what follows it; after any other the phase goes on as an activity."""

_EVENTS_OF_A_FIRST_TASK = 3
"""Events of a history until its first workflow task is started, without signals."""

_TRIED_AGAIN = {ErrorKind.TRANSIENT: RunOutcome.RETRYING, ErrorKind.WAITING: RunOutcome.WAITING}
"""How the run stands after an attempt that is followed by another."""

_PhaseHandle = workflow.ActivityHandle[PhaseResult]


class _SupersededError(Exception):
    """The object has a newer intent than the pass that runs."""


class _StalledError(Exception):
    """A phase found that a person must act; its text is the message of the condition."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@workflow.defn(name=WORKFLOW_NAME)
class PackageRevisionWorkflow:
    """Runs passes over one object until a pass ends without a new signal.

    One run is one reconcile. A pass reads the live object and runs the phases that have work; a signal means no more
    than "look again". When a look during a phase shows newer intent, that phase is cancelled and a new pass starts.
    """

    @workflow.init
    def __init__(self, target: PackageRevisionInput) -> None:
        self._target = target
        self._key = ObjectKey(namespace=target.namespace, name=target.name)
        self._look_again = True
        self._signals = 0
        self._failed_looks = 0
        self._deaths = dict(target.deaths)
        self._log: list[str] = []
        self._resume_at: datetime | None = None
        self._result = PackageRevisionResult(outcome=Outcome.CONVERGED)

    @workflow.signal(name=LOOK_AGAIN_SIGNAL)
    def look_again(self) -> None:
        """Handle the signal: the object may have a new intent."""
        self._look_again = True
        self._signals += 1

    @workflow.run
    async def run(self, target: PackageRevisionInput) -> PackageRevisionResult:
        """Reconcile until no signal arrives during a pass.

        Returns:
            The result of the last pass.

        Raises:
            ApplicationError: Of type Stalled, with the message of the condition, when a person must act.
        """
        # The signal that comes with the start is handled in this very task, so the first pass covers it.
        await asyncio.sleep(0)
        while self._look_again:
            if self._is_long():
                workflow.continue_as_new(target.model_copy(update={"deaths": self._deaths}))
            self._look_again = False
            self._result = await self._pass()
            if self._resume_at is not None and not self._look_again:
                await self._sleep_until(self._resume_at)
        if self._result.outcome is Outcome.STALLED:
            raise ApplicationError(self._result.message, type=ErrorKind.STALLED, non_retryable=True)
        if self._told_outcome():
            # Most runs meet no obstacle and cost no update: their status in Temporal says it all.
            self._tell(RunOutcome.SUCCEEDED)
        return self._result

    def _is_long(self) -> bool:
        return (
            self._signals >= policies.SIGNALS_PER_RUN
            or self._failed_looks >= policies.FAILED_LOOKS_PER_RUN
            or workflow.info().is_continue_as_new_suggested()
        )

    async def _sleep_until(self, moment: datetime) -> None:
        """Wait for the end of a suspension, or for a signal: a user may end it earlier."""
        left = min(max(moment - workflow.now(), policies.SHORTEST_SLEEP), policies.LONGEST_SLEEP)
        self._tell(RunOutcome.SUSPENDED)
        self._note(f"suspended until {moment.isoformat()}")
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._look_again, timeout=left)
        self._look_again = True

    async def _pass(self) -> PackageRevisionResult:
        facts = await self._observe()
        self._resume_at = facts.resume_at
        try:
            return await self._run_phases(facts)
        except _SupersededError:
            self._note("superseded by a newer request; starting over")
            self._look_again = True
            return PackageRevisionResult(outcome=Outcome.SUPERSEDED)
        except _StalledError as stalled:
            self._tell(RunOutcome.STALLED, stalled.reason)
            return PackageRevisionResult(outcome=Outcome.STALLED, message=str(stalled))

    async def _run_phases(self, facts: Facts) -> PackageRevisionResult:
        result = PhaseResult(summary="nothing to do" if facts.exists else "the object is gone", current=facts.current)
        phases = plan(facts)
        if not phases and facts.exists and self._result.outcome is Outcome.STALLED:
            # A late signal without a new intent leaves the object stalled: a person must still act.
            return self._result
        if not phases:
            # Also where the server did not take the task that did the work, because a signal came meanwhile.
            self._note(f"looked: {result.summary}")
        for phase in phases:
            if phase is Phase.RENDER and result.rendered:
                continue
            result = await self._run_and_tell(phase, facts, result)
            facts = facts.model_copy(update={"version": ""})
            if phase is Phase.RENDER and result.current is not Lifecycle.DRAFT:
                # Git differs from the status: the phase corrects the status, and the next look judges the object anew.
                result = await self._run_and_tell(Phase.LIFECYCLE, facts, result)
                self._look_again = True
                break
        return PackageRevisionResult(
            outcome=Outcome.CONVERGED, message=result.summary, lifecycle=result.current, revision=result.revision
        )

    async def _run_and_tell(self, phase: Phase, facts: Facts, before: PhaseResult) -> PhaseResult:
        """Run a phase and note its result.

        Raises:
            _SupersededError: The pass is to start over.
            _StalledError: A person must act.
        """
        began = workflow.now()
        try:
            result = await self._run_phase(phase, facts, before)
        except (ActivityError, ApplicationError) as error:
            cause = _cause(error)
            if cause is None:
                raise
            if cause.type == ErrorKind.SUPERSEDED:
                raise _SupersededError from error
            self._note(f"{phase}: stalled after {policies.told_duration(workflow.now() - began)}: {cause.message}")
            raise _StalledError(cause.message, _reason(cause)) from error
        self._note(f"{phase}: {result.summary}; took {policies.told_duration(workflow.now() - began)}")
        for line in result.notes:
            self._note(f"{phase}: {line}")
        return result

    async def _run_phase(self, phase: Phase, facts: Facts, before: PhaseResult) -> PhaseResult:
        """Run a phase until it ends in one way or another; from the first lost process on, run it isolated.

        The count is kept by the run, whose history has each loss, and by the run that it continues as. It stays when a
        newer intent supersedes the phase, so that edits in a row do not end one worker each; it is forgotten once the
        phase has ended normally.
        """
        if facts.reason == Reason.PHASE_CRASHED:
            # The object stalled so, in a run before: no other worker is put at risk.
            self._deaths.setdefault(phase, 1)
        while True:
            deaths = self._deaths.get(phase, 0)
            request = PhaseInput(
                namespace=self._key.namespace,
                name=self._key.name,
                intent=facts.intent,
                version=facts.version,
                commit=before.commit,
                deaths=deaths,
                tried_before=self._may_be_tried_before(),
            )
            try:
                if deaths:
                    result = await self._run_isolated(request, phase, facts)
                else:
                    result = await self._run_among_others(request, phase, facts)
            except (ActivityError, ApplicationError) as error:
                if is_lost(error):
                    self._deaths[phase] = deaths + 1
                    self._note(f"{phase}: its process ended before it; it goes on in a process of its own")
                elif not never_began(error):
                    raise
            else:
                self._deaths.pop(phase, None)
                return result
            if self._is_long():
                raise _SupersededError

    def _may_be_tried_before(self) -> bool:
        """Whether the workflow task at hand may be another attempt, after one that was lost with its worker.

        The history of a first task that is tried for the first time has the start of the run, the signals, and that the
        task was scheduled and started. Of any later task the run cannot tell, and the activity asks the server.
        """
        return workflow.info().get_current_history_length() != self._signals + _EVENTS_OF_A_FIRST_TASK

    async def _run_among_others(self, request: PhaseInput, phase: Phase, facts: Facts) -> PhaseResult:
        policy = policies.PHASES[phase]
        if policy.first_locally:
            try:
                return await self._follow(self._start_locally(policy, request, phase), facts)
            except (ActivityError, ApplicationError) as error:
                cause = _cause(error)
                if cause is not None and cause.type in _FINAL_KINDS:
                    raise
                if cause is not None and cause.type in _TRIED_AGAIN:
                    self._tell(_TRIED_AGAIN[ErrorKind(cause.type)], _reason(cause))
                    self._note(f"{phase}: {policies.told_retries(policy)}: {cause.message}")
        self._show_phase(phase, facts)
        return await self._follow(self._start(policy, request, phase, facts), facts)

    async def _run_isolated(self, request: PhaseInput, phase: Phase, facts: Facts) -> PhaseResult:
        self._show_phase(phase, facts)
        policy = policies.isolated(policies.PHASES[phase])
        return await self._follow(self._start(policy, request, phase, facts, policies.ISOLATED_WAIT), facts)

    def _start_locally(self, policy: policies.PhasePolicy, request: PhaseInput, phase: Phase) -> _PhaseHandle:
        return workflow.start_local_activity_method(
            policy.activity,
            request,
            start_to_close_timeout=policies.FIRST_ATTEMPT_TIMEOUT,
            retry_policy=policies.FIRST_ATTEMPT_RETRY,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=f"{phase} {self._key.name}",
        )

    def _start(
        self,
        policy: policies.PhasePolicy,
        request: PhaseInput,
        phase: Phase,
        facts: Facts,
        wait: timedelta | None = None,
    ) -> _PhaseHandle:
        return workflow.start_activity_method(
            policy.activity,
            request,
            task_queue=policies.beside(workflow.info().task_queue, policy.queue),
            schedule_to_start_timeout=wait,
            start_to_close_timeout=policy.start_to_close,
            heartbeat_timeout=policy.heartbeat,
            retry_policy=policy.retry,
            cancellation_type=(
                ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
                if policy.waits_when_superseded
                else ActivityCancellationType.TRY_CANCEL
            ),
            summary=f"{phase} {self._key.name}",
            priority=policies.fairness(self._key.namespace, facts.repository),
        )

    async def _follow(self, handle: _PhaseHandle, facts: Facts) -> PhaseResult:
        while True:
            await workflow.wait_condition(lambda: self._look_again or handle.done())
            if handle.done():
                return await handle
            self._look_again = False
            # A phase that retries for weeks must not hold a run open until its history is full: the run continues as
            # new.
            if self._is_long() or await self._superseded(facts, handle):
                handle.cancel()
                await workflow.wait_condition(handle.done)
                # Its end no longer matters; but asyncio logs a task as faulty whose exception nobody retrieved.
                _ = handle.cancelled() or handle.exception()
                raise _SupersededError

    async def _superseded(self, facts: Facts, phase: _PhaseHandle) -> bool:
        """Return whether a phase that runs is to end: for a newer intent, or because the run has become long."""
        for delay in policies.look_delays():
            latest = await self._look()
            if latest is not None:
                if latest.outcome is not None and latest.outcome in _TRIED_AGAIN.values():
                    self._tell(latest.outcome, latest.reason)
                return (latest.intent, latest.context) != (facts.intent, facts.context)
            if self._is_long():
                return True
            await self._wait(delay, phase.done)
            if phase.done():
                # The look of the signal failed, so it is still to come.
                self._look_again = True
                return False
        raise AssertionError("the delays do not end")

    async def _observe(self) -> Facts:
        """Read the object, however long that takes; a signal makes the run try at once.

        The loop is here, and not in a retry policy, so that the history stays short while the API server is away.
        """
        for delay in policies.look_delays():
            facts = await self._look()
            if facts is not None:
                return facts
            if self._is_long():
                workflow.continue_as_new(self._target)
            await self._wait(delay, lambda: False)
        raise AssertionError("the delays do not end")

    async def _look(self) -> Facts | None:
        """Read the object; None, with a note, when it cannot be read now."""
        self._look_again = False
        try:
            return await workflow.execute_local_activity_method(
                ReconcileActivities.observe,
                self._key,
                schedule_to_close_timeout=policies.LOOK_TIMEOUT,
                start_to_close_timeout=policies.OBSERVE_TIMEOUT,
                retry_policy=policies.OBSERVE_RETRY,
                local_retry_threshold=policies.LOOK_TIMEOUT,
            )
        except (ActivityError, ApplicationError) as error:
            if is_cancelled_exception(error):
                raise
            self._failed_looks += 1
            cause = _cause(error)
            self._note(f"the object cannot be read, trying again: {cause.message if cause else 'no answer in time'}")
            return None

    async def _wait(self, delay: timedelta, until: Callable[[], bool]) -> None:
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._look_again or until(), timeout=delay)

    def _show_phase(self, phase: Phase, facts: Facts) -> None:
        attributes = Attributes(self._target.attribute_prefix)
        updates: list[SearchAttributeUpdate[Any]] = [attributes.phase.value_set(phase)]
        if facts.desired is not None:
            updates.append(attributes.lifecycle.value_set(facts.desired))
        workflow.upsert_search_attributes(updates)
        self._note(f"{phase}: running")

    def _told_outcome(self) -> str:
        """Return the outcome that the search attributes tell, also of a run before this one."""
        attributes = Attributes(self._target.attribute_prefix)
        return workflow.info().typed_search_attributes.get(attributes.outcome, "")

    def _tell(self, outcome: RunOutcome, reason: str = "") -> None:
        """Set the search attributes for outcome and reason where they are others."""
        if not self._target.shows_outcome:
            return
        attributes = Attributes(self._target.attribute_prefix)
        told = workflow.info().typed_search_attributes.get(attributes.reason, "")
        if (self._told_outcome(), told) == (outcome, reason):
            return
        reason_update = attributes.reason.value_set(reason) if reason else attributes.reason.value_unset()
        workflow.upsert_search_attributes([attributes.outcome.value_set(outcome), reason_update])

    def _note(self, line: str) -> None:
        self._log = [*self._log[-49:], f"- {workflow.now():%Y-%m-%d %H:%M:%S} {policies.told_line(line[:_LINE_LIMIT])}"]
        workflow.set_current_details("\n".join(self._log))


def _reason(cause: ApplicationError) -> str:
    """Return the reason of the condition; a worker of an older version names none."""
    return str(cause.details[0]) if cause.details else ""


def _cause(error: ActivityError | ApplicationError) -> ApplicationError | None:
    """Return the error that an activity raised; a local activity's error comes unwrapped."""
    cause = error.cause if isinstance(error, ActivityError) else error
    return cause if isinstance(cause, ApplicationError) else None
