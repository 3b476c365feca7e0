"""`porchflow propose`, `approve`, `reject` and `wait` as people of one role each run them, under the policies."""

import asyncio
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import RECONCILE_NOW_ANNOTATION as RECONCILE_NOW
from porchflow.api.work.needs import Phase, needs_work
from porchflow.cli.main import main
from porchflow.kube.client import Object
from tests.api.conftest import roles, team
from tests.kptfiles import kptfile_text
from tests.security.conftest import stage
from tests.security.stage import NAME, Stage
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

__all__ = ["roles", "stage", "team"]

ROOT = Path(__file__).parents[3]
AUTHOR, APPROVER = "ada@example.com", "bea@example.com"
APPROVED = "porchflow.dev/approved-commit"


@dataclass
class People:
    """Runs the command with the credentials of one person."""

    stage: Stage
    plane: ControlPlane

    async def run(self, user: str, *arguments: str) -> tuple[int, str, str]:
        """Returns exit code, stdout and stderr."""
        done = await asyncio.to_thread(
            CliRunner().invoke,
            main,
            [*arguments, "--namespace", self.stage.team.namespace],
            env={"PORCHFLOW_KUBECONFIG": str(self.plane.kubeconfig_for(user)), "GIT_CACHE_DIR": str(self.cache)},
        )
        assert done.exc_info is None or done.exc_info[0] is SystemExit, done.exc_info
        return done.exit_code, done.stdout, done.stderr

    @property
    def cache(self) -> Path:
        return self.stage.world.folder / "cache-of-people"

    async def get(self) -> Object:
        return await self.stage.world.get(NAME)


@pytest.fixture
def people(stage: Stage, control_plane: ControlPlane) -> People:
    return People(stage, control_plane)


async def test_a_draft_is_proposed_and_shown(people: People) -> None:
    await people.stage.draft()
    code, out, told = await people.run(AUTHOR, "propose", f"packagerevision.porch.kpt.dev/{NAME}")
    assert (code, out.splitlines()[-1]) == (0, f"{NAME} proposed")
    assert "+kind: Kptfile" in out
    assert told == f"{NAME} compared with nothing: it is the first revision of a package without upstream\n"
    assert (await people.get())["spec"]["lifecycle"] == "Proposed"
    code, _, told = await people.run(AUTHOR, "propose", NAME)
    assert (code, "only a Draft can be proposed" in told) == (2, True)


async def test_what_git_does_not_show_is_proposed_all_the_same(people: People) -> None:
    await people.stage.draft()
    people.stage.world.git.git("update-ref", "-d", "refs/heads/drafts/web/v1")
    code, out, told = await people.run(AUTHOR, "propose", NAME)
    assert (code, out) == (0, f"{NAME} proposed\n")
    assert told.startswith(f"the difference cannot be shown: {NAME} has no content yet")


async def test_an_approval_names_the_commit_that_was_shown(people: People) -> None:
    commit = (await people.stage.proposed())["status"]["proposal"]["commit"]
    code, out, told = await people.run(APPROVER, "approve", NAME)
    assert (code, "+kind: Kptfile" in out) == (2, True)
    assert f"give --yes, or name what was reviewed with --commit {commit}" in told
    assert (await people.get())["spec"]["lifecycle"] == "Proposed", "nobody was asked"
    code, out, _ = await people.run(APPROVER, "approve", NAME, "--yes")
    assert (code, out.splitlines()[-1]) == (0, f"{NAME} approved at commit {commit}")
    asked = await people.get()
    assert asked["spec"]["lifecycle"] == "Published"
    assert asked["metadata"]["annotations"][APPROVED] == commit
    await people.stage.run(Phase.LIFECYCLE)
    assert (await people.get())["status"]["publishedBy"] == APPROVER
    code, _, told = await people.run(APPROVER, "approve", NAME, "--yes")
    assert (code, "there is nothing to approve" in told) == (2, True)


async def test_a_commit_that_is_named_is_the_one_that_is_proposed(people: People) -> None:
    commit = (await people.stage.proposed())["status"]["proposal"]["commit"]
    for other in ("0" * 40, commit[:6], commit + "0", commit[1:]):
        code, out, told = await people.run(APPROVER, "approve", NAME, "--commit", other)
        assert (code, out) == (2, "")
        assert f"proposes commit {commit}, not {other!r}" in told
    assert await people.run(APPROVER, "approve", NAME, "--commit", commit[:7].upper()) == (
        0,
        f"{NAME} approved at commit {commit}\n",
        "",
    )
    assert (await people.get())["metadata"]["annotations"][APPROVED] == commit


async def test_content_that_changed_after_the_proposal_is_not_approved(people: People) -> None:
    commit = (await people.stage.proposed())["status"]["proposal"]["commit"]
    pushed = await people.stage.world.push({"evil.yaml": "kind: Evil\n"}, branch="proposed/web/v1")
    code, _, told = await people.run(APPROVER, "approve", NAME, "--yes")
    assert code == 2
    assert f"proposes commit {commit}, but Git has {pushed}" in told
    assert (await people.get())["spec"]["lifecycle"] == "Proposed"


async def test_the_answer_may_be_no(people: People) -> None:
    await people.stage.proposed()
    code, shown = await asyncio.to_thread(_answered, people, b"n\n")
    assert code == 1
    assert b"Publish " in shown
    assert (await people.get())["spec"]["lifecycle"] == "Proposed"
    code, _ = await asyncio.to_thread(_answered, people, b"y\n")
    assert code == 0
    assert (await people.get())["spec"]["lifecycle"] == "Published"


def _answered(people: People, answer: bytes) -> tuple[int, bytes]:
    """Approve on a terminal; returns the exit code and what the terminal showed."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "PORCHFLOW_KUBECONFIG": str(people.plane.kubeconfig_for(APPROVER)),
        "GIT_CACHE_DIR": str(people.cache),
        "TERM": "dumb",
    }
    command = [sys.executable, "-m", "porchflow.cli.main", "approve", NAME, "-n", people.stage.team.namespace]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        # The terminal keeps it until it is asked for.
        os.write(ours, answer)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other end is closed.
                break
    os.close(ours)
    return process.returncode, shown


async def test_rights_are_the_users_own(people: People) -> None:
    await people.stage.proposed()
    for flags in (["--yes"], ["--yes", "--dry-run"]):
        code, _, told = await people.run(AUTHOR, "approve", NAME, *flags)
        assert (code, "approver" in told) == (2, True), told
    code, out, _ = await people.run(APPROVER, "approve", NAME, "--dry-run")
    assert (code, out.splitlines()[-1].endswith("(dry run)")) == (0, True)
    kept = await people.get()
    assert (kept["spec"]["lifecycle"], APPROVED in kept["metadata"].get("annotations", {})) == ("Proposed", False)


async def test_rejecting_takes_either_proposal_back(people: People) -> None:
    await people.stage.draft()
    code, _, told = await people.run(APPROVER, "reject", NAME)
    assert (code, "nothing is proposed" in told) == (2, True)
    code, _, told = await people.run(APPROVER, "approve", NAME)
    assert (code, f"porchflow propose {NAME}" in told) == (2, True)
    await people.stage.step(people.stage.team.author, "Proposed")
    assert await people.run(APPROVER, "reject", NAME) == (0, f"{NAME} rejected: it is Draft again\n", "")
    await people.stage.run(Phase.LIFECYCLE)
    await people.stage.step(people.stage.team.author, "Proposed")
    await people.stage.step(people.stage.team.approver, "Published")
    await people.stage.step(people.stage.team.author, "DeletionProposed")
    code, _, told = await people.run(APPROVER, "approve", NAME)
    assert (code, f"kubectl delete packagerevision {NAME}" in told) == (2, True)
    assert await people.run(APPROVER, "reject", NAME) == (0, f"{NAME} rejected: it is Published again\n", "")


async def test_what_is_not_settled_is_not_proposed(people: People) -> None:
    await people.stage.team.create(source={"init": {"description": "a web app"}})
    code, _, told = await people.run(AUTHOR, "propose", NAME)
    assert (code, f"porchflow wait {NAME}" in told) == (2, True)
    code, _, told = await people.run(AUTHOR, "propose", "nowhere")
    assert (code, "there is no PackageRevision 'nowhere'" in told) == (2, True)


async def test_waiting_ends_when_it_is_ready(people: People) -> None:
    await people.stage.team.create(source={"init": {"description": "a web app"}})
    waiting = asyncio.create_task(people.run(AUTHOR, "wait", NAME))
    await people.stage.run(Phase.SOURCE)
    code, out, _ = await waiting
    assert (code, out) == (0, f"{NAME} is ready (Draft)\n")
    assert await people.run(AUTHOR, "wait", NAME) == (0, f"{NAME} is ready (Draft)\n", "")


async def test_waiting_ends_when_it_is_stalled(people: People) -> None:
    await people.stage.draft()
    pushed = await people.stage.world.push({"Kptfile": kptfile_text("web", "pipeline: [\n")})
    annotation = {"porch.kpt.dev/render-request": pushed}
    await people.stage.team.patch(people.stage.team.author, {"metadata": {"annotations": annotation}})
    waiting = asyncio.create_task(people.run(AUTHOR, "wait", NAME))
    await people.stage.world.fails(Phase.RENDER, NAME, ErrorKind.STALLED)
    code, out, _ = await waiting
    assert (code, out.startswith(f"{NAME} is stalled: ")) == (1, True)


async def test_waiting_begins_with_a_look_where_that_is_asked(people: People) -> None:
    """After a push with git the object is Ready with the content before it."""
    await people.stage.draft()
    pushed = await people.stage.world.push(
        {"Kptfile": kptfile_text("web"), "new.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\n"}
    )
    assert await people.run(AUTHOR, "wait", NAME) == (0, f"{NAME} is ready (Draft)\n", "")
    waiting = asyncio.create_task(people.run(AUTHOR, "wait", NAME, "--look"))

    async def is_asked() -> bool:
        return needs_work(await people.stage.world.get(NAME), datetime.now(UTC))

    await eventually(is_asked, what="porchflow is asked to look")
    assert not waiting.done()
    await people.stage.world.run(Phase.RENDER, NAME)
    code, out, _ = await waiting
    assert (code, out) == (0, f"{NAME} is ready (Draft)\n")
    assert pushed


async def test_several_are_waited_for_at_once(people: People) -> None:
    await people.stage.draft()
    assert await people.run(AUTHOR, "wait", NAME, NAME) == (0, f"{NAME} is ready (Draft)\n", "")
    code, out, told = await people.run(AUTHOR, "wait", NAME, "nowhere")
    assert (code, out, "there is no PackageRevision 'nowhere'" in told) == (2, "", True)
    # Nobody works on it.
    await people.stage.team.patch(people.stage.team.author, {"metadata": {"annotations": {RECONCILE_NOW: "now"}}})
    code, _, told = await people.run(AUTHOR, "wait", NAME, "--timeout", "1")
    assert (code, f"not within 1 s: {NAME} is in progress" in told) == (2, True)


async def test_waiting_has_an_end(people: People) -> None:
    code, _, told = await people.run(AUTHOR, "wait", NAME)
    assert (code, "there is no PackageRevision" in told) == (2, True)
    await people.stage.team.create(source={"init": {"description": "a web app"}})
    code, _, told = await people.run(AUTHOR, "wait", NAME, "--timeout", "1")
    assert (code, f"Error: not within 1 s: {NAME} is " in told) == (2, True)
    waiting = asyncio.create_task(people.run(AUTHOR, "wait", NAME))
    await people.stage.world.delete_whatever_it_takes(NAME)
    code, _, told = await waiting
    assert (code, "there is no PackageRevision" in told) == (2, True)
