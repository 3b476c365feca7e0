"""Signals the workflow of an object, and starts it where none runs."""

import logging
from datetime import timedelta
from typing import Final

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from porchflow.watcher.needs import Target
from porchflow.workflows.ids import (
    LIFECYCLE_ATTRIBUTE,
    LOOK_AGAIN_SIGNAL,
    PACKAGE_ATTRIBUTE,
    RECONCILE_QUEUE,
    REPOSITORY_ATTRIBUTE,
    SEARCH_ATTRIBUTES,
    WORKFLOW_NAME,
    WORKSPACE_ATTRIBUTE,
    PackageRevisionInput,
    workflow_id,
)

logger = logging.getLogger(__name__)

_RPC_TIMEOUT: Final = timedelta(seconds=10)

_REFUSALS = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.OUT_OF_RANGE})
"""Answers about one object; every other error means that Temporal cannot be used now."""


class TemporalError(Exception):
    """Temporal did not accept a signal."""


class TemporalUnavailable(TemporalError):  # noqa: N818 - says what Temporal is
    """Temporal cannot be used now, whatever the object: unreachable, overloaded, or it refuses the client."""


class SignalRefused(TemporalError):  # noqa: N818 - says what happened to the signal
    """Temporal refuses the signal for this object."""


class WorkflowStarter:
    """Brings "look again" to the workflow of an object."""

    def __init__(self, client: Client) -> None:
        """Create the starter.

        Args:
            client: Has the pydantic data converter.
        """
        self._client = client

    async def prepare(self) -> None:
        """Register the search attributes that are missing.

        Raises:
            TemporalUnavailable: They cannot be read or added; the message names the command that adds them.
        """
        try:
            missing = await self._missing_search_attributes()
            if missing:
                await self._add_search_attributes(missing)
                logger.info("registered the search attributes %s", ", ".join(missing))
        except RPCError as error:
            names = " ".join(f"--name {key.name} --type Keyword" for key in SEARCH_ATTRIBUTES)
            raise TemporalUnavailable(
                f"cannot register search attributes in namespace {self._client.namespace!r}: {error.message}; where"
                f" this client may not, run: temporal operator search-attribute create {names}"
            ) from error

    async def signal(self, target: Target) -> None:
        """Signal the workflow of an object; start it with the signal where none runs.

        Raises:
            TemporalUnavailable: No object can be signalled now.
            SignalRefused: Temporal refuses this one.
        """
        try:
            await self._client.start_workflow(
                WORKFLOW_NAME,
                PackageRevisionInput(namespace=target.namespace, name=target.name),
                id=workflow_id(target.namespace, target.name),
                task_queue=RECONCILE_QUEUE,
                start_signal=LOOK_AGAIN_SIGNAL,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=search_attributes_of(target),
                static_summary=f"{target.namespace}/{target.name}",
                rpc_timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            kind = SignalRefused if error.status in _REFUSALS else TemporalUnavailable
            raise kind(error.message or error.status.name) from error

    async def _missing_search_attributes(self) -> list[str]:
        known = await self._client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=self._client.namespace), timeout=_RPC_TIMEOUT
        )
        return [key.name for key in SEARCH_ATTRIBUTES if key.name not in known.custom_attributes]

    async def _add_search_attributes(self, names: list[str]) -> None:
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        request = AddSearchAttributesRequest(
            namespace=self._client.namespace, search_attributes=dict.fromkeys(names, keyword)
        )
        try:
            await self._client.operator_service.add_search_attributes(request, timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.ALREADY_EXISTS:
                raise


def search_attributes_of(target: Target) -> TypedSearchAttributes:
    """Return the search attributes for Temporal's UI; an attribute that the object does not state is left out."""
    values = (
        (REPOSITORY_ATTRIBUTE, target.repository),
        (PACKAGE_ATTRIBUTE, target.package),
        (WORKSPACE_ATTRIBUTE, target.workspace),
        (LIFECYCLE_ATTRIBUTE, target.lifecycle),
    )
    return TypedSearchAttributes([SearchAttributePair(key, value) for key, value in values if value])
