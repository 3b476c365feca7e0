"""Which Repositories and packages an installation works on."""

from pydantic import BaseModel, Field


class ScopeSettings(BaseModel, frozen=True):
    """The part of the cluster that an installation works on."""

    namespaces: tuple[str, ...] = Field(
        (), description="Kubernetes namespaces to work in, separated by commas; unset means all"
    )
    annotated_repositories_only: bool = Field(
        default=False,
        description="touch only Repositories with the annotation porch.kpt.dev/v1alpha2-migration: true, where Porch"
        " runs besides",
    )
