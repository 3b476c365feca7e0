"""Names that clients, repositories and manifests of Porch rely on, and the few that are ours."""

from typing import Final

PORCH_GROUP: Final = "porch.kpt.dev"
CONFIG_GROUP: Final = "config.porch.kpt.dev"

PACKAGE_REVISION_VERSION: Final = "v1alpha2"
PACKAGE_REVISION_API_VERSION: Final = f"{PORCH_GROUP}/{PACKAGE_REVISION_VERSION}"
PACKAGE_REVISION_KIND: Final = "PackageRevision"
PACKAGE_REVISION_PLURAL: Final = "packagerevisions"

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

RENDER_REQUEST_ANNOTATION: Final = "porch.kpt.dev/render-request"
PUSH_ON_RENDER_FAILURE_ANNOTATION: Final = "porch.kpt.dev/push-on-render-failure"
V1ALPHA2_MIGRATION_ANNOTATION: Final = "porch.kpt.dev/v1alpha2-migration"
RECONCILE_NOW_ANNOTATION: Final = "porchflow.dev/reconcile-now"
"""Ours: any new value asks for a reconcile; the status echoes it in `observedReconcileNow`."""

FIELD_MANAGER: Final = "packagerev-controller"
RENDER_FIELD_MANAGER: Final = "packagerev-controller-render"
KPTFILE_FIELD_MANAGER: Final = "packagerev-controller-kptfile"
REPOSITORY_FIELD_MANAGER: Final = "repository-controller"


def object_name(repository: str, package: str, workspace: str) -> str:
    """Return the only name a PackageRevision of this identity can have.

    Args:
        repository: Name of the Repository object.
        package: Path of the package below the repository's directory; may contain slashes.
        workspace: The workspace.
    """
    return ".".join([repository, *package.strip("/").split("/"), workspace])
