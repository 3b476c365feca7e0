"""`porchflow doctor` on real servers: when all is well, and each thing that can be wrong."""

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from click.testing import CliRunner
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.worker import Worker

from porchflow.api.work.needs import Facts
from porchflow.cli.doctor.all_checks import examine
from porchflow.cli.doctor.cluster import check_content_api, check_definitions, check_policies
from porchflow.cli.doctor.findings import Check, Finding, Level, within
from porchflow.cli.doctor.functions import check_configs, check_registry
from porchflow.cli.doctor.permissions import check_permissions, rights_of
from porchflow.cli.doctor.repositories import check_repositories
from porchflow.cli.doctor.servers import check_cache, check_runner, check_temporal, check_temporal_before_install
from porchflow.cli.doctor.worker_versions import check_worker_version
from porchflow.cli.main import main
from porchflow.cli.processes.worker import build_workers
from porchflow.cli.processes.worker_activities import Activities
from porchflow.cli.settings import load_settings
from porchflow.cli.worker_settings import WorkerSettings
from porchflow.devstack.git.gitserver import GitServer, create_bare_repository
from porchflow.devstack.ports import free_port
from porchflow.functions.proto import evaluator_pb2_grpc
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import APISERVICES, FUNCTIONCONFIGS, REPOSITORIES, SECRETS
from porchflow.workflows.ids import Attributes, Installation
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.policies import RECONCILE_QUEUE
from porchflow.workflows.runner import workflow_runner
from tests.e2e.test_worker_versions import promote
from tests.functions.runner import running
from tests.kubectl import Kubectl
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories, GitRepository, commit_files
from tests.servers.registry import running_registry as run_registry
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities

SECONDS = 10.0


async def one(work: Awaitable[list[Finding]]) -> Finding:
    [finding] = await work
    return finding


def failed(finding: Finding, said: str) -> None:
    assert finding.level == Level.FAILURE, finding
    assert said in finding.message
    assert finding.mend


class TestCluster:
    async def test_what_is_installed(self, kube: KubeClient) -> None:
        found = await check_definitions(kube) + await check_policies(kube)
        assert {each.level for each in found} == {Level.OK}, found
        assert {each.check for each in found} == {"crds", "admission"}

    async def test_what_is_missing_or_old(self, restartable_control_plane: ControlPlane) -> None:
        plane = restartable_control_plane
        patch = '[{"op": "remove", "path": "/spec/versions/0/additionalPrinterColumns/0"}]'
        name = "packagerevisions.porch.kpt.dev"
        await plane.kubectl("patch", "crd", name, "--type=json", f"--patch={patch}")
        await plane.kubectl("delete", "crd", "functionconfigs.config.porch.kpt.dev")
        await plane.kubectl("delete", "validatingadmissionpolicybindings", "--all")
        async with await KubeClient.connect(plane.kubeconfig) as kube:
            found = {each.where: each for each in await check_definitions(kube) + await check_policies(kube)}
        failed(found[f"CustomResourceDefinition {name}"], "of another version")
        failed(found["CustomResourceDefinition functionconfigs.config.porch.kpt.dev"], "not installed")
        assert found["CustomResourceDefinition repositories.config.porch.kpt.dev"].level == Level.OK
        bindings = [each for where, each in found.items() if where.startswith("ValidatingAdmissionPolicyBinding ")]
        assert bindings
        for binding in bindings:
            failed(binding, "not installed")

    async def test_a_content_api_that_does_not_answer(self, restartable_control_plane: ControlPlane) -> None:
        plane = restartable_control_plane
        async with await KubeClient.connect(plane.kubeconfig) as kube:
            assert "not registered" in (await one(check_content_api(kube))).message
            manifest = {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": "v1alpha1.porch.kpt.dev"},
                "spec": {
                    "group": "porch.kpt.dev",
                    "version": "v1alpha1",
                    "groupPriorityMinimum": 1000,
                    "versionPriority": 10,
                    "service": {"name": "nobody", "namespace": "default"},
                },
            }
            await kube.create(APISERVICES, manifest)
            async with asyncio.timeout(30):
                # Until the API server has looked, the condition is not there.
                while "yet" in (found := await one(check_content_api(kube))).message:
                    pass
            failed(found, "is not Available")


class TestPermissions:
    async def test_the_administrator_may(self, kube: KubeClient) -> None:
        for process in ("watcher", "worker", "content-api", "function-runner"):
            assert (await one(check_permissions(kube, process, load_settings()))).level == Level.OK

    async def test_what_is_missing_is_named(
        self, control_plane: ControlPlane, kubectl: Kubectl, namespace: str, tmp_path: Path
    ) -> None:
        kubectl("create", "serviceaccount", "weak", "-n", namespace)
        role = ("--verb=get,list", "--resource=repositories.config.porch.kpt.dev")
        kubectl("create", "role", "weak", "-n", namespace, *role)
        kubectl("create", "rolebinding", "weak", "-n", namespace, "--role=weak", f"--serviceaccount={namespace}:weak")
        token = kubectl("create", "token", "weak", "-n", namespace).strip()
        config = yaml.safe_load(control_plane.kubeconfig.read_text())
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        kubeconfig = tmp_path / "weak"
        kubeconfig.write_text(yaml.safe_dump(config))
        async with await KubeClient.connect(kubeconfig) as weak:
            found = await one(check_permissions(weak, "worker", load_settings({"namespaces": (namespace,)})))
            failed(found, f"patch repositories.config.porch.kpt.dev in namespace {namespace}")
            assert "get repositories.config.porch.kpt.dev in" not in found.message
            [definition, *_] = await check_definitions(weak)
            assert definition.level == Level.WARNING, "not to be read is not to be absent"
        assert token not in found.model_dump_json()

    async def test_service_accounts_are_asked_for_by_name(
        self, kube: KubeClient, kubectl: Kubectl, namespace: str
    ) -> None:
        found = await one(check_permissions(kube, "function-runner", load_settings(), namespace))
        failed(found, f"ServiceAccount {namespace}/porchflow-function-runner may not: list functionconfigs")
        kubectl(
            "create",
            "clusterrolebinding",
            namespace,
            "--clusterrole=cluster-admin",
            f"--group=system:serviceaccounts:{namespace}",
        )
        try:
            await eventually(lambda: _allowed(kube, namespace), what="its group may")
        finally:
            kubectl("delete", "clusterrolebinding", namespace)

    def test_names_are_those_of_the_settings(self) -> None:
        settings = load_settings({"content_service": "packages/api", "function_config_namespace": "functions"})
        assert "get secrets:api-tls in namespace packages" in map(str, rights_of("content-api", settings))
        assert {right.namespace for right in rights_of("function-runner", settings)} == {"functions"}

    def test_a_watcher_without_secrets_needs_no_right_to_them(self) -> None:
        assert any(right.target == "secrets" for right in rights_of("watcher", load_settings({"watch_secrets": True})))
        assert not any(right.target == "secrets" for right in rights_of("watcher", load_settings()))

    @pytest.mark.parametrize("process", ["watcher", "worker"])
    @pytest.mark.parametrize("namespaces", [(), ("one",), ("one", "two", "three")])
    def test_the_id_of_the_cluster_is_read_once_and_only_where_none_is_set(
        self, process: str, namespaces: tuple[str, ...]
    ) -> None:
        scope = {"namespaces": namespaces}
        reading = "get namespaces:kube-system in namespace kube-system"
        assert list(map(str, rights_of(process, load_settings(scope)))).count(reading) == 1
        named = {**scope, "temporal_installation": "blue"}
        for flags in (scope, named):
            told = [str(right) for right in rights_of(process, load_settings(flags)) if "kube-system" in str(right)]
            assert told == ([reading] if flags is scope else [])

    async def test_role_bindings_in_its_namespaces_and_an_id_are_enough_for_a_watcher(
        self, kube: KubeClient, kubectl: Kubectl, namespace: str
    ) -> None:
        rule = ("--verb=list,watch", "--resource=packagerevisions.porch.kpt.dev,repositories.config.porch.kpt.dev")
        kubectl("create", "role", "own", "-n", namespace, *rule)
        account = f"--serviceaccount={namespace}:porchflow-watcher"
        kubectl("create", "rolebinding", "own", "-n", namespace, "--role=own", account)
        scope = {"namespaces": (namespace,)}
        named = load_settings({**scope, "temporal_installation": "blue"})

        async def enough() -> bool:
            return (await one(check_permissions(kube, "watcher", named, namespace))).level == Level.OK

        await eventually(enough, what="the API server knows the binding")
        failed(
            await one(check_permissions(kube, "watcher", load_settings(scope), namespace)),
            "may not: get namespaces:kube-system in namespace kube-system",
        )
        kubectl("create", "role", namespace, "-n", "kube-system", "--verb=get", "--resource=namespaces")
        kubectl("create", "rolebinding", namespace, "-n", "kube-system", f"--role={namespace}", account)

        async def may_read() -> bool:
            found = await one(check_permissions(kube, "watcher", load_settings(scope), namespace))
            return found.level == Level.OK

        await eventually(may_read, what="the API server knows the binding in kube-system")


async def _allowed(kube: KubeClient, namespace: str) -> bool:
    return (await one(check_permissions(kube, "function-runner", load_settings(), namespace))).level == Level.OK


class TestFunctions:
    async def test_what_runners_said_of_function_configs(self, kube: KubeClient, namespace: str) -> None:
        settings = load_settings({"function_config_namespace": namespace})
        assert (await one(check_configs(kube, settings))).level == Level.OK
        body = {"apiVersion": FUNCTIONCONFIGS.api_version, "kind": FUNCTIONCONFIGS.kind, "metadata": {"name": "f"}}
        spec = {"image": "f", "goExecutor": {"tags": ["v1"], "id": "set-labels"}}
        made = await kube.create(FUNCTIONCONFIGS, {**body, "spec": spec}, namespace=namespace)
        unseen = await one(check_configs(kube, settings))
        assert unseen.level == Level.WARNING
        assert f"PORCHFLOW_FUNCTION_CONFIG_NAMESPACE={namespace}" in unseen.mend
        seen = {"functionRunnerObservedGeneration": made["metadata"]["generation"]}
        for error, level in (("there is no built-in function", Level.FAILURE), (None, Level.OK)):
            patch = {"status": {**seen, "error": error}}
            await kube.merge_patch(FUNCTIONCONFIGS, namespace, "f", patch, subresource="status")
            found = await one(check_configs(kube, settings))
            assert found.level == level
            assert (error or "none of them in trouble") in found.message

    async def test_registries_are_asked_where_settings_name_them(self, registry_binary: Path, tmp_path: Path) -> None:
        assert await check_registry(load_settings()) == []
        async with run_registry(registry_binary, tmp_path) as registry:
            settings = load_settings(
                {"default_image_prefix": registry.image("fns/"), "insecure_registries": (registry.address,)}
            )
            assert (await one(check_registry(settings))).level == Level.WARNING, "it has no such function"
            await registry.push("fns/set-labels:v0.2.0", ["/set-labels"])
            assert (await one(check_registry(settings))).message.startswith("answers: 1 tags")
        failed(await one(check_registry(settings)), registry.address)
        nowhere = load_settings({"registry_ca": tmp_path / "nowhere"})
        failed(await one(check_registry(nowhere)), "(--registry-ca): cannot use")


class TestTemporal:
    async def test_a_queue_without_workers(self, restartable_temporal: TemporalServer) -> None:
        # A server of its own: the shared one remembers other tests' workers for minutes.
        address = restartable_temporal.address
        settings = load_settings({"temporal_address": address})
        found = {each.where: each for each in await check_temporal(settings.temporal, SECONDS)}
        assert found[address].level == Level.OK
        failed(found["render"], "no worker takes its activities")

    async def test_a_queue_with_workers_for_workflows_alone(self, restartable_temporal: TemporalServer) -> None:
        address = restartable_temporal.address
        async with Worker(
            await Client.connect(address),
            task_queue=RECONCILE_QUEUE,
            workflows=[PackageRevisionWorkflow],
            workflow_runner=workflow_runner(),
        ):
            async with asyncio.timeout(30):
                while True:
                    found = {
                        each.where: each
                        for each in await check_temporal(load_settings({"temporal_address": address}).temporal, SECONDS)
                    }
                    if "activities" in found["reconcile"].message:
                        break
        failed(found["reconcile"], "no worker takes its activities")

    async def test_a_version_of_workers_that_gets_no_work(self, restartable_temporal: TemporalServer) -> None:
        client, ours = await Client.connect(restartable_temporal.address), Installation("versions")
        assert await check_worker_version(client, ours) == [], "no worker has a version"
        async with contextlib.AsyncExitStack() as stack:
            settings = WorkerSettings(build_id="one", queues=("reconcile",))
            nothing: Any = FakeActivities(Facts(exists=False))
            activities = Activities(nothing, nothing, lambda _: nothing, nothing)
            for worker in build_workers(settings, client, ours, activities, nothing):
                await stack.enter_async_context(worker)

            async def told(words: str) -> bool:
                found = await check_worker_version(client, ours)
                return bool(found) and words in found[0].message

            await eventually(lambda: told("no version is the current one"), what="it gets no work")
            failed(await one(check_worker_version(client, ours)), "versions with workers: one")
            await promote(client, "one", ours)
            await eventually(lambda: told("current: one"), what="it gets all work")

    async def test_a_namespace_that_does_not_exist(self, temporal_server: TemporalServer) -> None:
        settings = load_settings({"temporal_address": temporal_server.address, "temporal_namespace": "nowhere"})
        failed(await one(check_temporal(settings.temporal, SECONDS)), "no namespace 'nowhere'")

    async def test_before_an_installation_no_worker_is_missed(self, restartable_temporal: TemporalServer) -> None:
        settings = load_settings({"temporal_address": restartable_temporal.address}).temporal
        wrong, free = Attributes("Wrong"), Attributes("Free")
        client = await Client.connect(settings.address)
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                search_attributes={wrong.phase.name: IndexedValueType.INDEXED_VALUE_TYPE_INT}, namespace="default"
            )
        )
        found = await check_temporal_before_install(settings, SECONDS, free)
        assert {each.check: each.level for each in found} == {"temporal": Level.OK, "search-attributes": Level.OK}
        async with asyncio.timeout(30):
            # Temporal's frontend remembers the attributes of before for a moment.
            while (found := await check_temporal_before_install(settings, SECONDS, wrong))[-1].level == Level.OK:
                pass
        failed(found[-1], wrong.phase.name)

    async def test_nobody_there(self) -> None:
        settings = load_settings({"temporal_address": f"127.0.0.1:{free_port()}"}).temporal
        failed(await one(check_temporal_before_install(settings, SECONDS, Attributes())), "cannot be used")
        failed(
            await one(
                check_temporal(load_settings({"temporal_address": f"127.0.0.1:{free_port()}"}).temporal, SECONDS)
            ),
            "cannot be used",
        )


async def _register(kube: KubeClient, namespace: str, url: str, name: str = "blueprints", **git: Any) -> None:
    body = {
        "apiVersion": "config.porch.kpt.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "git", "git": {"repo": url, "branch": "main", **git}},
    }
    await kube.create(REPOSITORIES, body)


class TestRepositories:
    async def test_one_that_answers(self, kube: KubeClient, namespace: str, git_repository: GitRepository) -> None:
        await asyncio.to_thread(commit_files, git_repository, "main", {"README.md": "hello"})
        await _register(kube, namespace, git_repository.url)
        found = await one(check_repositories(kube, [namespace], 10))
        assert (found.level, found.where) == (Level.OK, f"{namespace}/blueprints")

    async def test_one_without_its_branch(
        self, kube: KubeClient, namespace: str, git_repository: GitRepository
    ) -> None:
        await _register(kube, namespace, git_repository.url)
        failed(await one(check_repositories(kube, [namespace], 10)), "no branch 'main'")

    async def test_one_that_refuses_the_credentials(
        self, kube: KubeClient, namespace: str, git_server: GitRepositories, git_repository: GitRepository
    ) -> None:
        git_server.faults.refuse_auth = True
        data = {"username": "ada", "password": "s3cr3t-word"}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/basic-auth",
            "metadata": {"name": "git", "namespace": namespace},
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        }
        await kube.create(SECRETS, secret)
        await _register(kube, namespace, git_repository.url, secretRef={"name": "git"})
        found = await one(check_repositories(kube, [namespace], 10))
        failed(found, "")
        assert "s3cr3t-word" not in found.model_dump_json()

    async def test_one_whose_secret_is_missing(
        self, kube: KubeClient, namespace: str, git_repository: GitRepository
    ) -> None:
        await _register(kube, namespace, git_repository.url, secretRef={"name": "gone"})
        failed(await one(check_repositories(kube, [namespace], 10)), "'gone'")

    async def test_one_that_hangs(
        self, kube: KubeClient, namespace: str, git_server: GitRepositories, git_repository: GitRepository
    ) -> None:
        await _register(kube, namespace, git_repository.url)
        git_server.faults.hang()
        try:
            failed(await one(check_repositories(kube, [namespace], 1)), "no answer within 1 s")
        finally:
            git_server.faults.release()

    async def test_many_that_hang_hide_none_that_answers(
        self, kube: KubeClient, namespace: str, git_server: GitRepositories, tmp_path: Path
    ) -> None:
        path = await asyncio.to_thread(create_bare_repository, tmp_path, "well", durable=False)
        for number in range(40):
            await _register(kube, namespace, git_server.create().url, f"a{number:02}")
        git_server.faults.hang()
        try:
            async with GitServer(tmp_path) as server:
                await _register(kube, namespace, server.repository_url(path.name), "z", createBranch=True)
                found = await check_repositories(kube, [namespace], 4)
        finally:
            git_server.faults.release()
        assert len(found) == 41
        assert [each.where for each in found if each.level == Level.OK] == [f"{namespace}/z"]


class TestRunner:
    async def test_none_is_no_failure(self) -> None:
        assert (await one(check_runner(load_settings(), 5))).level == Level.OK

    async def test_nobody_there(self) -> None:
        settings = load_settings({"function_runner_address": f"127.0.0.1:{free_port()}"})
        failed(await one(check_runner(settings, 5)), "cannot be reached")

    async def test_one_that_runs_functions(self) -> None:
        async with running() as runner:
            found = await one(check_runner(load_settings({"function_runner_address": runner.address}), 20))
            assert (found.level, "ran" in found.message) == (Level.OK, True), found

    async def test_one_without_health_that_knows_other_functions_is_a_warning(self) -> None:
        class Other(evaluator_pb2_grpc.FunctionEvaluatorServicer):
            async def EvaluateFunction(self, request: Any, context: Any) -> None:  # noqa: N802 - the protocol's name
                await context.abort(grpc.StatusCode.NOT_FOUND, f"function {request.image} not found")

        server = grpc.aio.server()
        evaluator_pb2_grpc.add_FunctionEvaluatorServicer_to_server(Other(), server)  # type: ignore[no-untyped-call]  # generated
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            found = await one(check_runner(load_settings({"function_runner_address": f"127.0.0.1:{port}"}), 5))
            assert (found.level, bool(found.mend)) == (Level.WARNING, True), found
        finally:
            await server.stop(None)

    async def test_one_that_does_not_serve(self) -> None:
        server = grpc.aio.server()
        checker = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
        health_pb2_grpc.add_HealthServicer_to_server(checker, server)
        await checker.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            settings = load_settings({"function_runner_address": f"127.0.0.1:{port}"})
            failed(await one(check_runner(settings, 5)), "does not serve")
        finally:
            await server.stop(None)


class TestCache:
    async def test_one_that_can_be_made(self, tmp_path: Path) -> None:
        found = await one(check_cache(load_settings({"git_cache_dir": tmp_path / "new"}).git))
        assert found.level == Level.OK
        assert await asyncio.to_thread(lambda: list(tmp_path.iterdir())) == [], "nothing is changed"

    async def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        failed(await one(check_cache(load_settings({"git_cache_dir": tmp_path / "file"}).git)), "no folder")


class TestDeadlines:
    async def test_a_check_that_hangs_is_a_finding(self) -> None:
        async def hang() -> list[Finding]:
            await asyncio.Event().wait()
            return []

        failed(await one(within(0.05, Check("x", "there"), hang())), "no answer within 0.05 s")

    async def test_a_check_that_breaks_hides_nothing_and_tells_no_secret(self) -> None:
        async def broken() -> list[Finding]:
            raise ValueError("password=hunter2")

        found = await one(within(5, Check("x", "there"), broken()))
        failed(found, "ValueError")
        assert "hunter2" not in found.model_dump_json()

    async def test_servers_that_never_answer(self, control_plane: ControlPlane, tmp_path: Path) -> None:
        silent = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(0), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        config = yaml.safe_load(control_plane.kubeconfig.read_text())
        for cluster in config["clusters"]:
            cluster["cluster"]["server"] = f"https://127.0.0.1:{port}"
        kubeconfig = tmp_path / "silent"
        kubeconfig.write_text(yaml.safe_dump(config))
        address = f"127.0.0.1:{port}"
        settings = load_settings(
            {
                "kubeconfig": kubeconfig,
                "temporal_address": address,
                "function_runner_address": address,
                "git_cache_dir": tmp_path,
            }
        )
        async with silent, asyncio.timeout(30):
            found = {each.check: each.level for each in await examine(settings, ["worker"], 1)}
        assert found == {
            "kubernetes": Level.FAILURE,
            "temporal": Level.FAILURE,
            "function-runner": Level.FAILURE,
            "git-cache": Level.OK,
        }


class TestCommand:
    def test_it_fails_where_something_does(self, tmp_path: Path) -> None:
        kubeconfig = tmp_path / "absent"
        flags = ["--kubeconfig", str(kubeconfig), "--temporal-address", f"127.0.0.1:{free_port()}", "--output", "json"]
        done = CliRunner().invoke(main, ["doctor", *flags])
        assert done.exit_code == 1, done.output
        found = {each["check"]: each for each in json.loads(done.output)}
        assert found["settings"]["level"] == "ok"
        assert found["kubernetes"]["level"] == found["temporal"]["level"] == "failure"

    def test_bad_settings_are_a_finding(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PORCHFLOW_TYPO", "1")
        done = CliRunner().invoke(main, ["doctor"])
        assert done.exit_code == 1
        assert "unknown setting PORCHFLOW_TYPO" in done.output
        assert "-> see docs/reference/configuration.md" in done.output

    def test_a_state_folder_that_is_none_is_a_finding(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        result = CliRunner().invoke(main, ["doctor", "--state-dir", str(tmp_path / "file")])
        assert result.exit_code == 1
        assert "failure settings" in result.output
        assert "cannot use the state folder" in result.output

    def test_a_bad_flag_is_bad_usage(self) -> None:
        assert CliRunner().invoke(main, ["doctor", "--output", "xml"]).exit_code == 2
