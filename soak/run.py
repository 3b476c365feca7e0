"""Runs a soak, and says what it found."""

import asyncio
import contextlib
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from porchflow.devstack.demo.demo_repository import GitFailed
from porchflow.devstack.run import STACK_ERRORS
from soak.findings import Findings
from soak.invariants.temporal import run_sizes
from soak.journal import Journal
from soak.ledger import Ledger
from soak.observer import Observer, observing
from soak.people import gathered
from soak.places import PLACES
from soak.settling import Invariants
from soak.stack import SoakStack, running_soak_stack
from soak.trouble.fault_plan import FAULTS, MEANINGS, faults_until
from soak.trouble.faults import Faults
from soak.work.deeds import Deeds
from soak.work.plan import Plan
from soak.work.player import Player
from soak.work.repositories import Repositories
from soak.work.requests import Asker, CutOff

_DRAIN_SECONDS = 120.0
"""For the requests that are under way when the faults have ended."""


@dataclass(frozen=True)
class Order:
    """What a run shall do.

    Attributes:
        seed: Of actions and faults.
        seconds: How long actions begin.
        faults: Kinds of faults; none at all where it is empty.
    """

    seed: int
    seconds: float
    faults: Sequence[str]


class Soak:
    """One run on a running stack."""

    def __init__(
        self, stack: SoakStack, order: Order, observer: Observer, findings: Findings, journal: Journal
    ) -> None:
        """Put together the run of an order."""
        self._stack, self._order, self._findings, self._journal = stack, order, findings, journal
        self._ledger, self._asker, self._last_asker = Ledger(), Asker(), Asker()
        self._deeds = Deeds(stack, self._ledger, self._last_asker, findings)
        self._repositories = Repositories(stack, self._ledger, observer, self._last_asker, findings)
        self._player = Player(
            stack=stack,
            deeds=Deeds(stack, self._ledger, self._asker, findings),
            repositories=Repositories(stack, self._ledger, observer, self._asker, findings),
            ledger=self._ledger,
            observer=observer,
            findings=findings,
            journal=journal,
        )
        self._faults = Faults(stack, journal)
        self._invariants = Invariants(stack, self._ledger, observer, findings, journal)

    async def run(self, interrupted: asyncio.Event) -> None:
        """Play actions and faults, mend everything, and check; an interrupt ends it with the findings so far."""
        self._journal.start_clock()
        looking = asyncio.create_task(self._invariants.watch())
        try:
            await self._play(interrupted)
            if not interrupted.is_set():
                await _either(self._check(), interrupted)
        finally:
            self._asker.end()
            self._last_asker.end()
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        if looking.done() and not looking.cancelled():
            looking.result()
        if interrupted.is_set():
            self._journal.say("soak", "interrupted: what must hold at the end was not looked at")

    async def _play(self, interrupted: asyncio.Event) -> None:
        actions = Plan(self._order.seed).until(self._order.seconds)
        faults = faults_until(self._order.seed, self._order.seconds, self._order.faults) if self._order.faults else []
        playing = asyncio.create_task(self._player.play(actions))
        failing = asyncio.create_task(self._faults.make(faults))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._order.seconds):
                await interrupted.wait()
        self._player.stop()
        failing.cancel()
        await asyncio.gather(failing, return_exceptions=True)
        await playing
        self._journal.say("soak", "no more actions and faults")

    async def _check(self) -> None:
        await self._faults.mended()
        if not await self._player.drained(_DRAIN_SECONDS):
            self._asker.end()
            await self._player.drained(_DRAIN_SECONDS)
        for promise in list(self._ledger.promises.values()):
            if promise.suspended:
                await self._deeds.resume(promise.key)
        await self._invariants.check_all(self._sync_all)

    async def _sync_all(self, token: str) -> None:
        with contextlib.suppress(CutOff):
            await asyncio.gather(*(self._repositories.sync(place, token) for place in PLACES))

    async def report(self) -> None:
        """Write down the numbers of the run."""
        say = self._journal.say
        say("report", f"seed {self._order.seed}, {self._order.seconds / 60:g} minutes")
        say("report", "actions: " + _counted(self._player.outcomes))
        say("report", "faults: " + _counted(self._faults.made))
        promises = self._ledger.promises.values()
        pushed = sum(len(promise.pushed) for promise in promises)
        published = sum(promise.published for promise in promises)
        say("report", f"{len(promises)} package revisions, {published} published, {pushed} pushes accepted")
        for part, sizes in self._invariants.memory.growth().items():
            say("report", f"memory of {part}: {sizes}")
        with contextlib.suppress(Exception):
            say("report", f"Temporal: {await run_sizes(self._stack.temporal)}")


def _counted(counts: "dict[str, int]") -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


async def _either(work: Coroutine[Any, Any, None], interrupted: asyncio.Event) -> None:
    """Do the work until it is done or there is an interrupt."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(interrupted.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    else:
        working.result()


@contextlib.contextmanager
def _interrupts() -> Iterator[asyncio.Event]:
    """Return the event that ctrl-C and SIGTERM set while the context is open."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def soak(order: Order, state: Path, journal: Journal) -> Findings:
    """Run an order on a stack that is started for it; return the findings."""
    findings = Findings(journal)
    with _interrupts() as interrupted:
        async with (
            running_soak_stack(state, journal) as stack,
            gathered(stack),
            observing(stack.admin, findings) as observer,
        ):
            run = Soak(stack, order, observer, findings, journal)
            await run.run(interrupted)
            await run.report()
    return findings


def _kinds(_: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    names = value.split(",")
    if not {*names} <= {*FAULTS}:
        raise click.BadParameter(f"some of {', '.join(FAULTS)}, separated by commas", param=parameter)
    return [name for name in FAULTS if name in names]


@click.command()
@click.option(
    "--minutes", type=click.FloatRange(0.1, 7 * 24 * 60), default=30.0, help="How long actions begin [default 30]"
)
@click.option("--seed", type=click.IntRange(0), help="Repeats the actions and faults of another run [default: any]")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the stack and of soak.log, new or empty, which is kept [default: one that goes when all is well]",
)
@click.option("--without-faults", is_flag=True, help="Actions alone.")
@click.option(
    "--only",
    default=",".join(FAULTS),
    callback=_kinds,
    help="Kinds of faults, separated by commas: " + "; ".join(f"{name}: {MEANINGS[name]}" for name in FAULTS),
)
def main(*, minutes: float, seed: int | None, state_dir: Path | None, without_faults: bool, only: list[str]) -> None:
    """Do random work with random faults on a stack of its own, and check what must hold all the same.

    Ends with 0 when everything holds, 1 when something is violated, 2 when it cannot run.
    """
    if state_dir and state_dir.exists() and any(state_dir.iterdir()):
        raise click.BadParameter(f"{state_dir} is not empty: name a new folder", param_hint="--state-dir")
    state = state_dir or Path(tempfile.mkdtemp(prefix="porchflow-soak-"))
    order = Order(secrets.randbelow(1_000_000) if seed is None else seed, minutes * 60, [] if without_faults else only)
    journal = Journal(state)
    journal.say("soak", f"seed {order.seed}, {minutes:g} minutes, {', '.join(order.faults) or 'no faults'}")
    try:
        findings = asyncio.run(soak(order, state, journal))
    except (GitFailed, *STACK_ERRORS) as error:
        click.echo(f"Error: {error}\nthe logs are in {state / 'logs'}", err=True)
        sys.exit(2)
    conclude(findings, journal, state, kept=state_dir is not None)


def conclude(findings: Findings, journal: Journal, state: Path, *, kept: bool) -> None:
    """Name every violation, and end the process with 1 where there is one.

    Args:
        findings: Of the run.
        journal: Its log, which ends here.
        state: The folder of its stack.
        kept: Whether that is kept although all is well.
    """
    for violation, seconds in findings.violations.items():
        journal.say("VERDICT", f"{violation} [found at {seconds:.1f}]")
    count = len(findings.violations)
    journal.say("VERDICT", f"{count} violations; the logs are in {state}" if count else "everything holds")
    journal.close()
    if not count and not kept:
        shutil.rmtree(state)
    sys.exit(1 if count else 0)
