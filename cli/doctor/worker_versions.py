"""Whether the version of the workers that Temporal gives work to has workers."""

from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeWorkerDeploymentRequest
from temporalio.client import Client
from temporalio.service import RPCError

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.workflows.ids import RECONCILE_QUEUE, Installation

_NO_VERSION = ""
"""Stands for workers without worker versioning: they get all work while no version is the current one."""


async def check_worker_version(client: Client, installation: Installation) -> list[Finding]:
    """Compare the current version of the installation's worker deployment with the workers seen in the last minutes.

    Returns:
        Nothing where the server knows no such deployment: no worker takes part in worker versioning.
    """
    name = installation.deployment
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    try:
        answer = await client.workflow_service.describe_worker_deployment(request)
        seen = await _versions_seen(client, installation)
    except RPCError:
        # Of a server that does not answer, or knows no worker versioning, the other checks tell.
        return []
    current = answer.worker_deployment_info.routing_config.current_deployment_version.build_id
    check = Check("worker-version", name)
    if current in seen:
        return [check.ok(f"current: {current or 'workers without a build id'}")]
    told = ", ".join(sorted(filter(None, seen))) or "none"
    what = f"version {current!r} is the current one" if current else "no version is the current one"
    command = (
        f"temporal worker deployment set-current-version --namespace {client.namespace} --deployment-name {name}"
        " --build-id BUILD_ID"
    )
    return [check.failure(f"{what}, and no worker gets its work; versions with workers: {told}", command)]


async def _versions_seen(client: Client, installation: Installation) -> set[str]:
    """Return the build ids of workers of the installation, `_NO_VERSION` for those that have none."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=installation.queue(RECONCILE_QUEUE)),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    answer = await client.workflow_service.describe_task_queue(request)
    options = [poller.deployment_options for poller in answer.pollers]
    versioned = WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
    return {each.build_id if each.worker_versioning_mode == versioned else _NO_VERSION for each in options}
