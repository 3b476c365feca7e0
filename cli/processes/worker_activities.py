"""The activities of a worker with their clients, as the worker and its child process open them."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from porchflow.activities.reconcile import PhaseActivities
from porchflow.activities.sync.ref_listing import RefListing, Start
from porchflow.activities.sync.sync import RepositorySync
from porchflow.cli.processes.functions.registries import open_tags
from porchflow.cli.processes.functions.runner_client import open_runner_client
from porchflow.cli.processes.tracing import traced
from porchflow.cli.settings import Settings
from porchflow.functions.local import LocalEvaluator
from porchflow.gitrepo.git_store import GitStore
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kube.client import KubeClient
from porchflow.kube.events import EventRecorder


@dataclass(frozen=True)
class Activities:
    """The activities of a worker."""

    phases: PhaseActivities
    sync: RepositorySync
    listing: Callable[[Start], RefListing]
    """Makes the listing of refs, which starts syncs."""
    git: GitStore
    """The store of Git repositories that they share."""


@contextlib.asynccontextmanager
async def open_activities(settings: Settings, kube: KubeClient) -> AsyncIterator[Activities]:
    """Create the activities with their clients; the end of the context closes the clients.

    Raises:
        SettingsError: A certificate cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        git = await stack.enter_async_context(GitStore.of(settings.git, serves_authors=True))
        events = EventRecorder(kube)
        stack.push_async_callback(events.aclose)
        evaluator = await _open_evaluator(settings, stack)
        tags = await stack.enter_async_context(open_tags(settings, kube))
        phases = PhaseActivities(
            kube=kube,
            git=git,
            evaluator=traced(evaluator),
            events=events,
            default_image_prefix=settings.calls.default_image_prefix,
            tags=tags,
            annotated_only=settings.scope.annotated_repositories_only,
            shows_own_config=settings.calls.own_config_among_items,
            temporal_ui=settings.worker.temporal_ui_url,
        )
        sync = RepositorySync(kube=kube, git=git, events=events, scope=settings.scope, settings=settings.sync)

        def listing(start: Start) -> RefListing:
            return RefListing(kube=kube, git=git, scope=settings.scope, start=start)

        yield Activities(phases, sync, listing, git)


async def _open_evaluator(settings: Settings, stack: contextlib.AsyncExitStack) -> Evaluator:
    if not settings.runner_client.address:
        local = LocalEvaluator(settings.calls.default_image_prefix, time_limit=settings.calls.builtin_seconds)
        stack.push_async_callback(local.aclose)
        return local
    return await stack.enter_async_context(open_runner_client(settings.runner_client, settings.calls))
