"""Repository `config.porch.kpt.dev/v1alpha1`: a Git repository that holds packages."""

from datetime import datetime
from typing import Final

from pydantic import ConfigDict, Field

from porchflow.api.models.base import INT64, ApiModel, KubeObject
from porchflow.api.models.conditions import Condition
from porchflow.api.models.definition import SPEC_STAYS, Column, ResourceDefinition, Rule, checked
from porchflow.api.models.packagerevision import SecretReference
from porchflow.api.names import CONFIG_GROUP, CONFIG_VERSION, REPOSITORY_PLURAL


def _immutable(*path: str) -> Rule:
    """Return the rule that a field of the spec is immutable once it is set.

    Args:
        path: The names that lead to the field, from the spec.
    """
    field = ".".join(path)
    steps = [".".join(path[: depth + 1]) for depth in range(len(path))]
    was_there = " && ".join(f"has(oldSelf.{step})" for step in steps)
    is_there = " && ".join(f"has(self.{step})" for step in steps)
    return Rule(
        f"!({was_there}) || ({is_there} && self.{field} == oldSelf.{field})",
        f"spec.{field} is immutable: register the other place as a new Repository",
        field=f".{field}",
    )


_NAME_RULES: Final = (
    Rule(
        "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be a DNS label, because it starts the names of its packages: lower-case letters, digits and"
        " -, with a letter or digit at both ends",
    ),
    Rule("size(self.metadata.name) <= 63", "metadata.name must have at most 63 characters"),
)

_SPEC_RULES: Final = (
    _immutable("type"),
    _immutable("git", "repo"),
    _immutable("git", "branch"),
    _immutable("git", "directory"),
    _immutable("oci", "registry"),
)

_CONTENT_RULE: Final = Rule("self in ['', 'Package']", "content is deprecated and can only be Package: leave it out")


class GitRepository(ApiModel):
    """The place of the packages in Git."""

    repo: str = Field(description="URL of the Git repository; cannot be changed.")
    branch: str = Field("main", min_length=1, description="Branch that published packages are merged to.")
    create_branch: bool = Field(default=False, description="Create the branch in an empty repository.")
    directory: str = Field("", description="Folder that holds the packages; the repository's root when not given.")
    secret_ref: SecretReference | None = Field(None, description="Credentials, in the same namespace.")
    author: str = Field("", description="Author of commits.")
    email: str = Field("", description="E-mail address of the author of commits.")


class OciRepository(ApiModel):
    """The place of the packages in an OCI registry; accepted for compatibility, not used."""

    registry: str = Field(description="Address of the registry; cannot be changed.")
    secret_ref: SecretReference | None = Field(None, description="Credentials, in the same namespace.")


class RepositorySync(ApiModel):
    """When the repository is compared with the objects."""

    schedule: str = Field("", description="Cron expression with five fields.")
    run_once_at: datetime | None = Field(None, description="One more comparison at this time.")


class RepositorySpec(ApiModel):
    """The registered place, and how it is used."""

    model_config = ConfigDict(json_schema_extra=checked(*_SPEC_RULES))

    description: str = Field("", description="What the repository is for.")
    deployment: bool = Field(default=False, description="Whether its packages are ready to be deployed.")
    type: str = Field("", description="Kind of repository: git.")
    content: str = Field(
        "Package", description="Kind of content; only Package.", json_schema_extra=checked(_CONTENT_RULE)
    )
    sync: RepositorySync | None = Field(None, description="When the repository is compared with the objects.")
    git: GitRepository | None = Field(None, description="Where packages live in Git.")
    oci: OciRepository | None = Field(None, description="Where packages live in an OCI registry.")


class RepositoryStatus(ApiModel):
    """The observed state."""

    conditions: list[Condition] = Field(default_factory=list, description="State of the repository.")
    observed_generation: int | None = Field(
        None, description="The newest generation that was handled.", json_schema_extra=INT64
    )
    last_full_sync_time: datetime | None = Field(None, description="When it was last compared with the objects.")
    next_full_sync_time: datetime | None = Field(None, description="When it is compared next.")
    observed_run_once_at: datetime | None = Field(None, description="The last runOnceAt that was done.")
    package_count: int | None = Field(None, description="Number of package revisions found.")
    git_commit_hash: str = Field("", description="Newest commit of the branch.")
    observed_reconcile_now: str = Field("", description="The reconcile-now token that was handled last.")
    observed_refs: str = Field("", description="Digest of the branches and tags that the objects were made from.")


class Repository(KubeObject):
    """A Git repository that holds packages."""

    model_config = ConfigDict(json_schema_extra=checked(*_NAME_RULES, SPEC_STAYS))

    spec: RepositorySpec = Field(default_factory=RepositorySpec)
    status: RepositoryStatus = Field(default_factory=RepositoryStatus)


REPOSITORY: Final = ResourceDefinition(
    model=Repository,
    group=CONFIG_GROUP,
    version=CONFIG_VERSION,
    plural=REPOSITORY_PLURAL,
    short_names=("repo",),
    columns=(
        Column("Type", ".spec.type"),
        Column("Content", ".spec.content"),
        Column("Sync schedule", ".spec.sync.schedule"),
        Column("Deployment", ".spec.deployment", "boolean"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
        Column("Address", ".spec['git','oci']['repo','registry']"),
        Column("Branch", ".spec.git.branch"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
