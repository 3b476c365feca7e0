"""Signals the workflow of an object, and starts it where none runs."""

import logging

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from porchflow.watcher.needs import Target
from porchflow.watcher.temporal.search_attributes import SearchAttributes
from porchflow.watcher.temporal.stuck_runs import end_stuck_run
from porchflow.watcher.temporal.temporal_errors import RPC_TIMEOUT, lacks_search_attributes, sorted_error, unavailable
from porchflow.workflows.ids import (
    FIRST_VERSION,
    LOOK_AGAIN_SIGNAL,
    RECONCILE_QUEUE,
    WORKFLOW_NAME,
    Attributes,
    Installation,
    PackageRevisionInput,
)
from porchflow.workflows.policies import RUN_RETRY

logger = logging.getLogger(__name__)


class WorkflowStarter:
    """Brings "look again" to the workflow of an object."""

    def __init__(self, client: Client, installation: Installation = FIRST_VERSION) -> None:
        """Create the starter.

        Args:
            client: Has the pydantic data converter.
            installation: Begins the ids of the runs.
        """
        self._client = client
        self._installation = installation
        self._search_attributes = SearchAttributes(client, installation.attributes)
        self.first_version_runs: set[str] = set()
        self.stuck_runs_ended = 0

    async def prepare(self) -> None:
        """Register the search attributes that are missing, and look for open runs of the first version.

        Raises:
            TemporalUnavailable: Temporal cannot be used now, or a search attribute; the message says how to mend it.
        """
        await self._search_attributes.ensure()
        if self._installation.id:
            await self._find_first_version_runs()

    async def ping(self) -> None:
        """Return when Temporal answers, takes the credentials and has the namespace.

        Raises:
            TemporalUnavailable: It does not.
        """
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._client.workflow_service.describe_namespace(request, timeout=RPC_TIMEOUT)
        except RPCError as error:
            raise unavailable(error) from error

    async def signal(self, target: Target) -> None:
        """Signal the workflow of an object; start it with the signal where none runs.

        Raises:
            TemporalUnavailable: Temporal cannot be used now.
            SignalRefused: Temporal refuses this object.
        """
        try:
            await self._end_first_version_run(target)
            if target.repeated:
                identity = self._installation.workflow_id(target.namespace, target.name)
                self.stuck_runs_ended += await end_stuck_run(self._client, identity)
            await self._signal(target)
        except RPCError as error:
            if lacks_search_attributes(error):
                # Temporal's data may have been lost, and the search attributes with it. The next attempt starts the
                # run: what was registered a moment ago is not known in all of Temporal at once.
                await self._search_attributes.mend(error)
            raise sorted_error(error) from error

    async def _signal(self, target: Target) -> None:
        attributes = self._installation.attributes
        await self._client.start_workflow(
            WORKFLOW_NAME,
            PackageRevisionInput(
                namespace=target.namespace,
                name=target.name,
                attribute_prefix=attributes.prefix,
                shows_outcome=self._search_attributes.has_optional,
            ),
            id=self._installation.workflow_id(target.namespace, target.name),
            task_queue=self._installation.queue(RECONCILE_QUEUE),
            start_signal=LOOK_AGAIN_SIGNAL,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            retry_policy=RUN_RETRY,
            memo=self._installation.memo,
            search_attributes=search_attributes_of(target, attributes),
            static_summary=f"{target.namespace}/{target.name}",
            static_details=f"`kubectl describe packagerevision {target.name} --namespace {target.namespace}`",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def _find_first_version_runs(self) -> None:
        """Find open runs whose ids have no installation: no worker of this version serves their queue."""
        queue = FIRST_VERSION.queue(RECONCILE_QUEUE)
        query = f"WorkflowType = '{WORKFLOW_NAME}' AND ExecutionStatus = 'Running' AND TaskQueue = '{queue}'"
        try:
            found = {run.id async for run in self._client.list_workflows(query, rpc_timeout=RPC_TIMEOUT)}
        except RPCError as error:
            raise unavailable(error) from error
        if found - self.first_version_runs:
            logger.warning(
                "%d open runs of namespace %r have ids without an installation: each of an object of this cluster is"
                " ended when its object is signalled, the others are left alone",
                len(found),
                self._client.namespace,
            )
        self.first_version_runs = found

    async def _end_first_version_run(self, target: Target) -> None:
        """End the run of an object that has an id without an installation; runs hold no state that could be lost."""
        before = FIRST_VERSION.workflow_id(target.namespace, target.name)
        if before not in self.first_version_runs:
            return
        try:
            reason = f"goes on as {self._installation.workflow_id(target.namespace, target.name)}"
            await self._client.get_workflow_handle(before).terminate(reason=reason, rpc_timeout=RPC_TIMEOUT)
            logger.info("ended run %s, which %s", before, reason)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        self.first_version_runs.discard(before)


def search_attributes_of(target: Target, attributes: Attributes) -> TypedSearchAttributes:
    """Return the search attributes for Temporal's UI; an attribute that the object does not state is left out."""
    values = (
        (attributes.repository, target.repository),
        (attributes.package, target.package),
        (attributes.workspace, target.workspace),
        (attributes.lifecycle, target.lifecycle),
    )
    return TypedSearchAttributes([SearchAttributePair(key, value) for key, value in values if value])
