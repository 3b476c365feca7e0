"""What a run finds: invariants that do not hold."""

from collections.abc import Iterable
from dataclasses import dataclass

from soak.journal import Journal


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold.

    Attributes:
        invariant: Its name.
        of: The object, ref or part.
        expected: What should be, and what is instead.
    """

    invariant: str
    of: str
    expected: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.of}: {self.expected}"


class Findings:
    """The violations so far, each once."""

    def __init__(self, journal: Journal) -> None:
        """Create findings that are written to a journal as they come."""
        self.violations: dict[Violation, float] = {}
        self._journal = journal

    def add(self, violations: Iterable[Violation]) -> None:
        """Add violations; known ones count once."""
        for violation in violations:
            if violation not in self.violations:
                self.violations[violation] = self._journal.seconds
                self._journal.say("VIOLATION", str(violation))
