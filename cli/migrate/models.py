"""What a migration works with: what Porch serves, what Git holds, and the record of what was done."""

import os
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError


class Revision(BaseModel):
    """One package revision as somebody has it."""

    package: str
    workspace: str
    lifecycle: str
    revision: int = 0
    """0 for what is not published, -1 for what is published without a number."""
    ref: str = ""
    """Of Git; empty for Porch's."""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    def __str__(self) -> str:
        number = f" v{self.revision}" if self.revision > 0 else ""
        return f"{self.lifecycle}{number}"


class Comparison(StrEnum):
    """How Porch's and porchflow's view of a package revision compare."""

    SAME = "same"
    DIFFERS = "differs"
    PORCH_ONLY = "only in Porch"
    GIT_ONLY = "only in Git"


class Row(BaseModel):
    """One package revision in a plan."""

    name: str
    porch: Revision | None = None
    git: Revision | None = None
    """What porchflow would create: it reads nothing but Git."""
    exported: bool = False
    """Whether the migration brought it to Git."""

    @property
    def comparison(self) -> Comparison:
        """How the two compare."""
        if self.porch is None:
            return Comparison.GIT_ONLY
        if self.git is None:
            return Comparison.PORCH_ONLY
        same = (self.porch.lifecycle, self.porch.revision) == (self.git.lifecycle, self.git.revision)
        return Comparison.SAME if same else Comparison.DIFFERS

    @property
    def is_open(self) -> bool:
        """Whether it is a draft or proposal that only Porch has: its content can be brought to Git."""
        return self.comparison is Comparison.PORCH_ONLY and self.porch is not None and not self.porch.revision


class Phase(StrEnum):
    """How far the migration of a Repository is."""

    PLANNED = "planned"
    ANNOTATED = "annotated"
    MIGRATED = "migrated"
    ROLLED_BACK = "rolled back"


class RepositoryPlan(BaseModel):
    """One Repository: what it has, and how far it is."""

    namespace: str
    name: str
    migrated: bool = False
    """Whether it has the annotation already; then Porch does not show its package revisions any more."""
    phase: Phase = Phase.PLANNED
    rows: list[Row] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)
    """What porchflow will leave out, and why."""

    def count(self, comparison: Comparison) -> int:
        """Return how many package revisions compare so."""
        return sum(row.comparison is comparison for row in self.rows)

    @property
    def only_in_porch(self) -> list[Row]:
        """What would be lost from sight: porchflow finds package revisions in Git alone."""
        return [row for row in self.rows if row.comparison is Comparison.PORCH_ONLY]


class RecordError(Exception):
    """The record cannot be read or written."""


class Record(BaseModel):
    """What a migration found and did, kept in a file so that it can go on, be verified, and be rolled back."""

    version: int = 1
    repositories: dict[str, RepositoryPlan] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record; an empty one where there is none yet.

        Raises:
            RecordError: It is no record.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            raise RecordError(f"cannot read the record {path}: {error}") from error

    def save(self, path: Path) -> None:
        """Write the record in one step.

        Raises:
            RecordError: It cannot be written.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_text(self.model_dump_json(indent=1, exclude_defaults=True) + "\n")
            partial.replace(path)
        except OSError as error:
            raise RecordError(f"cannot write the record {path}: {error}") from error

    def of(self, namespace: str, name: str) -> RepositoryPlan | None:
        """Return what is recorded of a Repository."""
        return self.repositories.get(f"{namespace}/{name}")

    def put(self, plan: RepositoryPlan) -> None:
        """Record a Repository."""
        self.repositories[f"{plan.namespace}/{plan.name}"] = plan
