"""PackageRevision `porch.kpt.dev/v1alpha2`: the wanted state of one revision of a package, and its observed state."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import ConfigDict, Field

from porchflow.api.limits import SUBPACKAGE_DIR_CHARACTERS
from porchflow.api.models.base import ATOMIC, INT64, ApiModel, KubeObject
from porchflow.api.models.conditions import CONDITIONS_BY_TYPE, Condition
from porchflow.api.models.definition import SPEC_STAYS, Column, ResourceDefinition, Rule, checked, label_path
from porchflow.api.names import LATEST_REVISION_LABEL, PACKAGE_REVISION_PLURAL, PACKAGE_REVISION_VERSION, PORCH_GROUP


class Lifecycle(StrEnum):
    """The state of a package revision between draft and deletion."""

    DRAFT = "Draft"
    PROPOSED = "Proposed"
    PUBLISHED = "Published"
    DELETION_PROPOSED = "DeletionProposed"

    @property
    def is_published(self) -> bool:
        """Whether the content is final: Published, or Published and proposed for deletion."""
        return self in {Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED}


NEXT_LIFECYCLES: Final[Mapping[Lifecycle, tuple[Lifecycle, ...]]] = {
    Lifecycle.DRAFT: (Lifecycle.PROPOSED,),
    Lifecycle.PROPOSED: (Lifecycle.DRAFT, Lifecycle.PUBLISHED),
    Lifecycle.PUBLISHED: (Lifecycle.DELETION_PROPOSED,),
    Lifecycle.DELETION_PROPOSED: (Lifecycle.PUBLISHED,),
}
"""The lifecycles that each lifecycle can go to in one step."""


class UpdateStrategy(StrEnum):
    """How an upgrade merges upstream's changes and local ones."""

    RESOURCE_MERGE = "resource-merge"
    FAST_FORWARD = "fast-forward"
    FORCE_DELETE_REPLACE = "force-delete-replace"
    COPY_MERGE = "copy-merge"


class RunOutcome(StrEnum):
    """State of the workflow run that reported last."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    RETRYING = "Retrying"
    WAITING = "Waiting"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"


class ObjectReference(ApiModel):
    """Another PackageRevision of the same namespace."""

    name: str = Field(description="Name of the PackageRevision.")


class SecretReference(ApiModel):
    """A Secret of the same namespace."""

    name: str = Field(description="Name of the Secret.")


class InitSource(ApiModel):
    """Starts a package from nothing."""

    subpackage: str = Field("", description="Folder below the package to put the new files in.")
    description: str = Field("", description="What the package is for; goes to the Kptfile and the README.")
    keywords: list[str] = Field(default_factory=list, description="Words to find the package by.")
    site: str = Field("", description="Web page of the package.")


class GitSource(ApiModel):
    """A package in a Git repository that need not be registered."""

    repo: str = Field(description="URL of the Git repository.")
    ref: str = Field(description="Branch, tag or commit.")
    directory: str = Field(description="Folder of the package in the repository.")
    secret_ref: SecretReference | None = Field(None, description="Credentials for the repository.")


class CloneSource(ApiModel):
    """A package from upstream, copied with a record of its origin."""

    type: Literal["git"] | None = Field(None, description="Kind of upstream.")
    git: GitSource | None = Field(None, description="A package in any Git repository.")
    upstream_ref: ObjectReference | None = Field(None, description="A published PackageRevision.")


class UpgradeSource(ApiModel):
    """Merges the changes between two revisions of upstream into a package."""

    old_upstream: ObjectReference | None = Field(None, description="The upstream revision the package was made from.")
    new_upstream: ObjectReference | None = Field(None, description="The upstream revision to upgrade to.")
    current_package: ObjectReference | None = Field(None, description="The package revision to upgrade.")
    strategy: UpdateStrategy | None = Field(None, description="How to merge; resource-merge when not given.")


_SEGMENT: Final = r"([^./][^/]*|\.[^./][^/]*|\.\.[^/]+)"
_RELATIVE_PATH: Final = f"^{_SEGMENT}(/{_SEGMENT})*$"

_SOURCES: Final = ("init", "cloneFrom", "copyFrom", "upgrade")


class PackageSource(ApiModel):
    """How the first content is made: exactly one way."""

    model_config = ConfigDict(
        json_schema_extra=checked(
            Rule(
                " + ".join(f"(has(self.{way}) ? 1 : 0)" for way in _SOURCES) + " == 1",
                "exactly one of init, cloneFrom, copyFrom, or upgrade must be set",
            )
        )
    )

    init: InitSource | None = Field(None, description="Start from nothing.")
    clone_from: CloneSource | None = Field(None, description="Take a package from upstream.")
    copy_from: ObjectReference | None = Field(None, description="Copy a published revision of the same package.")
    upgrade: UpgradeSource | None = Field(None, description="Merge upstream's changes into a package.")

    @property
    def secret(self) -> str:
        """Name of the Secret for fetching the content; empty for none."""
        git = self.clone_from.git if self.clone_from is not None else None
        return git.secret_ref.name if git is not None and git.secret_ref is not None else ""

    @property
    def references(self) -> list[str]:
        """Names of the PackageRevisions that must be published before the content can be made."""
        upgrade = self.upgrade or UpgradeSource()
        clone = self.clone_from.upstream_ref if self.clone_from is not None else None
        named = (clone, self.copy_from, upgrade.old_upstream, upgrade.new_upstream, upgrade.current_package)
        return list(dict.fromkeys(reference.name for reference in named if reference is not None and reference.name))


class SubpackageOperation(ApiModel):
    """A change of one subpackage of a Draft that has an upstream of its own: it is cloned, or upgraded."""

    model_config = ConfigDict(
        json_schema_extra=checked(
            Rule(
                "(has(self.cloneFrom) ? 1 : 0) + (has(self.upgrade) ? 1 : 0) == 1",
                "exactly one of cloneFrom or upgrade must be set",
            )
        )
    )

    subpackage_dir: str = Field(
        description="Folder of the subpackage below the package: a relative path without leading or trailing slash, and"
        " without the segments '.' and '..'.",
        json_schema_extra={"minLength": 1, "maxLength": SUBPACKAGE_DIR_CHARACTERS, "pattern": _RELATIVE_PATH},
    )
    clone_from: CloneSource | None = Field(None, description="Take a package from upstream into the folder.")
    upgrade: UpgradeSource | None = Field(
        None, description="Merge upstream's changes into the subpackage; currentPackage is this object."
    )

    @property
    def secret(self) -> str:
        """Name of the Secret for fetching the upstream; empty for none."""
        return PackageSource(clone_from=self.clone_from).secret

    @property
    def references(self) -> list[str]:
        """Names of the PackageRevisions that must be published before the operation can be done."""
        upgrade = self.upgrade.model_copy(update={"current_package": None}) if self.upgrade is not None else None
        return PackageSource(clone_from=self.clone_from, upgrade=upgrade).references


class ReadinessGate(ApiModel):
    """A condition of the package that must be True before it is proposed."""

    condition_type: str = Field("", description="Type of the condition in the Kptfile's status.")


class PackageMetadata(ApiModel):
    """Labels and annotations of the package itself, mirrored from its Kptfile."""

    labels: dict[str, str] = Field(default_factory=dict, description="The Kptfile's labels.")
    annotations: dict[str, str] = Field(default_factory=dict, description="The Kptfile's annotations.")


class GitLock(ApiModel):
    """An exact place in a Git repository."""

    repo: str = Field("", description="URL of the Git repository.")
    directory: str = Field("", description="Folder of the package in the repository.")
    ref: str = Field("", description="Branch or tag.")
    commit: str = Field("", description="Commit id.")


class SubpackageChange(ApiModel):
    """The subpackage operation that was done last."""

    subpackage_dir: str = Field("", description="Folder of the subpackage.")
    operation: Literal["clone", "upgrade"] | None = Field(None, description="What was done.")
    upstream: GitLock | None = Field(
        None, description="The place in Git that the subpackage was taken from, with the commit it was resolved to."
    )
    at: datetime | None = Field(None, description="When it was done.")


class Locator(ApiModel):
    """Where a package revision is."""

    type: str = Field("", description="Kind of place: git.")
    git: GitLock | None = Field(None, description="The place in Git.")


class SubpackageUpstream(ApiModel):
    """The upstream of a subpackage."""

    path: str = Field(description="Folder of the subpackage.")
    upstream: Locator | None = Field(None, description="The place that it was made from.")


class Proposal(ApiModel):
    """The last proposal."""

    commit: str = Field("", description="The commit that was proposed.")
    at: datetime | None = Field(None, description="When it was proposed.")
    by: str = Field("", description="Who proposed it, where the API server writes that down.")
    previous_commit: str = Field(
        "", description="Another commit that was proposed before, and taken back or rejected; the last one of them."
    )
    withdrawn_at: datetime | None = Field(
        None, description="When it was taken back or rejected, while nothing else is proposed."
    )


class PackageCondition(ApiModel):
    """A condition that the Kptfile holds."""

    type: str = Field(description="What the condition is about.")
    status: str = Field(description="True, False or Unknown.")
    reason: str = Field("", description="Why, in one word.")
    message: str = Field("", description="For people.")


class LastRun(ApiModel):
    """The Temporal workflow run that reported last."""

    run_id: str = Field("", alias="runID", description="Run id, to find it in the Temporal UI.")
    outcome: RunOutcome | None = Field(None, description="How the run stands.")
    url: str = Field("", description="The run in the Temporal UI, where the workers know its address.")


def _lifecycle_step() -> Rule:
    """Return the rule that a lifecycle may only go where `NEXT_LIFECYCLES` allows."""
    allowed = ", ".join(f"'{old}': [{_quoted(new)}]" for old, new in NEXT_LIFECYCLES.items())
    told = ", ".join(f"'{old}': '{' or '.join(new)}'" for old, new in NEXT_LIFECYCLES.items())
    return Rule(
        "!has(oldSelf.lifecycle) || (has(self.lifecycle) && (self.lifecycle == oldSelf.lifecycle"
        f" || self.lifecycle in {{{allowed}}}[oldSelf.lifecycle]))",
        "lifecycle can go only from Draft to Proposed and back, from Proposed to Published, and from Published to"
        " DeletionProposed and back",
        "'lifecycle cannot go from ' + oldSelf.lifecycle + ' to ' + (has(self.lifecycle) ? self.lifecycle : 'nothing')"
        f" + '; from ' + oldSelf.lifecycle + ' it can go to ' + {{{told}}}[oldSelf.lifecycle]"
        " + (has(self.lifecycle) && self.lifecycle == 'Draft' ? ' (leave spec.lifecycle out of a manifest that is"
        " applied again: it is Draft at first)' : '')",
        field=".lifecycle",
    )


def _quoted(values: tuple[Lifecycle, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _identity(field: str, instead: str) -> Rule:
    """Return the rule that a part of a package revision's identity is immutable once it is set."""
    return Rule(
        f"!has(oldSelf.{field}) || oldSelf.{field} == '' || (has(self.{field}) && self.{field} == oldSelf.{field})",
        f"{field} cannot be changed once it is set: {instead}",
        field=f".{field}",
    )


SPEC_RULES: Final = (
    _lifecycle_step(),
    _identity(
        "packageName",
        "for the package under another name, create a new PackageRevision with source.cloneFrom",
    ),
    _identity(
        "repository",
        "for the package in another repository, create a new PackageRevision with source.cloneFrom",
    ),
    _identity("workspaceName", "for another line of work, create a new PackageRevision with source.copyFrom"),
    Rule(
        "!has(oldSelf.source) || (has(self.source) && self.source == oldSelf.source)",
        "source cannot be changed once it is set: change the content of the Draft, or delete this PackageRevision and"
        " create it again with the other source",
        field=".source",
    ),
)


class PackageRevisionSpec(ApiModel):
    """The wanted state."""

    model_config = ConfigDict(json_schema_extra=checked(*SPEC_RULES))

    package_name: str = Field("", description="Path of the package below the repository's directory.")
    repository: str = Field("", description="Name of the Repository object, in the same namespace.")
    workspace_name: str = Field("", description="Name of this line of work, unique in its package.")
    lifecycle: Lifecycle | None = Field(
        None,
        description="The lifecycle the revision should have; Draft when not given.",
        json_schema_extra={"default": Lifecycle.DRAFT.value},
    )
    """None only in a cluster with CRDs of Porch, which give no default."""
    source: PackageSource | None = Field(None, description="How the first content is made.")
    subpackage_operation: SubpackageOperation | None = Field(
        None,
        description="A change of one subpackage of the Draft. It is done once; taken away and set again, it is"
        " asked for again.",
    )
    readiness_gates: list[ReadinessGate] = Field(
        default_factory=list, description="Conditions the package must meet; mirrored from the Kptfile."
    )
    package_metadata: PackageMetadata | None = Field(
        None, description="Labels and annotations of the package; mirrored from the Kptfile."
    )


class PackageRevisionStatus(ApiModel):
    """The observed state."""

    observed_generation: int | None = Field(
        None, description="The newest generation that was handled.", json_schema_extra=INT64
    )
    revision: int | None = Field(
        None, description="Number of the published revision; -1 for the content of the main branch."
    )
    upstream_lock: Locator | None = Field(None, description="The upstream place the content was made from.")
    self_lock: Locator | None = Field(None, description="Where the package revision is in Git.")
    published_by: str = Field("", description="Who approved the publication.")
    published_at: datetime | None = Field(None, description="When the revision was published.")
    proposal: Proposal | None = Field(
        None, description="What was proposed last: what an approver reviews and can name."
    )
    deployment: bool | None = Field(None, description="Whether the repository is a deployment repository.")
    resources_size_bytes: int | None = Field(
        None, description="Bytes of all files of the package.", json_schema_extra=INT64
    )
    observed_prr_resource_version: str = Field("", description="The render request that was rendered last.")
    rendering_prr_resource_version: str = Field("", description="The render request that is being rendered.")
    creation_source: str = Field("", description="How the first content was made: init, clone, copy or upgrade.")
    last_subpackage_operation_hash: str = Field(
        "", description="Digest of the spec.subpackageOperation that was done; empty while nothing was done for it."
    )
    last_subpackage_change: SubpackageChange | None = Field(
        None, description="The subpackage operation that was done last."
    )
    subpackage_upstreams: list[SubpackageUpstream] = Field(
        default_factory=list,
        description="Upstreams of the subpackages, as their Kptfiles say; at most 100.",
        json_schema_extra=ATOMIC,
    )
    upstream_keys: list[str] = Field(
        default_factory=list,
        description="Repository, directory and ref of every upstream of the package and of its subpackages.",
        json_schema_extra=ATOMIC,
    )
    dependency_truncated: bool | None = Field(
        None, description="Whether subpackages with an upstream are left out of the list."
    )
    package_conditions: list[PackageCondition] = Field(
        default_factory=list, description="Conditions that the Kptfile holds.", json_schema_extra=ATOMIC
    )
    package_metadata: PackageMetadata | None = Field(
        None,
        description="Labels and annotations that the Kptfile had when they were copied to the spec last; a draft whose"
        " spec says something else asks for a change.",
        # Else an apply that empties the maps would leave null in their place, which is not valid.
        json_schema_extra={"x-kubernetes-map-type": "atomic"},
    )
    conditions: list[Condition] = Field(
        default_factory=list, description="State of the reconcile.", json_schema_extra=CONDITIONS_BY_TYPE
    )
    observed_reconcile_now: str = Field("", description="The reconcile-now token that was handled last.")
    last_run: LastRun | None = Field(None, description="The workflow run that reported last.")


class PackageRevision(KubeObject):
    """One revision of a kpt package: its wanted state in the spec, its observed state in the status."""

    model_config = ConfigDict(json_schema_extra=checked(SPEC_STAYS))

    spec: PackageRevisionSpec = Field(default_factory=PackageRevisionSpec)
    status: PackageRevisionStatus = Field(default_factory=PackageRevisionStatus)


PACKAGE_REVISION: Final = ResourceDefinition(
    model=PackageRevision,
    group=PORCH_GROUP,
    version=PACKAGE_REVISION_VERSION,
    plural=PACKAGE_REVISION_PLURAL,
    short_names=("rpkg",),
    columns=(
        Column("Package", ".spec.packageName"),
        Column("WorkspaceName", ".spec.workspaceName"),
        Column("Revision", ".status.revision"),
        Column("Latest", label_path(LATEST_REVISION_LABEL)),
        Column("Lifecycle", ".spec.lifecycle"),
        Column("Repository", ".spec.repository"),
        Column("Ready", ".status.conditions[?(@.type=='Ready')].status", wide=True),
        Column("Reason", ".status.conditions[?(@.type=='Ready')].reason", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
    selectable_fields=(
        ".spec.lifecycle",
        ".spec.repository",
        ".spec.packageName",
        ".spec.workspaceName",
        ".status.revision",
    ),
)
