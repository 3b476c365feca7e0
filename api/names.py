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
REPOSITORY_FINALIZER: Final = "config.porch.kpt.dev/repository"

LATEST_REVISION_LABEL: Final = "porch.kpt.dev/latest-revision"
REPOSITORY_LABEL: Final = "porch.kpt.dev/repository"

KPTFILE_LABEL_PREFIX: Final = "porch.kpt.dev/kptfile-label__"
"""Of labels that show the labels of the package's Kptfile."""

RENDER_REQUEST_ANNOTATION: Final = "porch.kpt.dev/render-request"
PUSH_ON_RENDER_FAILURE_ANNOTATION: Final = "porch.kpt.dev/push-on-render-failure"
V1ALPHA2_MIGRATION_ANNOTATION: Final = "porch.kpt.dev/v1alpha2-migration"
RECONCILE_NOW_ANNOTATION: Final = "porchflow.dev/reconcile-now"
"""Ours: any new value requests a reconcile, on a Repository a sync; `status.observedReconcileNow` echoes it."""
SUSPEND_ANNOTATION: Final = "porchflow.dev/suspend"
"""Ours: nothing is reconciled while it is present; the value states the reason."""
SUSPEND_UNTIL_ANNOTATION: Final = "porchflow.dev/suspend-until"
"""Ours: when a suspension ends by itself, as an RFC 3339 time."""
SUSPENDED_BY_ANNOTATION: Final = "porchflow.dev/suspended-by"
"""Ours: the user who suspended; written by the API server, where the policies of `porchflow.api.admission` exist."""
APPROVED_BY_ANNOTATION: Final = "porchflow.dev/approved-by"
"""Ours: the user who published; written by the API server, where the policies of `porchflow.api.admission` exist."""
UPSTREAM_OF_ANNOTATION: Final = "porchflow.dev/upstream-of"
"""Ours: one of the package revisions that were made from this one."""
ADMISSION_LABEL: Final = "porchflow.dev/admission"
"""Ours, on a Namespace: with the value `disabled` the policies that refuse leave its objects alone."""
DISCOVERED_ANNOTATION: Final = "porchflow.dev/discovered"
"""Ours: on objects that a sync made from Git. The sync writes their status next; no workflow has to run."""
ACCEPT_COMMIT_ANNOTATION: Final = "porchflow.dev/accept-commit"
"""Ours: on a Published revision whose tag was moved: the commit that a person accepts for the revision from now on."""
PROPOSED_BY_ANNOTATION: Final = "porchflow.dev/proposed-by"
"""Ours: the user who proposed; written by the API server, where the policies of `porchflow.api.admission` exist."""
APPROVED_COMMIT_ANNOTATION: Final = "porchflow.dev/approved-commit"
"""Ours: the commit that an approver has reviewed; no other commit is published."""
APPROVAL_LABEL: Final = "porchflow.dev/approval"
"""Ours, on a Namespace: with the value `commit` no commit is published there without its review."""
SECRET_HOSTS_ANNOTATION: Final = "porchflow.dev/hosts"  # noqa: S105 - no secret
"""Ours, on a Secret: the hosts that its contents may be sent to."""
ORPHAN_ANNOTATION: Final = "porchflow.dev/orphan-git-content"
"""Ours: with the value `true` the deletion of the object leaves its content in Git."""

APPROVAL_SUBRESOURCE: Final = "approval"
"""Permission to update or patch `packagerevisions/approval` is permission to publish, as in Porch's v1alpha1."""
RECONCILE_VERB: Final = "reconcile"
"""A user with this verb on `packagerevisions` may state what is in Git, as a controller does."""
RECORDS_POLICY: Final = "porchflow-records"
"""Name of the policy, and of its binding, that records the approver."""
SECRETS_POLICY: Final = "porchflow-secrets"
"""Name of the policy, and of its binding, that lets a source name only objects that the user may read."""

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
