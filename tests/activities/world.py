"""Real phases on a real API server and real Git, run as Temporal would run them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult, SyncRequest
from porchflow.activities.reconcile import PhaseActivities
from porchflow.activities.sync.sync import RepositorySync
from porchflow.activities.sync.sync_settings import SyncSettings
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import Condition
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.intent import intent_key
from porchflow.api.work.needs import Facts, Phase, needs_work, plan
from porchflow.functions.local import LocalEvaluator
from porchflow.gitrepo.git_store import GitStore
from porchflow.kpt.render.evaluation import Evaluator, TagSource
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeUnavailable, NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import EVENTS, PACKAGEREVISIONS, REPOSITORIES
from porchflow.repositories.scope import ScopeSettings
from porchflow.workflows.policies import PHASES
from tests.e2e.packages import push_content
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories, GitRepository, commit_files

PR = "porch.kpt.dev/v1alpha2"


class Interrupted(KubeClient):
    """A client in whose writes something happens: before the n-th write a test's function runs, which may raise."""

    writes = 0
    before_write: Callable[[int], Any] | None = None
    loses = 0

    async def _patch(self, *args: Any, **kwargs: Any) -> Object:
        self.writes += 1
        number = self.writes
        if self.before_write is not None:
            happened = self.before_write(number)
            if happened is not None:
                await happened
        answer = await super()._patch(*args, **kwargs)
        if number == self.loses:
            raise KubeUnavailable("the answer is lost")
        return answer

    def stop_at(self, number: int, error: type[BaseException] = asyncio.CancelledError) -> None:
        """Let what makes the n-th write from now on end there: by default as if its process had."""
        self.writes = 0

        def stop(write: int) -> None:
            if write == number:
                raise error

        self.before_write = stop

    def lose_answer(self, number: int) -> None:
        """Let the n-th write from now on be made, and its answer be lost."""
        self.writes, self.loses = 0, number


@dataclass
class World:
    """One namespace and one Git repository, registered as `blueprints`."""

    kube: KubeClient
    worker: Interrupted
    """The client of the phases; `kube` is the test's own."""
    namespace: str
    git: GitRepository
    store: GitStore
    events: EventRecorder
    folder: Path
    evaluator: Evaluator = field(default_factory=LocalEvaluator)
    beside_porch: bool = False
    """Whether Repositories without the annotation of v1alpha2 are left to a Porch."""
    tags: TagSource | None = None
    """What constraints on the versions of functions are resolved with."""
    newest: str = ""
    """The revision of the package that was published last."""
    package: str = "web"

    def activities(self, evaluator: Evaluator | None = None) -> PhaseActivities:
        return PhaseActivities(
            kube=self.worker,
            git=self.store,
            evaluator=evaluator or self.evaluator,
            events=self.events,
            default_image_prefix="ghcr.io/kptdev/krm-functions-catalog/",
            tags=self.tags,
            annotated_only=self.beside_porch,
        )

    async def run(
        self, phase: Phase, name: str, *, attempt: int = 1, commit: str = "", obj: Object | None = None
    ) -> PhaseResult:
        """Run a phase on what the object asks for now, or asked for as `obj`."""
        return await self.start(phase, name, attempt=attempt, commit=commit, obj=obj or await self.get(name))[1]

    def start(
        self, phase: Phase, name: str, *, obj: Object, attempt: int = 1, commit: str = ""
    ) -> tuple[ActivityEnvironment, "asyncio.Task[PhaseResult]"]:
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info, attempt=attempt, workflow_run_id="run-1", scheduled_time=datetime.now(UTC)
        )
        activities = self.activities()
        body = getattr(activities, PHASES[phase].activity.__name__)
        request = PhaseInput(namespace=self.namespace, name=name, intent=intent_key(obj), commit=commit)
        return environment, asyncio.ensure_future(environment.run(body, request))

    async def fails(self, phase: Phase, name: str, kind: ErrorKind, **kwargs: Any) -> str:
        """Run a phase that must fail in this way; return its message.

        What stalled needs no work, or the watcher would start it again for ever; what is tried again does, whoever ends
        its run.
        """
        with pytest.raises(ApplicationError) as raised:
            await self.run(phase, name, **kwargs)
        assert raised.value.type == kind, raised.value
        if kind in {ErrorKind.STALLED, ErrorKind.TRANSIENT, ErrorKind.WAITING}:
            obj = await self.get(name)
            assert in_need(obj) is (kind is not ErrorKind.STALLED or "deletionTimestamp" in obj["metadata"])
        return raised.value.message

    async def facts(self, name: str) -> Facts:
        key = ObjectKey(namespace=self.namespace, name=name)
        facts: Facts = await ActivityEnvironment().run(self.activities().observe, key)
        return facts

    async def settle(self, name: str) -> None:
        """Look at an object as its workflow does (`workflows/packagerevision.py`), until nothing is left to do."""
        for _ in range(4):
            facts = await self.facts(name)
            if not plan(facts) or not await self._pass(name, facts):
                return
        raise AssertionError(f"{name}: there is always more to do: {plan(facts)}")

    async def _pass(self, name: str, facts: Facts) -> bool:
        """Run what a look found to do; say whether that went well, and no person has to act."""
        phases = plan(facts)
        result = PhaseResult(summary="", current=facts.current)
        while phases:
            phase = phases.pop(0)
            if phase is Phase.RENDER and result.rendered:
                continue
            try:
                result = await self.run(phase, name, commit=result.commit)
            except ApplicationError as error:
                if error.type == ErrorKind.STALLED:
                    return False
                raise
            if phase is Phase.RENDER and result.current is not Lifecycle.DRAFT:
                phases = [Phase.LIFECYCLE]
        return True

    async def sync(self) -> None:
        """Sync the Repository once."""
        sync = RepositorySync(
            kube=self.kube, git=self.store, events=self.events, scope=ScopeSettings(), settings=SyncSettings()
        )
        request = SyncRequest(namespace=self.namespace, name="blueprints")
        await ActivityEnvironment().run(sync.sync_repository, request)

    async def register(self, name: str, url: str, **git: Any) -> Object:
        body = {
            "apiVersion": "config.porch.kpt.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"type": "git", "git": {"repo": url, "branch": "main", **git}},
        }
        return await self.kube.create(REPOSITORIES, body)

    async def create(self, workspace: str = "v1", *, name: str = "", **spec: Any) -> str:
        """Create a PackageRevision of the package."""
        body: dict[str, Any] = {
            "apiVersion": PR,
            "kind": "PackageRevision",
            "metadata": {"name": name or f"blueprints.{self.package}.{workspace}", "namespace": self.namespace},
            "spec": {
                "packageName": self.package,
                "repository": "blueprints",
                "workspaceName": workspace,
                "lifecycle": "Draft",
                "source": {"init": {"description": "a web app"}},
                **spec,
            },
        }
        body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
        await self.kube.create(PACKAGEREVISIONS, body)
        return str(body["metadata"]["name"])

    async def get(self, name: str) -> Object:
        return await self.kube.get(PACKAGEREVISIONS, self.namespace, name)

    async def exists(self, name: str) -> bool:
        try:
            await self.get(name)
        except NotFound:
            return False
        return True

    async def patch(self, name: str, patch: Object, subresource: str | None = None) -> Object:
        return await self.kube.merge_patch(PACKAGEREVISIONS, self.namespace, name, patch, subresource=subresource)

    async def ask(self, name: str, lifecycle: str) -> Object:
        return await self.patch(name, {"spec": {"lifecycle": lifecycle}})

    async def annotate(self, name: str, **annotations: str | None) -> Object:
        keys = {"render_request": "porch.kpt.dev/render-request"}
        named = {keys.get(key, f"porchflow.dev/{key.replace('_', '-')}"): value for key, value in annotations.items()}
        return await self.patch(name, {"metadata": {"annotations": named}})

    async def push(self, files: dict[str, str | bytes], branch: str = "") -> str:
        branch = branch or f"drafts/{self.package}/v1"
        return await push_content(self.git.url, branch, self.package, files, self.folder)

    async def draft(self, workspace: str = "v1") -> str:
        """Make a rendered draft: a copy of the newest published revision, or a new package."""
        name = await self.create(workspace, **({"source": {"copyFrom": {"name": self.newest}}} if self.newest else {}))
        await self.run(Phase.SOURCE, name)
        return name

    async def published(self, workspace: str = "v1") -> str:
        name = await self.draft(workspace)
        for lifecycle in ("Proposed", "Published"):
            await self.ask(name, lifecycle)
            await self.run(Phase.LIFECYCLE, name)
        self.newest = name
        return name

    async def delete(self, obj: Object) -> None:
        await self.kube.delete(PACKAGEREVISIONS, self.namespace, obj["metadata"]["name"])

    async def delete_whatever_it_takes(self, name: str) -> None:
        """Let an object go without the phase that would remove what it has in Git."""
        await self.patch(name, {"metadata": {"finalizers": []}})
        await self.kube.delete(PACKAGEREVISIONS, self.namespace, name)

    async def names(self) -> AsyncIterator[str]:
        async for obj in self.kube.list_all(PACKAGEREVISIONS, self.namespace):
            yield obj["metadata"]["name"]

    async def told(self, name: str) -> list[tuple[str, str, int]]:
        """The Events on an object: type, reason and count."""
        return [(event["type"], event["reason"], event["count"]) for event in await self.events_on(name)]

    async def events_on(self, name: str) -> list[Object]:
        """The Events on an object."""
        await self.events.aclose()
        selector = f"involvedObject.name={name}"
        return [event async for event in self.kube.list_all(EVENTS, self.namespace, field_selector=selector)]


@contextlib.asynccontextmanager
async def entered(
    control_plane: ControlPlane, namespace: str, git_server: GitRepositories, folder: Path
) -> AsyncIterator[World]:
    """Make a world in a namespace that exists."""
    git = git_server.create()
    await asyncio.to_thread(commit_files, git, "main", {"README.md": "packages of the test\n"}, "first commit")
    async with (
        await KubeClient.connect(control_plane.kubeconfig) as kube,
        await Interrupted.connect(control_plane.kubeconfig) as worker,
        GitStore(folder / "git-cache", server_timeout=30) as store,
    ):
        events = EventRecorder(kube)
        world = World(kube, worker, namespace, git, store, events, folder)
        await world.register("blueprints", git.url)
        try:
            yield world
        finally:
            await events.aclose()


def in_need(obj: Object) -> bool:
    return needs_work(obj, datetime.now(UTC))


def condition(obj: Object, kind: str) -> Condition | None:
    found = [c for c in (obj.get("status") or {}).get("conditions", []) if c["type"] == kind]
    return Condition.model_validate(found[0]) if found else None


def reason(obj: Object, kind: str) -> str:
    """`status/reason` of a condition; empty where there is none."""
    found = condition(obj, kind)
    return f"{found.status}/{found.reason}" if found else ""
