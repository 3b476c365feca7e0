"""Checks of what the processes need beside the cluster: Temporal, the function runner, a folder for Git caches."""

import os
import tempfile

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    GetClusterInfoRequest,
)
from temporalio.client import Client
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from porchflow.cli.doctor.findings import Check, Finding, all_of
from porchflow.cli.doctor.functions import PROBE_FUNCTION
from porchflow.cli.doctor.worker_versions import check_worker_version
from porchflow.cli.processes.connect import answers_calls
from porchflow.cli.processes.functions.runner_client import identity_of, open_runner_client
from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec
from porchflow.cli.processes.temporal.temporal_connection import read_connection
from porchflow.cli.settings import Settings, SettingsError
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.functions.calls.tls import CertificateError, ClientCredentials
from porchflow.functions.function_errors import FunctionNotFound, FunctionUnavailable, RunnerUnavailable
from porchflow.functions.runner_settings import RunnerClientSettings
from porchflow.gitrepo.git_settings import GitSettings
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.watcher.temporal.search_attributes import (
    registered_attributes,
    registering_commands,
    wrong_types,
    wrong_types_message,
)
from porchflow.workflows.ids import Attributes, Installation
from porchflow.workflows.policies import ISOLATED_QUEUE, RECONCILE_QUEUE, RENDER_QUEUE, SYNC_QUEUE

_WORKFLOW, _ACTIVITY = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
_QUEUES = {
    RECONCILE_QUEUE: (_WORKFLOW, _ACTIVITY),
    RENDER_QUEUE: (_ACTIVITY,),
    ISOLATED_QUEUE: (_ACTIVITY,),
    SYNC_QUEUE: (_WORKFLOW, _ACTIVITY),
}
_NO_INSTALLATION = Installation()
_PROBE = b"""\
apiVersion: config.kubernetes.io/v1
kind: ResourceList
items: []
functionConfig:
  apiVersion: v1
  kind: ConfigMap
  metadata:
    name: probe
  data:
    checked-by: doctor
"""


async def check_temporal(
    settings: TemporalSettings, seconds: float, installation: Installation | None = _NO_INSTALLATION
) -> list[Finding]:
    """Look for Temporal, the namespace, its search attributes, and the workers at its queues.

    Args:
        settings: Address and credentials.
        seconds: Time limit of its first answer.
        installation: Whose queues and search attributes; None where its id is not known, and queues are not looked at.
    """
    client, found = await _reach_temporal(settings, seconds)
    if client is None:
        return found
    found = [*found, *_encryption(client)]
    if installation is None:
        unknown = Check("task-queue", "all").warning(
            "the id of the installation is not known, because Namespace kube-system cannot be read",
            "set PORCHFLOW_TEMPORAL_INSTALLATION, or run the check as somebody who may read that Namespace",
        )
        return [*found, unknown]
    return [
        *found,
        *await all_of(
            _check_search_attributes(client, installation),
            check_worker_version(client, installation),
            *(_check_queue(client, installation, queue) for queue in _QUEUES),
        ),
    ]


async def check_temporal_before_install(
    settings: TemporalSettings, seconds: float, attributes: Attributes
) -> list[Finding]:
    """Look for Temporal, the namespace, and search attributes of another type; the watcher registers missing ones.

    Args:
        settings: Address and credentials.
        seconds: Time limit of its first answer.
        attributes: The search attributes.
    """
    client, found = await _reach_temporal(settings, seconds)
    if client is None:
        return found
    check = Check("search-attributes", client.namespace)
    try:
        wrong = wrong_types(attributes.all, await registered_attributes(client))
    except RPCError as error:
        return [*found, check.warning(f"cannot be read: {error.message}", "see docs/operate/temporal.md")]
    if wrong:
        return [*found, check.failure(wrong_types_message(client.namespace, wrong), "see docs/operate/temporal.md")]
    return [*found, check.ok("none has another type")]


async def _reach_temporal(settings: TemporalSettings, seconds: float) -> tuple[Client | None, list[Finding]]:
    """Return a client of Temporal where the namespace is there, and what there is to say."""
    try:
        connection = read_connection(settings)
    except SettingsError as error:
        return None, [Check("temporal", settings.address).failure(error.message, "see docs/reference/configuration.md")]
    check, namespace = Check("temporal", connection.address), connection.namespace
    try:
        await answers_calls(connection.address, seconds)
        client = await connection.connect(retry_config=RetryConfig(max_retries=1))
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (RPCError, RuntimeError, OSError) as error:
        if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
            mend = f"temporal operator namespace create --namespace {namespace}, or set PORCHFLOW_TEMPORAL_NAMESPACE"
            return None, [check.failure(f"has no namespace {namespace!r}", mend)]
        why = await connection.explain(error, seconds)
        return None, [check.failure(f"cannot be used: {why}", "start Temporal, or correct PORCHFLOW_TEMPORAL_*")]
    return client, [check.ok(f"answers and has namespace {namespace!r}{await _told_server(client)}")]


async def _told_server(client: Client) -> str:
    """Return the server's version and where it keeps its data, to go on a sentence; empty where it does not say."""
    try:
        info = await client.workflow_service.get_cluster_info(GetClusterInfoRequest())
    except RPCError:
        return ""
    return f"; version {info.server_version}, runs in {info.persistence_store}, their list in {info.visibility_store}"


def _encryption(client: Client) -> list[Finding]:
    """Return what is encrypted; nothing where there are no keys."""
    codec = client.data_converter.payload_codec
    if not isinstance(codec, EncryptionCodec):
        return []
    newest, *older = codec.keys.ids
    also = f", decrypts with {', '.join(older)} too" if older else ""
    return [Check("encryption", str(codec.keys.path)).ok(f"encrypts with the key {newest}{also}")]


async def _check_search_attributes(client: Client, installation: Installation) -> list[Finding]:
    attributes, namespace = installation.attributes, client.namespace
    check, names = Check("search-attributes", namespace), [key.name for key in attributes.all]
    try:
        known = await registered_attributes(client)
    except RPCError as error:
        return [check.warning(f"cannot be read: {error.message}", registering_commands(namespace, names))]
    if wrong := wrong_types(attributes.all, known):
        return [check.failure(wrong_types_message(namespace, wrong), "see docs/operate/temporal.md")]
    missing = [name for name in names if name not in known]
    if not missing:
        return [check.ok(f"registered: {', '.join(names)}")]
    told = f"not registered: {', '.join(missing)}"
    mend = f"start the watcher, or: {registering_commands(namespace, missing)}"
    if {key.name for key in attributes.required} <= known.keys():
        return [check.warning(f"{told}: runs cannot be searched by reason and outcome", mend)]
    return [check.failure(told, mend)]


async def _check_queue(client: Client, installation: Installation, name: str) -> list[Finding]:
    queue = installation.queue(name)
    check, workers = Check("task-queue", queue), set()
    for kind in _QUEUES[name]:
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        try:
            answer = await client.workflow_service.describe_task_queue(request)
        except RPCError as error:
            return [check.failure(str(error), "see whether Temporal is well")]
        if not answer.pollers:
            what = "workflows" if kind == _WORKFLOW else "activities"
            return [check.failure(f"no worker takes its {what}", _mend_queue(name))]
        workers |= {poller.identity for poller in answer.pollers}
    return [check.ok(f"workers seen in the last minutes: {len(workers)}")]


def _mend_queue(name: str) -> str:
    return "start a worker" if name == ISOLATED_QUEUE else "start a worker with this queue in PORCHFLOW_QUEUES"


async def check_runner(settings: Settings, seconds: float) -> list[Finding]:
    """Check the health of the function runner, and have it run one function."""
    address = settings.runner_client.address
    check = Check("function-runner", address or "none")
    if not address:
        return [check.ok("FUNCTION_RUNNER_ADDRESS is not set: built-in functions run in the workers")]
    try:
        healthy = await _health(settings.runner_client, seconds)
    except CertificateError as error:
        return [check.failure(str(error), "correct PORCHFLOW_FUNCTION_RUNNER_CA, _CLIENT_CERT and _CLIENT_KEY")]
    except grpc.aio.AioRpcError as error:
        if error.code() != grpc.StatusCode.UNIMPLEMENTED:
            told = f"cannot be reached: {error.code().name}: {error.details()}"
            return [check.failure(told, "start it, or correct FUNCTION_RUNNER_ADDRESS and the certificates")]
        healthy = True
    if not healthy:
        return [check.failure("says that it does not serve", "see its log; it may be stopping")]
    return [await _run_function(settings, check)]


async def _health(settings: RunnerClientSettings, seconds: float) -> bool:
    identity = identity_of(settings)
    if identity.is_secure:
        channel = grpc.aio.secure_channel(settings.address, ClientCredentials(identity).for_channel())
    else:
        channel = grpc.aio.insecure_channel(settings.address)
    async with channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=seconds)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _run_function(settings: Settings, check: Check) -> Finding:
    image = f"{settings.calls.default_image_prefix}{PROBE_FUNCTION}"
    try:
        async with open_runner_client(settings.runner_client, settings.calls) as call:
            await call(image, _PROBE)
    except FunctionNotFound as error:
        return check.warning(f"is healthy and does not know {image}: {error}", "give it the functions you use")
    # After FunctionNotFound, which is a subclass of one of these.
    except (FunctionFailed, FunctionUnavailable, RunnerUnavailable, SettingsError) as error:
        return check.failure(str(error), "see the log of the function runner")
    return check.ok(f"is healthy and ran {image}")


async def check_cache(settings: GitSettings) -> list[Finding]:
    """Check that the folder of the Git caches can be written, on the machine of the check."""
    folder = settings.cache_dir.expanduser()
    check = Check("git-cache", str(folder))
    mend = "give the user of this process the right to write there, or set GIT_CACHE_DIR"
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return [check.failure(f"{existing} is no folder that can be written", mend)]
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".porchflow-doctor-"):
            return [check.ok("can be written" if existing == folder else f"can be made in {existing}")]
    except OSError as error:
        return [check.failure(f"cannot be written: {error.strerror}", mend)]
