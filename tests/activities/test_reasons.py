"""Every reason, provoked: `kubectl describe` alone says what failed, on what, and what to do about it."""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import Reason
from porchflow.api.work.needs import Phase
from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.errors import (
    GitAddressDenied,
    GitCertificateError,
    GitError,
    GitHostKeyError,
    GitQuotaExceeded,
    GitUnsupported,
)
from porchflow.kube.errors import Forbidden, Invalid, KubeError, KubeUnavailable
from porchflow.kube.kinds import REPOSITORIES, SECRETS
from tests.activities.upstream import clone_from_git
from tests.activities.world import World, reason
from tests.e2e.packages import KPTFILE
from tests.kubectl import Kubectl
from tests.servers.faulty import FaultyGitServer
from tests.servers.git import commit_files

Provoke = Callable[[World], Awaitable[str]]

BROKEN = KPTFILE.replace("set-namespace:v0.4.5", "example.com/none:v1")
GATED = KPTFILE.replace("info:\n", "info:\n  readinessGates:\n    - conditionType: tested\n")


async def _fails(world: World, phase: Phase, kind: ErrorKind, name: str) -> str:
    await world.fails(phase, name, kind)
    return name


async def _rendered_with(world: World, kptfile: str) -> str:
    name = await world.draft()
    await world.annotate(name, render_request=await world.push({"Kptfile": kptfile}))
    return name


async def render_failed(world: World) -> str:
    return await _fails(world, Phase.RENDER, ErrorKind.STALLED, await _rendered_with(world, BROKEN))


async def no_kptfile(world: World) -> str:
    return await _fails(world, Phase.RENDER, ErrorKind.STALLED, await _rendered_with(world, "kind: [\n"))


async def wrong_name(world: World) -> str:
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, await world.create(name="odd"))


async def not_ready(world: World) -> str:
    name = await _rendered_with(world, GATED)
    await world.run(Phase.RENDER, name)
    await world.ask(name, "Proposed")
    return await _fails(world, Phase.LIFECYCLE, ErrorKind.STALLED, name)


async def content_changed(world: World) -> str:
    name = await world.draft()
    await world.push({"Kptfile": KPTFILE})
    await world.ask(name, "Proposed")
    return await _fails(world, Phase.LIFECYCLE, ErrorKind.STALLED, name)


async def not_proposed(world: World) -> str:
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, await world.create(lifecycle="Published"))


async def not_in_git(world: World) -> str:
    return await _fails(world, Phase.LIFECYCLE, ErrorKind.STALLED, await world.create(source=None))


async def illegal_transition(world: World) -> str:
    await world.published()
    await world.delete_whatever_it_takes("blueprints.web.v1")
    return await _fails(world, Phase.LIFECYCLE, ErrorKind.STALLED, await world.create(source=None))


async def deletion_refused(world: World) -> str:
    name = await world.published()
    await world.delete(await world.get(name))
    return await _fails(world, Phase.FINALIZE, ErrorKind.STALLED, name)


async def suspended(world: World) -> str:
    name = await world.draft()
    await world.annotate(name, suspend="the audit")
    await world.run(Phase.SUSPEND, name)
    return name


async def invalid_suspension(world: World) -> str:
    name = await world.draft()
    await world.annotate(name, suspend_until="2100-13-01T00:00:00Z")
    await world.run(Phase.SUSPEND, name)
    return name


async def _in(world: World, spec: dict[str, Any], kind: ErrorKind = ErrorKind.STALLED) -> str:
    """Make a package in a Repository of this spec."""
    body = {
        "apiVersion": "config.porch.kpt.dev/v1alpha1",
        "kind": "Repository",
        "metadata": {"name": "other", "namespace": world.namespace},
        "spec": {"type": "git", **spec},
    }
    await world.kube.create(REPOSITORIES, body)
    return await _fails(world, Phase.SOURCE, kind, await world.create(name="other.web.v1", repository="other"))


async def repository_not_found(world: World) -> str:
    name = await world.create(name="other.web.v1", repository="other")
    return await _fails(world, Phase.SOURCE, ErrorKind.WAITING, name)


async def secret_not_found(world: World) -> str:
    git = {"repo": world.git.url, "branch": "main", "secretRef": {"name": "git-auth"}}
    return await _in(world, {"git": git}, ErrorKind.WAITING)


async def invalid_secret(world: World) -> str:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "git-auth", "namespace": world.namespace},
        "data": {"word": base64.b64encode(b"hidden-word").decode()},
    }
    await world.kube.create(SECRETS, body)
    return await _in(world, {"git": {"repo": world.git.url, "branch": "main", "secretRef": {"name": "git-auth"}}})


async def git_auth_failed(world: World) -> str:
    root = world.folder / "private"
    root.mkdir()
    create_bare_repository(root, "private", durable=False)
    async with FaultyGitServer(root, username="ada", password="right") as server:
        return await _in(world, {"git": {"repo": server.repository_url("private"), "branch": "main"}})


async def git_rejected(world: World) -> str:
    world.git.hook("pre-receive", "echo 'frozen until Monday' >&2\nexit 1")
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, await world.create())


async def git_conflict(world: World) -> str:
    await asyncio.to_thread(commit_files, world.git, "drafts/web/v1", {"web/Kptfile": "x"})
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, await world.create())


async def git_not_found(world: World) -> str:
    return await _in(world, {"git": {"repo": world.git.url.replace(".git", "-none.git"), "branch": "main"}})


async def git_unavailable(world: World) -> str:
    return await _in(world, {"git": {"repo": "http://127.0.0.1:9/x.git", "branch": "main"}}, ErrorKind.TRANSIENT)


async def source_not_found(world: World) -> str:
    name = await world.create(source={"cloneFrom": {"upstreamRef": {"name": "blueprints.none.v1"}}})
    return await _fails(world, Phase.SOURCE, ErrorKind.WAITING, name)


async def source_not_published(world: World) -> str:
    draft = await world.draft("v2")
    name = await world.create(source={"cloneFrom": {"upstreamRef": {"name": draft}}})
    return await _fails(world, Phase.SOURCE, ErrorKind.WAITING, name)


async def invalid_package(world: World) -> str:
    await asyncio.to_thread(commit_files, world.git, "broken", {"apps/web/Kptfile": "kind: [\n"})
    name = await world.create(source=clone_from_git(world.git.url, "broken", "apps/web"))
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, name)


async def package_exists(world: World) -> str:
    await world.published()
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, await world.create("other"))


async def package_overlap(world: World) -> str:
    await world.draft()
    name = await world.create(name="blueprints.web.api.v1", packageName="web/api")
    return await _fails(world, Phase.SOURCE, ErrorKind.STALLED, name)


TABLE: list[tuple[Reason, Provoke, str, str]] = [
    (Reason.RENDER_FAILED, render_failed, r"web: mutator 'example\.com/none:v1", "name a built-in tag in the package"),
    (Reason.RENDER_FAILED, no_kptfile, "Kptfile.*line 2", "mend the package and push it again"),
    (Reason.INVALID_SPEC, wrong_name, r"'odd' has to be 'blueprints\.web\.v1'", "create it under that name"),
    (Reason.INVALID_PACKAGE, invalid_package, "Kptfile.*line 2", "mend the package that it is made from"),
    (Reason.NOT_READY, not_ready, r"readiness gate 'tested'", r"status\.conditions must hold it with status True"),
    (Reason.CONTENT_CHANGED, content_changed, r"drafts/web/v1 is at [0-9a-f]{12}", "render-request to a new value"),
    (Reason.NOT_PROPOSED, not_proposed, "not made Published: it was never Proposed", "again with spec.lifecycle Draft"),
    (Reason.NOT_IN_GIT, not_in_git, r"no package revision web v1", r"set spec\.source on a new object"),
    (Reason.ILLEGAL_TRANSITION, illegal_transition, "from Published to Draft", r"set spec\.lifecycle to DeletionProp"),
    (Reason.DELETION_REFUSED, deletion_refused, "Published package revision", r"set spec\.lifecycle to DeletionProp"),
    (Reason.SUSPENDED, suspended, "by porchflow-admin: the audit", "remove the annotations porchflow.dev/suspend"),
    (Reason.INVALID_SUSPENSION, invalid_suspension, "not '2100-13-01T", "must be a time such as 2030-01-31T18:00:00Z"),
    (Reason.PACKAGE_EXISTS, package_exists, "package 'web' exists already .tag web/v1", "with copyFrom or upgrade"),
    (Reason.PACKAGE_OVERLAP, package_overlap, "the package 'web' .branch drafts/web/v1", r"another spec\.packageName"),
    (Reason.REPOSITORY_NOT_FOUND, repository_not_found, "Repository 'other'", "register it"),
    (Reason.SECRET_NOT_FOUND, secret_not_found, "Secret 'git-auth'", "create it"),
    (Reason.INVALID_SECRET, invalid_secret, "Secret 'git-auth'", r"use type kubernetes\.io/basic-auth"),
    (Reason.GIT_AUTH_FAILED, git_auth_failed, r"private\.git", "; name a Secret in the Repository"),
    (Reason.GIT_REJECTED, git_rejected, "frozen until Monday", "porchflow.dev/reconcile-now to a new value"),
    (Reason.GIT_CONFLICT, git_conflict, "drafts/web/v1", "delete the branch or choose"),
    (Reason.GIT_NOT_FOUND, git_not_found, r"-none\.git", "correct the Repository"),
    (Reason.GIT_UNAVAILABLE, git_unavailable, r"127\.0\.0\.1:9", "look at the Git server"),
    (Reason.SOURCE_NOT_FOUND, source_not_found, "PackageRevision 'blueprints.none.v1'", "create it"),
    (Reason.SOURCE_NOT_PUBLISHED, source_not_published, "'blueprints.web.v2'", "propose and publish it"),
]


@pytest.mark.parametrize(("told", "provoke", "what", "how"), TABLE, ids=[row[1].__name__ for row in TABLE])
async def test_describe_says_what_failed_on_what_and_what_to_do(
    world: World, kubectl: Kubectl, told: Reason, provoke: Provoke, what: str, how: str
) -> None:
    name = await provoke(world)
    assert reason(await world.get(name), "Ready") == f"False/{told}"
    described = await asyncio.to_thread(kubectl, "describe", "packagerevision", name, "-n", world.namespace)
    [conditions] = re.findall(r"\n  Conditions:\n(.*?)\n  \w", described, re.DOTALL)
    message = " ".join(conditions.split())
    assert re.search(what, message), message
    assert re.search(how, message), message
    assert "hidden-word" not in described


FROM_LIBRARIES: list[tuple[Reason, Exception, str]] = [
    (Reason.GIT_QUOTA_EXCEEDED, GitQuotaExceeded("no space left on git.example.com"), "make the package smaller"),
    (Reason.GIT_CERTIFICATE_INVALID, GitCertificateError("cannot list git.example.com"), "as ca.crt into the Secret"),
    (Reason.GIT_HOST_KEY_UNTRUSTED, GitHostKeyError("the key of git.example.com"), "correct known_hosts in the Secret"),
    (Reason.GIT_ADDRESS_DENIED, GitAddressDenied("git.example.com is denied"), "have the setting changed"),
    (Reason.GIT_UNSUPPORTED, GitUnsupported("SHA-256 at git.example.com"), "register a repository in SHA-1 format"),
    (Reason.GIT_FAILED, GitError("cannot read git.example.com"), "look at the Git server"),
    (Reason.KUBERNETES_UNAVAILABLE, KubeUnavailable("no answer of git.example.com"), "look at the API server"),
    (Reason.KUBERNETES_FORBIDDEN, Forbidden("secrets git.example.com"), "with deploy/"),
    (Reason.KUBERNETES_FAILED, KubeError("git.example.com"), "look at the API server"),
    (Reason.KUBERNETES_FAILED, Invalid("git.example.com"), "mend what the Kptfile says"),
    (Reason.INTERNAL_ERROR, ZeroDivisionError("git.example.com"), "report it, with the log of the worker"),
]


@pytest.mark.parametrize(
    ("told", "error", "how"), FROM_LIBRARIES, ids=[type(row[1]).__name__ for row in FROM_LIBRARIES]
)
async def test_so_do_failures_that_only_a_library_meets(
    world: World, monkeypatch: pytest.MonkeyPatch, told: Reason, error: Exception, how: str
) -> None:
    """What it takes a broken server to provoke: raised where Git is first asked."""

    async def fail(*_: Any, **__: Any) -> None:
        raise error

    name = await world.create()
    monkeypatch.setattr(world.store, "create_draft", fail)
    kind = ErrorKind.STALLED if isinstance(error, STALLING) else ErrorKind.TRANSIENT
    await world.fails(Phase.SOURCE, name, kind)
    obj = await world.get(name)
    assert reason(obj, "Ready") == f"False/{told}"
    [message] = [c["message"] for c in obj["status"]["conditions"] if c["type"] == "Ready"]
    assert "git.example.com" in message
    assert how in message


STALLING = (GitAddressDenied, GitQuotaExceeded, GitUnsupported, GitCertificateError, GitHostKeyError, Invalid)

ELSEWHERE = {
    # No failures.
    *(Reason.READY, Reason.PENDING, Reason.RENDERED, Reason.PROGRESSING, Reason.PROGRESSING_WITH_RETRY),
    *(Reason.WAITING, Reason.SUPERSEDED, Reason.GIT_CONTENT_ORPHANED),
    # Of processes that end: tests/e2e/test_deaths.py.
    Reason.PHASE_CRASHED,
    # Of Repositories, and of what a sync finds: tests/activities/test_sync.py and test_repositories.py.
    *(Reason.REPOSITORY_NOT_MIGRATED, Reason.INVALID_REPOSITORY, Reason.DELETING),
    *(Reason.DUPLICATE_REPOSITORY, Reason.REGISTERED_ELSEWHERE, Reason.INVALID_SCHEDULE),
    *(Reason.TAG_MOVED, Reason.REMOVED_FROM_GIT, Reason.BRANCH_REWRITTEN, Reason.REGISTERED_IN_PART),
    # Of labels: test_kptfile_labels.py.
    Reason.LABEL_NOT_SHOWN,
    # Of what others were made from: test_dependents.py.
    Reason.UPSTREAM_IN_USE,
    # Of Secrets, and of what was proposed and reviewed: tests/security.
    *(Reason.CREDENTIALS_UNENCRYPTED, Reason.PROPOSAL_CHANGED, Reason.COMMIT_NOT_APPROVED),
    # Of upgrades, of a runner that is away, of versions of functions: test_upgrades.py, tests/functions, test_tags.py.
    *(Reason.MERGE_CONFLICT, Reason.UPSTREAM_FROM_LOCK, Reason.SOURCE_MOVES, Reason.LOCAL_CHANGES),
    *(Reason.FUNCTION_RUNNER_UNAVAILABLE, Reason.REGISTRY_UNAVAILABLE),
}


def test_no_reason_is_forgotten() -> None:
    assert {row[0] for row in TABLE} | {row[0] for row in FROM_LIBRARIES} | ELSEWHERE == set(Reason)
