import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porchflow.watcher.dispatcher import Dispatcher
from porchflow.watcher.needs import Target
from porchflow.watcher.temporal.temporal_errors import SignalRefused, TemporalUnavailable
from tests.servers.waiting import eventually
from tests.watcher.signallers import RecordingSignaller


def target(name: str, intent: int = 1) -> Target:
    return Target("ns", name, "repo", name, "v1", "Draft", str(intent))


def make(signaller: RecordingSignaller, **options: Any) -> Dispatcher:
    return Dispatcher(signaller, **{"first_delay": 0.0, "longest_delay": 0.0, **options})


@contextlib.asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[None]:
    task = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def quiet(dispatcher: Dispatcher) -> None:
    def nothing_to_do() -> bool:
        numbers = dispatcher.numbers()
        return not numbers.pending and not numbers.in_flight

    await eventually(nothing_to_do, what="the dispatcher has nothing to do")


async def test_one_signal_per_intent_whatever_the_number_of_events() -> None:
    signaller = RecordingSignaller()
    dispatcher = make(signaller)
    async with running(dispatcher):
        for intent in (1, 1, 1, 2, 2):
            dispatcher.offer(target("a", intent))
            await quiet(dispatcher)
    assert signaller.signatures(("ns", "a")) == ["1", "2"]


async def test_what_waits_is_coalesced_to_the_newest() -> None:
    signaller = RecordingSignaller()
    dispatcher = make(signaller)
    for intent in range(1, 100):
        dispatcher.offer(target("a", intent))
        dispatcher.offer(target("b", intent))
    assert dispatcher.numbers().pending == 2
    async with running(dispatcher):
        await quiet(dispatcher)
    assert [(t.name, t.signature) for t in signaller.sent] == [("a", "99"), ("b", "99")]


async def test_a_signal_on_its_way_counts_until_temporal_accepts_it() -> None:
    signaller = RecordingSignaller()
    signaller.gate.clear()
    dispatcher = make(signaller)
    dispatcher.offer(target("a"))
    async with running(dispatcher):
        await eventually(lambda: dispatcher.numbers().in_flight, what="the call")
        await eventually(lambda: dispatcher.numbers().oldest_pending_seconds > 0, what="its age")
        assert dispatcher.numbers().pending == 0
        signaller.gate.set()
        await quiet(dispatcher)
    assert dispatcher.numbers().oldest_pending_seconds == 0


async def test_newer_intent_during_the_call_is_signalled_after_it() -> None:
    signaller = RecordingSignaller()
    signaller.gate.clear()
    dispatcher = make(signaller)
    async with running(dispatcher):
        dispatcher.offer(target("a", 1))
        await eventually(lambda: signaller.in_flight == 1, what="the first call")
        dispatcher.offer(target("a", 2))
        dispatcher.offer(target("a", 3))
        signaller.gate.set()
        await quiet(dispatcher)
    assert signaller.signatures(("ns", "a")) == ["1", "3"]


async def test_forgotten_means_not_sent_and_signalled_anew_later() -> None:
    signaller = RecordingSignaller()
    dispatcher = make(signaller)
    dispatcher.offer(target("a"))
    dispatcher.forget(("ns", "a"))
    dispatcher.forget(("ns", "never seen"))
    async with running(dispatcher):
        dispatcher.offer(target("b"))
        await quiet(dispatcher)
        assert signaller.counts == {("ns", "b"): 1}
        dispatcher.forget(("ns", "b"))
        dispatcher.offer(target("b"))
        await quiet(dispatcher)
    assert signaller.counts == {("ns", "b"): 2}


async def test_again_repeats_a_signal_but_never_doubles_one_that_waits() -> None:
    signaller = RecordingSignaller()
    dispatcher = make(signaller)
    dispatcher.offer(target("a"), again=True)
    dispatcher.offer(target("a"), again=True)
    async with running(dispatcher):
        await quiet(dispatcher)
        assert signaller.counts == {("ns", "a"): 1}
        dispatcher.offer(target("a"), again=True)
        await quiet(dispatcher)
    assert signaller.counts == {("ns", "a"): 2}


async def test_no_more_than_n_calls_at_once() -> None:
    signaller = RecordingSignaller()
    signaller.gate.clear()
    dispatcher = make(signaller, in_flight=3)
    async with running(dispatcher):
        for number in range(20):
            dispatcher.offer(target(f"p{number}"))
        await eventually(lambda: signaller.in_flight == 3, what="three calls")
        assert (dispatcher.numbers().in_flight, dispatcher.numbers().pending) == (3, 17)
        signaller.gate.set()
        await quiet(dispatcher)
    assert signaller.most_in_flight == 3
    assert len(signaller.sent) == 20


async def test_temporal_away_loses_nothing_keeps_the_order_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="porchflow.watcher.dispatcher")
    signaller = RecordingSignaller()
    signaller.failures = [TemporalUnavailable("connection refused")] * 7
    dispatcher = make(signaller, in_flight=1)
    for name in "abc":
        dispatcher.offer(target(name))
    async with running(dispatcher):
        await quiet(dispatcher)
    assert {t.name for t in signaller.sent} == {"a", "b", "c"}
    assert signaller.calls == 10
    assert caplog.text.count("Temporal takes no signals, trying until it does: connection refused") == 1
    assert caplog.text.count("Temporal takes signals again") == 1


class _BadFor(RecordingSignaller):
    """Fails for some objects, for ever, and takes the signals of all others."""

    def __init__(self, error: Exception, *names: str) -> None:
        super().__init__()
        self.error, self.names = error, set(names)

    async def signal(self, target: Target) -> None:
        if target.name in self.names:
            self.calls += 1
            await asyncio.sleep(0)
            raise self.error
        await super().signal(target)


@pytest.mark.parametrize("in_flight", [1, 32])
@pytest.mark.parametrize("error", [TemporalUnavailable("shard status unknown"), SignalRefused("busy"), ValueError("?")])
async def test_one_in_a_hundred_that_temporal_answers_badly_stops_nobody_else(error: Exception, in_flight: int) -> None:
    bad = [f"p{number}" for number in range(0, 1000, 100)]
    signaller = _BadFor(error, *bad)
    dispatcher = make(signaller, in_flight=in_flight, first_delay=0.001, longest_delay=0.01)
    for number in range(1000):
        dispatcher.offer(target(f"p{number}"))
    async with running(dispatcher):
        await eventually(lambda: len(signaller.sent) == 990, what="all others are signalled")
        before = signaller.calls
        await eventually(lambda: signaller.calls > before + 50, what="the bad ones are tried again")
        assert dispatcher.numbers().error == "", "Temporal is not away"
        dispatcher.offer(target("late"))
        await eventually(lambda: ("ns", "late") in signaller.counts, what="a late one")
        assert dispatcher.numbers().pending + dispatcher.numbers().in_flight == 10
        assert dispatcher.numbers().oldest_pending_seconds > 0, "those that wait for another attempt count"
        signaller.names.clear()
        await quiet(dispatcher)
    assert len(signaller.sent) == 1001


@pytest.mark.parametrize("names", [("p0",), ("p0", "p1")])
async def test_few_objects_that_fail_while_temporal_answers_are_no_outage(names: tuple[str, ...]) -> None:
    """Nothing else needs a signal, so no success of another object shows that Temporal is well."""
    signaller = _BadFor(TemporalUnavailable("shard status unknown"), *names)
    dispatcher = make(signaller, first_delay=0.001, longest_delay=0.01)
    for name in names:
        dispatcher.offer(target(name))
    errors = set()
    async with running(dispatcher):

        def tried_often() -> bool:
            errors.add(dispatcher.numbers().error)
            return signaller.calls > 30

        await eventually(tried_often, what="they are tried again and again")
        assert errors == {""}
        assert signaller.pings > 0
        signaller.away = True
        await eventually(lambda: dispatcher.numbers().error, what="an outage, as Temporal does not answer")
        signaller.away = False
        await eventually(lambda: not dispatcher.numbers().error, what="its end, though they still fail")


async def test_several_objects_that_fail_are_an_outage_though_temporal_answers() -> None:
    names = [f"p{number}" for number in range(5)]
    signaller = _BadFor(TemporalUnavailable("history service is not enabled"), *names)
    dispatcher = make(signaller, first_delay=0.001, longest_delay=0.01)
    for name in names:
        dispatcher.offer(target(name))
    async with running(dispatcher):
        await eventually(lambda: dispatcher.numbers().error, what="the outage")
        before = signaller.calls
        await eventually(lambda: signaller.calls > before + 20, what="it is tried again")
        assert dispatcher.numbers().error
        signaller.names.clear()
        await quiet(dispatcher)
        assert dispatcher.numbers().error == ""
    assert len(signaller.sent) == 5


async def test_an_error_that_changes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    signaller = RecordingSignaller()
    signaller.failures = [SignalRefused("no mapping"), SignalRefused("no mapping"), SignalRefused("of type Int")]
    dispatcher = make(signaller)
    dispatcher.offer(target("a"))
    async with running(dispatcher):
        await quiet(dispatcher)
    assert caplog.text.count("no mapping") == 1
    assert caplog.text.count("of type Int") == 1


async def test_one_call_at_a_time_finds_out_whether_temporal_is_back() -> None:
    signaller = RecordingSignaller()
    signaller.failures = [TemporalUnavailable("connection refused", for_all=True)] * 1_000_000
    dispatcher = make(signaller, in_flight=5)
    dispatcher.offer(target("a"))
    async with running(dispatcher):
        await eventually(lambda: dispatcher.numbers().error, what="the outage")
        signaller.gate.clear()
        for number in range(10):
            dispatcher.offer(target(f"p{number}"))
        await eventually(lambda: signaller.in_flight, what="a call")
        for _ in range(20):
            await asyncio.sleep(0)
        assert signaller.in_flight == 1
        signaller.failures.clear()
        signaller.gate.set()
        await asyncio.sleep(0)
        signaller.gate.clear()
        await eventually(lambda: signaller.in_flight == 5, what="all calls at once again")
        signaller.gate.set()
        await quiet(dispatcher)
    assert len(signaller.sent) == 11
    assert dispatcher.numbers().error == ""


async def test_a_refusal_shows_that_temporal_is_back() -> None:
    signaller = RecordingSignaller()
    signaller.failures = [TemporalUnavailable("connection refused"), *[SignalRefused("no")] * 1_000_000]
    dispatcher = make(signaller)
    async with running(dispatcher):
        dispatcher.offer(target("a"))
        await eventually(lambda: signaller.calls > 3, what="calls after the outage")
        assert dispatcher.numbers().error == ""
    assert signaller.sent == []


async def test_what_is_forgotten_during_a_call_that_fails_is_not_called_again() -> None:
    signaller = RecordingSignaller()
    signaller.failures = [TemporalUnavailable("connection refused")]
    signaller.gate.clear()
    dispatcher = make(signaller)
    async with running(dispatcher):
        dispatcher.offer(target("a"))
        await eventually(lambda: signaller.in_flight, what="the call")
        dispatcher.forget(("ns", "a"))
        signaller.gate.set()
        await quiet(dispatcher)
        dispatcher.offer(target("b"))
        await quiet(dispatcher)
    assert signaller.counts == {("ns", "b"): 1}


async def test_memory_is_one_entry_per_object_while_temporal_is_away() -> None:
    signaller = RecordingSignaller()
    signaller.gate.clear()
    dispatcher = make(signaller, in_flight=2)
    async with running(dispatcher):
        for intent in range(200):
            for name in "abcde":
                dispatcher.offer(target(name, intent))
                if intent % 3 == 0:
                    dispatcher.forget(("ns", name))
            await asyncio.sleep(0)
        assert len(dispatcher._entries) == 5
        assert len(dispatcher._ready) <= 5
        signaller.gate.set()


async def test_an_object_that_is_refused_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    signaller = RecordingSignaller()
    signaller.failures = [SignalRefused("search attribute too long"), None, ValueError("unexpected")]
    dispatcher = make(signaller, in_flight=1, first_delay=0.01, longest_delay=0.02)
    for name in "abc":
        dispatcher.offer(target(name))
    async with running(dispatcher):
        await quiet(dispatcher)
    assert signaller.sent[0].name == "b"
    assert {t.name for t in signaller.sent} == {"a", "b", "c"}
    assert dispatcher.numbers().error == ""
    assert "cannot signal the workflow of ns/a, trying until it works: search attribute too long" in caplog.text


async def test_newer_intent_of_a_refused_object_is_tried_at_once() -> None:
    signaller = RecordingSignaller()
    signaller.failures = [SignalRefused("no")]
    dispatcher = make(signaller, first_delay=1000.0, longest_delay=1000.0)
    async with running(dispatcher):
        dispatcher.offer(target("a", 1))
        await eventually(lambda: signaller.calls == 1 and not signaller.in_flight, what="the first call")
        dispatcher.offer(target("a", 1), again=True)
        dispatcher.offer(target("a", 2))
        await quiet(dispatcher)
    assert signaller.signatures(("ns", "a")) == ["2"]


async def test_a_forgotten_object_is_not_tried_again() -> None:
    signaller = RecordingSignaller()
    signaller.failures = [SignalRefused("no")]
    dispatcher = make(signaller, first_delay=1000.0, longest_delay=1000.0)
    async with running(dispatcher):
        dispatcher.offer(target("a"))
        await eventually(lambda: signaller.calls == 1 and dispatcher.numbers().pending, what="the delay")
        entry = dispatcher._entries["ns", "a"]
        dispatcher.forget(("ns", "a"))
        assert entry.timer is not None
        assert entry.timer.cancelled()
        await quiet(dispatcher)
    assert signaller.sent == []


_NAMES = st.sampled_from("abc")
_STEPS = st.one_of(
    st.tuples(st.just("offer"), _NAMES, st.integers(1, 3), st.booleans()),
    st.tuples(st.just("forget"), _NAMES),
    st.tuples(st.just("turn"), st.integers(1, 5)),
    st.tuples(st.just("close")),
    st.tuples(st.just("open")),
)
_FAILURES = st.lists(
    st.sampled_from([None, TemporalUnavailable("away"), SignalRefused("no"), ValueError("odd")]), max_size=15
)


async def _play(steps: list[Any], failures: list[Exception | None], in_flight: int) -> None:
    signaller = RecordingSignaller()
    signaller.failures = list(failures)
    dispatcher = make(signaller, in_flight=in_flight)
    newest: dict[str, str] = {}
    # Where each object's present need began: signals sent before do not count for it.
    since: dict[str, int] = {}
    async with running(dispatcher):
        for step in steps:
            match step:
                case ("offer", name, intent, again):
                    if newest.get(name) != str(intent):
                        since[name] = len(signaller.sent)
                    newest[name] = str(intent)
                    dispatcher.offer(target(name, intent), again=again)
                case ("forget", name):
                    newest.pop(name, None)
                    dispatcher.forget(("ns", name))
                case ("turn", count):
                    for _ in range(count):
                        await asyncio.sleep(0)
                case ("close",):
                    signaller.gate.clear()
                case ("open",):
                    signaller.gate.set()
        signaller.gate.set()
        await quiet(dispatcher)
    assert set(dispatcher.keys()) == {("ns", name) for name in newest}
    for name, signature in newest.items():
        assert any(t.name == name and t.signature == signature for t in signaller.sent[since[name] :]), name
    assert signaller.most_in_flight <= in_flight
    assert not dispatcher._ready


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(_STEPS, max_size=40), failures=_FAILURES, in_flight=st.integers(1, 3))
def test_whatever_happens_the_newest_intent_of_every_object_in_need_is_signalled(
    steps: list[Any], failures: list[Exception | None], in_flight: int
) -> None:
    asyncio.run(_play(steps, failures, in_flight))


async def test_a_woken_object_is_signalled_though_it_shows_no_need() -> None:
    signaller = RecordingSignaller()
    dispatcher = make(signaller)
    dispatcher.insist(target("a"))
    dispatcher.forget(("ns", "a"))
    async with running(dispatcher):
        await eventually(lambda: signaller.calls == 1, what="the signal")
        dispatcher.forget(("ns", "a"))
        assert not dispatcher.keys()
        signaller.gate.clear()
        dispatcher.insist(target("a"))
        await eventually(lambda: signaller.in_flight == 1, what="the second is on its way")
        dispatcher.insist(target("a"))
        dispatcher.forget(("ns", "a"))
        signaller.failures = [TemporalUnavailable("away")]
        signaller.gate.set()
        await eventually(
            lambda: len(signaller.sent) == 2, what="it is tried until it works, however often it was woken"
        )


async def test_woken_while_a_signal_is_on_its_way(task_queue: str) -> None:
    """The run that the first one starts may have looked before the change."""
    signaller = RecordingSignaller()
    dispatcher = make(signaller)
    signaller.gate.clear()
    async with running(dispatcher):
        dispatcher.offer(target("a"))
        await eventually(lambda: signaller.in_flight == 1, what="the signal is on its way")
        dispatcher.insist(target("a"))
        signaller.gate.set()
        await eventually(lambda: len(signaller.sent) == 2, what="another signal")


def test_who_is_gone_is_not_woken() -> None:
    dispatcher = make(RecordingSignaller())
    dispatcher.insist(target("a"))
    dispatcher.forget(("ns", "a"), gone=True)
    assert not dispatcher.keys()
