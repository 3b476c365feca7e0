import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase, plan

DRAFT, PROPOSED, PUBLISHED, DELETION = (
    Lifecycle.DRAFT,
    Lifecycle.PROPOSED,
    Lifecycle.PUBLISHED,
    Lifecycle.DELETION_PROPOSED,
)


@pytest.mark.parametrize(
    ("reason", "facts", "expected"),
    [
        ("a gone object needs nothing", Facts(exists=False), []),
        ("a deleted object without our finalizer is not ours", Facts(exists=True, deleting=True), []),
        (
            "a deleted object is finalized and nothing else",
            Facts(exists=True, deleting=True, finalizer=True, desired=DRAFT, source_pending=True, render_pending=True),
            [Phase.FINALIZE],
        ),
        (
            "a suspension is told, and nothing else is done",
            Facts(exists=True, suspended=True, desired=DRAFT, source_pending=True, render_pending=True),
            [Phase.SUSPEND],
        ),
        (
            "a suspension that was told needs nothing",
            Facts(exists=True, suspended=True, suspension_told=True, desired=DRAFT, report_pending=True),
            [],
        ),
        (
            "a deletion waits for the end of a suspension",
            Facts(exists=True, suspended=True, deleting=True, finalizer=True, desired=DRAFT),
            [Phase.SUSPEND],
        ),
        (
            "who goes on was suspended as Published",
            Facts(exists=True, desired=PUBLISHED, current=PUBLISHED, report_pending=True),
            [Phase.LIFECYCLE],
        ),
        (
            "a new draft is made and rendered; the render reports Ready, so the lifecycle costs nothing",
            Facts(exists=True, desired=DRAFT, source_pending=True, report_pending=True),
            [Phase.SOURCE, Phase.RENDER],
        ),
        (
            "a revision created as Proposed is rendered before it is proposed",
            Facts(exists=True, desired=PROPOSED, source_pending=True, report_pending=True),
            [Phase.SOURCE, Phase.RENDER, Phase.LIFECYCLE],
        ),
        (
            "a push is rendered",
            Facts(exists=True, desired=DRAFT, current=DRAFT, render_pending=True),
            [Phase.RENDER],
        ),
        (
            "a proposal waits for the render that is due",
            Facts(exists=True, desired=PROPOSED, current=DRAFT, render_pending=True, report_pending=True),
            [Phase.RENDER, Phase.LIFECYCLE],
        ),
        (
            "a rendered draft is proposed",
            Facts(exists=True, desired=PROPOSED, current=DRAFT, report_pending=True),
            [Phase.LIFECYCLE],
        ),
        (
            "a reject comes before the render that may fail",
            Facts(exists=True, desired=DRAFT, current=PROPOSED, render_pending=True, report_pending=True),
            [Phase.LIFECYCLE, Phase.RENDER],
        ),
        (
            "a published revision is never rendered",
            Facts(exists=True, desired=PUBLISHED, current=PROPOSED, render_pending=True, report_pending=True),
            [Phase.LIFECYCLE],
        ),
        (
            "a draft that was proposed and published in one go is rendered first",
            Facts(exists=True, desired=PUBLISHED, current=DRAFT, render_pending=True, report_pending=True),
            [Phase.RENDER, Phase.LIFECYCLE],
        ),
        (
            "a discovered published revision is looked at again, but not rendered",
            Facts(exists=True, desired=PUBLISHED, current=None, render_pending=True, report_pending=True),
            [Phase.LIFECYCLE],
        ),
        (
            "nothing is made in Git for an object without a lifecycle",
            Facts(exists=True, desired=None, source_pending=True, report_pending=True),
            [Phase.LIFECYCLE],
        ),
        ("a converged object costs no activity", Facts(exists=True, desired=PUBLISHED, current=PUBLISHED), []),
        (
            "an unacknowledged generation is acknowledged",
            Facts(exists=True, desired=DELETION, current=DELETION, report_pending=True),
            [Phase.LIFECYCLE],
        ),
        (
            "an object without a lifecycle gets told so",
            Facts(exists=True, desired=None, report_pending=True),
            [Phase.LIFECYCLE],
        ),
    ],
)
def test_plan(reason: str, facts: Facts, expected: list[Phase]) -> None:
    assert plan(facts) == expected, reason


_lifecycles = st.one_of(st.none(), st.sampled_from(Lifecycle))


@given(
    st.builds(
        Facts,
        exists=st.just(True),
        desired=_lifecycles,
        current=_lifecycles,
        source_pending=st.booleans(),
        render_pending=st.booleans(),
        report_pending=st.booleans(),
    )
)
def test_any_live_object_that_was_not_acknowledged_gets_a_report(facts: Facts) -> None:
    phases = plan(facts)
    assert len(phases) == len(set(phases))
    if facts.report_pending:
        reports_ready = phases[-1:] == [Phase.LIFECYCLE] or phases[-1:] == [Phase.RENDER]
        assert reports_ready
        assert phases[-1] is not Phase.RENDER or facts.desired is Lifecycle.DRAFT
