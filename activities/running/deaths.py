"""Words and kind of the failure of a phase, or of a sync, whose process ended."""

from porchflow.api.limits import ISOLATED_PHASE_BYTES, ISOLATED_PHASE_SECONDS, MIB, PHASE_DEATHS
from porchflow.api.models.conditions import Reason
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.repositories.failures import Lost, PhaseError, Stalled


def death(work: str, deaths: int, how: str) -> PhaseError:
    """Return the failure of work whose process ended.

    Args:
        work: What it is called, such as "the source phase".
        deaths: Processes in a row that ended while they ran it, this one included.
        how: How this one ended, with "it" for the phase.

    Returns:
        Stalled where it is not worth another process, else Lost.
    """
    limits = f"{ISOLATED_PHASE_BYTES // MIB} MiB of memory and {ISOLATED_PHASE_SECONDS} s of processor time"
    if deaths < PHASE_DEATHS:
        told = f"{work} ended its process: {how}; it is tried once more, alone in a process with {limits}"
        return Lost(Reason.PHASE_CRASHED, told)
    return Stalled(
        Reason.PHASE_CRASHED,
        f"{work} ended {deaths} processes in a row, the last one alone with {limits}: {how}; make the package that it"
        " works on smaller or simpler, or change the spec; to have it tried again, isolated from the start, set the"
        f" annotation {RECONCILE_NOW_ANNOTATION} to a new value",
    )
