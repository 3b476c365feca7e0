"""Repository `config.porch.kpt.dev/v1alpha1`: a Git repository that holds packages."""

from datetime import datetime

from pydantic import Field

from api.base import ApiModel, ObjectMeta
from api.conditions import Condition
from api.packagerevision import SecretReference


class GitRepository(ApiModel):
    """Where packages live in Git."""

    repo: str = Field(description="URL of the Git repository; cannot be changed.")
    branch: str = Field("main", min_length=1, description="Branch that published packages are merged to.")
    create_branch: bool = Field(default=False, description="Create the branch in an empty repository.")
    directory: str = Field("", description="Folder that holds the packages; the repository's root when not given.")
    secret_ref: SecretReference | None = Field(None, description="Credentials, in the same namespace.")
    author: str = Field("", description="Author of commits.")
    email: str = Field("", description="E-mail address of the author of commits.")


class OciRepository(ApiModel):
    """Where packages live in an OCI registry; accepted for compatibility, not used."""

    registry: str = Field("", description="Address of the registry.")
    secret_ref: SecretReference | None = Field(None, description="Credentials, in the same namespace.")


class RepositorySync(ApiModel):
    """When the repository is compared with the objects."""

    schedule: str = Field("", description="Cron expression with five fields.")
    run_once_at: datetime | None = Field(None, description="One more comparison at this time.")


class RepositorySpec(ApiModel):
    """What is registered."""

    description: str = Field("", description="What the repository is for.")
    deployment: bool = Field(default=False, description="Whether its packages are ready to be deployed.")
    type: str = Field("", description="Kind of repository: git.")
    content: str = Field("Package", description="Kind of content; only Package.")
    sync: RepositorySync | None = Field(None, description="When the repository is compared with the objects.")
    git: GitRepository | None = Field(None, description="Where packages live in Git.")
    oci: OciRepository | None = Field(None, description="Where packages live in an OCI registry.")


class RepositoryStatus(ApiModel):
    """What is known of it."""

    conditions: list[Condition] = Field(default_factory=list, description="State of the repository.")
    observed_generation: int | None = Field(None, description="The newest generation that was handled.")
    last_full_sync_time: datetime | None = Field(None, description="When it was last compared with the objects.")
    next_full_sync_time: datetime | None = Field(None, description="When it is compared next.")
    observed_run_once_at: datetime | None = Field(None, description="The last runOnceAt that was done.")
    package_count: int | None = Field(None, description="Number of package revisions found.")
    git_commit_hash: str = Field("", description="Newest commit of the branch.")


class Repository(ApiModel):
    """A Git repository that holds packages."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: RepositorySpec = Field(default_factory=RepositorySpec)
    status: RepositoryStatus = Field(default_factory=RepositoryStatus)
