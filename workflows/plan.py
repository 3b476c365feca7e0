"""Which phases a pass runs: a pure decision on what was observed."""

from porchflow.activities.definitions import Facts, Phase
from porchflow.api.packagerevision import Lifecycle


def plan(facts: Facts) -> list[Phase]:
    """Return the phases that have work, in the order to run them; empty when the object is converged or gone.

    A phase with nothing to do is left out, so it costs no activity. The last phase of the list reports `Ready`.
    """
    if not facts.exists:
        return []
    if facts.suspended and (facts.finalizer or not facts.deleting):
        return [] if facts.suspension_told else [Phase.SUSPEND]
    if facts.deleting:
        return [Phase.FINALIZE] if facts.finalizer else []
    if facts.desired is None:
        # Nothing is made in Git for who has not said what for; the lifecycle phase says that.
        return [Phase.LIFECYCLE] if facts.report_pending else []
    phases: list[Phase] = []
    if _rejected(facts):
        # A reject comes first: a package whose render fails must still get out of Proposed to be mended.
        phases.append(Phase.LIFECYCLE)
    if facts.source_pending:
        phases.append(Phase.SOURCE)
    if _render_due(facts):
        phases.append(Phase.RENDER)
    if _lifecycle_due(facts, phases):
        phases.append(Phase.LIFECYCLE)
    return phases


def _rejected(facts: Facts) -> bool:
    return facts.desired is Lifecycle.DRAFT and facts.current is Lifecycle.PROPOSED


def _render_due(facts: Facts) -> bool:
    if facts.source_pending:
        return True
    unknown = facts.current is None and facts.desired is not None and not facts.desired.is_published
    in_draft = facts.current is Lifecycle.DRAFT or unknown or _rejected(facts)
    return in_draft and facts.render_pending


def _lifecycle_due(facts: Facts, phases: list[Phase]) -> bool:
    current = Lifecycle.DRAFT if facts.source_pending else facts.current
    if Phase.LIFECYCLE in phases:
        return False
    if facts.desired is Lifecycle.DRAFT and Phase.RENDER in phases:
        return False
    return facts.desired is not current or facts.report_pending or bool(phases)
