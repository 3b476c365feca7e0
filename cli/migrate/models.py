"""Data of a migration: package revisions of Porch and of Git, plans, and the record of a migration."""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from porchflow.kube.whole_files import SHARED, write_whole


class Revision(BaseModel):
    """One package revision, as Porch or Git has it."""

    package: str
    workspace: str
    lifecycle: str
    revision: int = 0
    """0 for an unpublished one, -1 for the content of the main branch."""
    ref: str = ""
    """Ref in Git; empty for a revision of Porch."""
    commit: str = ""
    """Commit in Git; empty for a revision of Porch."""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether it is a draft or proposal, which Porch keeps in its database."""
        return not self.revision and self.lifecycle in {"Draft", "Proposed"}

    def __str__(self) -> str:
        number = f" v{self.revision}" if self.revision > 0 else ""
        return f"{self.lifecycle}{number}"


class Comparison(StrEnum):
    """Result of comparing a package revision of Porch with that in Git."""

    SAME = "same"
    DIFFERS = "differs"
    PORCH_ONLY = "only in Porch"
    GIT_ONLY = "only in Git"


class Row(BaseModel):
    """One package revision in a plan."""

    name: str
    porch: Revision | None = None
    git: Revision | None = None
    """The package revision that porchflow would create, from Git alone."""
    exported: bool = False
    """Whether the migration brought it to Git."""

    @property
    def comparison(self) -> Comparison:
        """The comparison of the two."""
        if self.porch is None:
            return Comparison.GIT_ONLY
        if self.git is None:
            return Comparison.PORCH_ONLY
        same = (self.porch.lifecycle, self.porch.revision) == (self.git.lifecycle, self.git.revision)
        return Comparison.SAME if same else Comparison.DIFFERS

    @property
    def is_open(self) -> bool:
        """Whether it is a draft or proposal that only Porch has, which can be brought to Git."""
        return self.comparison is Comparison.PORCH_ONLY and self.porch is not None and not self.porch.revision

    @property
    def waits_to_go(self) -> bool:
        """Whether the two differ only in that the deletion of a published revision is proposed to one of them."""
        if self.porch is None or self.git is None or self.porch.revision != self.git.revision:
            return False
        return {self.porch.lifecycle, self.git.lifecycle} == {"Published", "DeletionProposed"}


class Phase(StrEnum):
    """Progress of the migration of a Repository."""

    PLANNED = "planned"
    ANNOTATED = "annotated"
    MIGRATED = "migrated"
    ROLLED_BACK = "rolled back"


class RepositoryPlan(BaseModel):
    """One Repository: its package revisions and its progress."""

    namespace: str
    name: str
    migrated: bool = False
    """Whether it has the annotation; Porch then no longer serves its package revisions."""
    phase: Phase = Phase.PLANNED
    rows: list[Row] = Field(default_factory=list)
    problems: list[str] = Field(default_factory=list)
    """Messages about package revisions that porchflow leaves out."""

    def count(self, comparison: Comparison) -> int:
        """Return the number of package revisions with a comparison."""
        return sum(row.comparison is comparison for row in self.rows)

    @property
    def kept_by_porch(self) -> int:
        """How many drafts and proposals Porch keeps in its database: it still has them so after a rollback."""
        return sum(row.porch is not None and row.porch.is_open for row in self.rows)

    @property
    def only_in_porch(self) -> list[Row]:
        """Package revisions that porchflow would not show, because they are not in Git."""
        return [row for row in self.rows if row.comparison is Comparison.PORCH_ONLY]


class RecordError(Exception):
    """The record cannot be read or written."""


class Record(BaseModel):
    """Plans and progress of a migration, in a file: for continuing, verifying and rolling back."""

    version: int = 1
    repositories: dict[str, RepositoryPlan] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Record":
        """Read a record; an empty one where there is none yet.

        Raises:
            RecordError: The file cannot be read, or is no record.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValidationError) as error:
            raise RecordError(f"cannot read the record {path}: {error}") from error

    def save(self, path: Path) -> None:
        """Write the record as a whole.

        Raises:
            RecordError: It cannot be written.
        """
        text = self.model_dump_json(indent=1, exclude_defaults=True) + "\n"
        try:
            write_whole(path, text.encode(), SHARED)
        except OSError as error:
            raise RecordError(f"cannot write the record {path}: {error}") from error

    def of(self, namespace: str, name: str) -> RepositoryPlan | None:
        """Return the recorded plan of a Repository; None for none."""
        return self.repositories.get(f"{namespace}/{name}")

    def put(self, plan: RepositoryPlan) -> None:
        """Record the plan of a Repository."""
        self.repositories[f"{plan.namespace}/{plan.name}"] = plan
