"""What all tests share: real servers, started when a test first asks for one, and the rule that nothing is left behind.

With `-n`, every xdist worker has servers of its own; use `--dist loadfile`.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil
import pytest
from kubernetes.aio.client.rest import RESTClientObject  # noqa: F401 - slow to import: not within a test's time

from porchflow.api.names import ADMISSION_LABEL
from porchflow.cli.ending import LastStep
from porchflow.devstack.processes import Process
from porchflow.devstack.temporal_server.server_executables import POSTGRESQL_SERVERS
from porchflow.devstack.toolchain.executables import SERVERS, Server
from porchflow.devstack.toolchain.finding import ToolchainError, ensure_servers
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import Resource
from tests.e2e.rules import Recorder
from tests.kubectl import Kubectl, kubectl_with
from tests.servers.content import running_content_api
from tests.servers.control_plane import ControlPlane, running_control_plane
from tests.servers.faulty import Faults, FaultyGitServer
from tests.servers.git import GitRepositories, GitRepository, isolate_git
from tests.servers.temporal import ON_POSTGRESQL, TemporalServer, running_temporal
from tests.servers.tools import REGISTRY, TOOLS, WRAPPER_SERVER

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)

_SETTINGS = ("PORCHFLOW_", "FUNCTION_RUNNER_ADDRESS", "GIT_CACHE_DIR", "DEFAULT_IMAGE_PREFIX")
_CLUSTERS = ("KUBECONFIG", "KUBERNETES_", "TEMPORAL_")
_SERVERS = {
    "PORCHFLOW_CACHE_DIR",
    "PORCHFLOW_CLUSTER_DIR",
    "PORCHFLOW_POSTGRESQL",
    *(server.variable for server in (*SERVERS, *POSTGRESQL_SERVERS, *TOOLS.values())),
}
_STACK = (*SERVERS, *(POSTGRESQL_SERVERS if ON_POSTGRESQL else ()))


def forget_environment() -> None:
    """Let no setting of the person who runs the tests reach the code under test, and no test reach their cluster."""
    for name in [name for name in os.environ if name.startswith((*_SETTINGS, *_CLUSTERS)) and name not in _SERVERS]:
        del os.environ[name]
    os.environ["TEMPORAL_CONFIG_FILE"] = os.devnull


isolate_git()
forget_environment()
# Clients of Temporal are open in this process too.
_LAST_STEP = LastStep()


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_BEFORE] = _children()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build missing servers before the first test: it may take longer than a test's time."""
    used = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted = [*(_STACK if "server_binaries" in used else ()), *(TOOLS[name] for name in TOOLS if name in used)]
    session.config.stash[_BINARIES] = _ensure(session.config, wanted)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    left = [process for process in _children() - session.config.stash.get(_BEFORE, set()) if _lives(process)]
    if left and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        for process in left:
            sys.stderr.write(f"\nleft behind by the tests: {process.pid} {_describe(process)}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    _LAST_STEP.code = int(session.exitstatus)


_BEFORE = pytest.StashKey[set[psutil.Process]]()
_BINARIES = pytest.StashKey[dict[str, Path]]()


def _ensure(config: pytest.Config, servers: Sequence[Server]) -> dict[str, Path]:
    if not servers:
        return {}
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    try:
        return ensure_servers(lambda line: terminal.write_line(line) if terminal else None, servers=servers)
    except ToolchainError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _lives(process: psutil.Process) -> bool:
    try:
        process.wait(5)
    except psutil.TimeoutExpired:
        return True
    return False


def _describe(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return "(ended)"


@pytest.fixture(autouse=True)
async def no_tasks_left() -> AsyncIterator[None]:
    """Fail a test that leaves asyncio tasks behind."""
    before = asyncio.all_tasks()
    yield
    # This task is the fixture's own.
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        # What was cancelled a moment ago may still be ending.
        _, left = await asyncio.wait(left, timeout=10)
    assert not left, f"the test left tasks behind: {left}"


@pytest.fixture(scope="session")
def server_binaries(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Executables of etcd, kube-apiserver and Temporal; built when they are nowhere."""
    return _binaries(request, _STACK)


@pytest.fixture(scope="session")
def wrapper_binary(request: pytest.FixtureRequest) -> Path:
    """Executable of Porch's wrapper server: what runs a function in its pod."""
    return _binaries(request, [WRAPPER_SERVER])[WRAPPER_SERVER.name]


@pytest.fixture(scope="session")
def registry_binary(request: pytest.FixtureRequest) -> Path:
    """Executable of a registry of container images."""
    return _binaries(request, [REGISTRY])[REGISTRY.name]


def _binaries(request: pytest.FixtureRequest, servers: Sequence[Server]) -> dict[str, Path]:
    """Return executables by name; built now only where a fixture is asked for by name within a test."""
    built = request.config.stash.get(_BINARIES, {})
    if any(server.name not in built for server in servers):
        built |= _ensure(request.config, servers)
    return {server.name: built[server.name] for server in servers}


@pytest.fixture(scope="session")
async def control_plane(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlane]:
    """The API server that tests share; use `namespace` to be alone in it."""
    async with running_control_plane(server_binaries, tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture
async def restartable_control_plane(server_binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """An API server of the test's own, to stop, kill and restart."""
    async with running_control_plane(server_binaries, tmp_path / "control-plane") as plane:
        yield plane


@pytest.fixture
async def namespace(kube: KubeClient) -> str:
    """A fresh Kubernetes namespace that the admission policies leave alone."""
    return await create_namespace(kube, {ADMISSION_LABEL: "disabled"})


@pytest.fixture
async def guarded_namespace(kube: KubeClient) -> str:
    """A fresh Kubernetes namespace under the admission policies, as users have them."""
    return await create_namespace(kube, {})


@pytest.fixture
async def recorder(kube: KubeClient, namespace: str) -> AsyncIterator[Recorder]:
    """Sees every version of every PackageRevision of the test's namespace, and holds them to the rules at the end."""
    recorder = Recorder(kube, namespace)
    async with recorder.recording():
        yield recorder
    recorder.check()


@pytest.fixture(autouse=True)
def all_objects_keep_the_rules(request: pytest.FixtureRequest) -> None:
    """Where porchflow drives objects; before what the test starts, so that it ends after that."""
    drives = request.path.parent.name in {"e2e", "activities"}
    if drives and "namespace" in request.fixturenames and not request.node.get_closest_marker("writes_statuses"):
        request.getfixturevalue("recorder")


async def create_namespace(kube: KubeClient, labels: dict[str, str]) -> str:
    name = f"test-{uuid.uuid4().hex[:10]}"
    metadata = {"name": name, "labels": labels}
    await kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return name


@pytest.fixture(scope="session")
async def kube(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    """A client of the shared API server, which serves our CRDs, as the administrator."""
    async with await KubeClient.connect(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="session")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    """Runs kubectl against the shared API server as the administrator."""
    return kubectl_with(control_plane.kubeconfig)


@pytest.fixture(scope="session")
async def content_api(
    control_plane: ControlPlane, kube: KubeClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Process]:
    """The content API behind the shared API server."""
    async with running_content_api(control_plane, kube, tmp_path_factory.mktemp("content")) as process:
        yield process


@pytest.fixture(scope="session")
async def temporal_server(
    server_binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TemporalServer]:
    """The Temporal that tests share; use a task queue or namespace of your own."""
    async with running_temporal(server_binaries, tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture
async def restartable_temporal(server_binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[TemporalServer]:
    """A Temporal of the test's own, to stop, kill and restart."""
    folder = tmp_path / "temporal"
    folder.mkdir()
    async with running_temporal(server_binaries, folder) as server:
        yield server


@pytest.fixture
def task_queue() -> str:
    """A Temporal task queue that no other test uses."""
    return f"test-{uuid.uuid4().hex[:10]}"


@pytest.fixture
async def git_server(tmp_path: Path) -> AsyncIterator[GitRepositories]:
    """A Git server of the test's own; `create` makes repositories, `faults` makes it misbehave."""
    root, faults = tmp_path / "git-server", Faults()
    root.mkdir()
    async with FaultyGitServer(root, faults=faults) as server:
        yield GitRepositories(root, server, faults)


@pytest.fixture
def git_repository(git_server: GitRepositories) -> GitRepository:
    """An empty repository behind HTTP."""
    return git_server.create()
