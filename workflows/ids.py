"""Ids and inputs of workflows: a client can start or signal one without loading its code."""

from typing import Final

from pydantic import BaseModel
from temporalio.common import SearchAttributeKey

from porchflow.workflows.policies import RECONCILE_QUEUE, SYNC_QUEUE

__all__ = [
    "LIFECYCLE_ATTRIBUTE",
    "LOOK_AGAIN_SIGNAL",
    "PACKAGE_ATTRIBUTE",
    "PHASE_ATTRIBUTE",
    "RECONCILE_QUEUE",
    "REPOSITORY_ATTRIBUTE",
    "SEARCH_ATTRIBUTES",
    "SYNC_QUEUE",
    "SYNC_WORKFLOW_NAME",
    "WORKFLOW_NAME",
    "WORKSPACE_ATTRIBUTE",
    "PackageRevisionInput",
    "RepositorySyncInput",
    "sync_id",
    "workflow_id",
]

WORKFLOW_NAME: Final = "PackageRevisionWorkflow"
LOOK_AGAIN_SIGNAL: Final = "look_again"
SYNC_WORKFLOW_NAME: Final = "RepositorySyncWorkflow"

REPOSITORY_ATTRIBUTE = SearchAttributeKey.for_keyword("Repository")
PACKAGE_ATTRIBUTE = SearchAttributeKey.for_keyword("Package")
WORKSPACE_ATTRIBUTE = SearchAttributeKey.for_keyword("Workspace")
LIFECYCLE_ATTRIBUTE = SearchAttributeKey.for_keyword("Lifecycle")
PHASE_ATTRIBUTE = SearchAttributeKey.for_keyword("Phase")
SEARCH_ATTRIBUTES = (
    REPOSITORY_ATTRIBUTE,
    PACKAGE_ATTRIBUTE,
    WORKSPACE_ATTRIBUTE,
    LIFECYCLE_ATTRIBUTE,
    PHASE_ATTRIBUTE,
)


class PackageRevisionInput(BaseModel):
    """Names the object that a workflow reconciles; the workflow reads everything else when it runs."""

    namespace: str
    name: str


class RepositorySyncInput(BaseModel):
    """Names the Repository that a workflow syncs."""

    namespace: str
    name: str


def workflow_id(namespace: str, name: str) -> str:
    """Return the id of the one workflow that reconciles the PackageRevision `name` in `namespace`."""
    return f"packagerevision/{namespace}/{name}"


def sync_id(namespace: str, name: str) -> str:
    """Return the id of the schedule that syncs a Repository; the ids of its runs start with it."""
    return f"repository/{namespace}/{name}"
