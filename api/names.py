"""Names that clients, repositories and manifests of Porch rely on, and the few that are porchflow's own."""

from typing import Final

PORCH_GROUP: Final = "porch.kpt.dev"
CONFIG_GROUP: Final = "config.porch.kpt.dev"

PACKAGE_REVISION_VERSION: Final = "v1alpha2"
PACKAGE_REVISION_API_VERSION: Final = f"{PORCH_GROUP}/{PACKAGE_REVISION_VERSION}"
PACKAGE_REVISION_KIND: Final = "PackageRevision"
PACKAGE_REVISION_PLURAL: Final = "packagerevisions"

CONTENT_VERSION: Final = "v1alpha1"
CONTENT_API_VERSION: Final = f"{PORCH_GROUP}/{CONTENT_VERSION}"
"""Group and version of the aggregated API that serves package content."""
PACKAGE_REVISION_RESOURCES_KIND: Final = "PackageRevisionResources"
PACKAGE_REVISION_RESOURCES_PLURAL: Final = "packagerevisionresources"

CONFIG_VERSION: Final = "v1alpha1"
CONFIG_API_VERSION: Final = f"{CONFIG_GROUP}/{CONFIG_VERSION}"
REPOSITORY_API_VERSION: Final = CONFIG_API_VERSION
REPOSITORY_KIND: Final = "Repository"
REPOSITORY_PLURAL: Final = "repositories"
FUNCTION_CONFIG_KIND: Final = "FunctionConfig"
FUNCTION_CONFIG_PLURAL: Final = "functionconfigs"

FINALIZER: Final = "porch.kpt.dev/packagerevisions"
"""On a PackageRevision: it goes once Git no longer holds what it owns."""
REPOSITORY_FINALIZER: Final = "config.porch.kpt.dev/repository"
"""On a Repository: it goes once its PackageRevisions have gone."""

LATEST_REVISION_LABEL: Final = "porch.kpt.dev/latest-revision"
"""On a PackageRevision: `true` on the newest published revision of its package."""
REPOSITORY_LABEL: Final = "porch.kpt.dev/repository"
"""On a PackageRevision: the name of its Repository, to select by."""

KPTFILE_LABEL_PREFIX: Final = "porch.kpt.dev/kptfile-label__"
"""On a PackageRevision: begins labels that show the labels of the package's Kptfile."""

RENDER_REQUEST_ANNOTATION: Final = "porch.kpt.dev/render-request"
"""On a PackageRevision: any new value asks for a rendering; `status.observedPrrResourceVersion` echoes it."""
PUSH_ON_RENDER_FAILURE_ANNOTATION: Final = "porch.kpt.dev/push-on-render-failure"
"""On a PackageRevision: with the value `true` what a failed rendering made of the files is committed, too."""
V1ALPHA2_MIGRATION_ANNOTATION: Final = "porch.kpt.dev/v1alpha2-migration"
"""On a Repository: with the value `true` it is porchflow's, and Porch's v1alpha1 API leaves it alone."""
RECONCILE_NOW_ANNOTATION: Final = "porchflow.dev/reconcile-now"
"""Any new value requests a reconcile, on a Repository a sync; `status.observedReconcileNow` echoes it."""
SYNC_TOKEN_PREFIX: Final = "git-"  # noqa: S105 - no secret
"""Begins the values of `RECONCILE_NOW_ANNOTATION` that a sync writes: a finding in Git, and no wish of a user."""
SUSPEND_ANNOTATION: Final = "porchflow.dev/suspend"
"""Nothing is reconciled while it is present; the value states the reason."""
SUSPEND_UNTIL_ANNOTATION: Final = "porchflow.dev/suspend-until"
"""When a suspension ends by itself, as an RFC 3339 time."""
SUSPENDED_BY_ANNOTATION: Final = "porchflow.dev/suspended-by"
"""The user who suspended; written by the API server, where the admission policies are."""
APPROVED_BY_ANNOTATION: Final = "porchflow.dev/approved-by"
"""The user who published; written by the API server, where the admission policies are."""
UPSTREAM_OF_ANNOTATION: Final = "porchflow.dev/upstream-of"
"""One of the package revisions that were made from this one."""
ADMISSION_LABEL: Final = "porchflow.dev/admission"
"""On a Namespace: with the value `disabled` the policies that refuse leave its objects alone."""
DISCOVERED_ANNOTATION: Final = "porchflow.dev/discovered"
"""On objects that a sync made from Git. The sync writes their status next; no workflow has to run."""
NEWER_REVISION_ANNOTATION: Final = "porchflow.dev/newer-revision"
"""On the first revision of a package once there is a newer one: the number of that one."""
ACCEPT_COMMIT_ANNOTATION: Final = "porchflow.dev/accept-commit"
"""On a Published revision whose tag was moved: the commit that a person accepts for the revision from now on."""
PROPOSED_BY_ANNOTATION: Final = "porchflow.dev/proposed-by"
"""The user who proposed; written by the API server, where the admission policies are."""
APPROVED_COMMIT_ANNOTATION: Final = "porchflow.dev/approved-commit"
"""The commit that an approver has reviewed; no other commit is published."""
APPROVAL_LABEL: Final = "porchflow.dev/approval"
"""On a Namespace: with the value `commit` no commit is published there without its review."""
UPSTREAMS_LABEL: Final = "porchflow.dev/upstreams"
"""On a Namespace: with the value `protected` nothing published is deleted there that others depend on."""
SECRET_HOSTS_ANNOTATION: Final = "porchflow.dev/hosts"  # noqa: S105 - no secret
"""On a Secret: the hosts that its contents may be sent to."""
ORPHAN_ANNOTATION: Final = "porchflow.dev/orphan-git-content"
"""With the value `true` the deletion of the object leaves its content in Git."""

APPROVAL_SUBRESOURCE: Final = "approval"
"""Permission to update or patch `packagerevisions/approval` is permission to publish, as in Porch's v1alpha1."""
RECONCILE_VERB: Final = "reconcile"
"""A user with this verb on `packagerevisions` may state what is in Git, as a controller does."""
RECORDS_POLICY: Final = "porchflow-records"
"""Name of the policy, and of its binding, that records the approver."""
SECRETS_POLICY: Final = "porchflow-secrets"
"""Name of the policy, and of its binding, that lets a source name only objects that the user may read."""
SUBPACKAGE_SECRETS_POLICY: Final = "porchflow-subpackage-secrets"
"""As `SECRETS_POLICY`, for a subpackage operation."""

FIELD_MANAGER: Final = "packagerev-controller"
RENDER_FIELD_MANAGER: Final = "packagerev-controller-render"
KPTFILE_FIELD_MANAGER: Final = "packagerev-controller-kptfile"
LABELS_FIELD_MANAGER: Final = "packagerev-controller-labels"
REPOSITORY_FIELD_MANAGER: Final = "repository-controller"
REPOSITORY_SEED_FIELD_MANAGER: Final = "repository-controller-seed"
"""Of fields that a sync sets once and other managers own from then on; applied without force."""
METADATA_FIELD_MANAGER: Final = "porch-controllers"
"""Of the finalizer, the owner reference and the label of the latest revision."""
FUNCTION_RUNNER_FIELD_MANAGER: Final = "function-runner"


def ca_bundle_name(namespace: str) -> str:
    """Return the name of the Secret with certificates for all Repositories of a namespace.

    Source: docs/reference/porch-git-layout.md, "Credentials".
    """
    return f"{namespace}-ca-bundle"


def object_name(repository: str, package: str, workspace: str) -> str:
    """Return the only name a PackageRevision of this identity can have.

    Args:
        repository: Name of the Repository object.
        package: Path of the package below the repository's directory; may contain slashes.
        workspace: The workspace.
    """
    return ".".join([repository, *package.strip("/").split("/"), workspace])
