"""Invariants of Git: each finds what was planted in a real repository, and nothing where nothing was."""

from pathlib import Path
from typing import Any

import pytest

from bench.published import write_published
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.devstack.demo.demo_repository import git
from soak.findings import Violation
from soak.invariants.branches import check_refs
from soak.invariants.history import Steadiness, check_history
from soak.invariants.pushed import check_commits, check_pushed
from soak.ledger import Promise
from soak.places import Key, Place

PLACE = Place("ns", "apps", "repo")
WEB = Key(PLACE, "web", "v1")
SHOP = Key(PLACE, "shop", "v1")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A repository with two published packages, `web` and `shop`."""
    write_published(tmp_path, "repo", ["first", "web", "shop"])
    bare = tmp_path / "repo.git"
    git("tag", "--delete", "first/v1", cwd=bare)
    return bare


def commit(bare: Path, message: str, files: dict[str, str], parents: tuple[str, ...] = ("main",)) -> str:
    """Make a commit from files in addition to those of the first parent."""
    work = bare.parent / "work"
    if not work.exists():
        git("worktree", "add", "--quiet", "--detach", str(work), "main", cwd=bare)
    git("checkout", "--quiet", "--detach", parents[0], cwd=work)
    for path, text in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
    git("add", "--all", cwd=work)
    tree = git("write-tree", cwd=work)
    more = [word for parent in parents for word in ("-p", git("rev-parse", parent, cwd=work))]
    return git("commit-tree", tree, *more, "-m", message, cwd=work)


def publish(
    bare: Path, package: str, number: int, files: dict[str, str], proposed: dict[str, str] | None = None
) -> str:
    """Publish as porchflow does: a merge of the branch and the proposal, with a tag."""
    proposal = commit(bare, "content", proposed if proposed is not None else files)
    line = f'kpt:{{"package":"{package}","workspaceName":"w{number}","revision":"{number}"}}'
    merge = commit(bare, f"Approving package revision {package}/{number}\n\n{line}", files, ("main", proposal))
    git("update-ref", "refs/heads/main", merge, cwd=bare)
    git("update-ref", f"refs/tags/{package}/v{number}", merge, cwd=bare)
    return merge


def found(violations: list[Violation]) -> list[tuple[str, str]]:
    return [(violation.invariant, violation.of) for violation in violations]


def obj(
    key: Key, bare: Path, ref: str, lifecycle: Lifecycle = Lifecycle.PUBLISHED, revision: int = 1
) -> dict[str, Any]:
    commit_id = git("rev-parse", ref, cwd=bare)
    return {
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"lifecycle": lifecycle},
        "status": {"revision": revision, "selfLock": {"git": {"commit": commit_id}}},
    }


def objects(bare: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(key.namespace, key.name): obj(key, bare, f"refs/tags/{key.package}/v1") for key in (WEB, SHOP)}


class TestHistory:
    def test_a_sound_one_is_not_complained_of(self, bare: Path) -> None:
        publish(bare, "web", 2, {"web/more.yaml": "a: b\n"})
        assert check_history(bare) == []

    def test_a_number_that_is_taken_twice(self, bare: Path) -> None:
        publish(bare, "web", 1, {"web/more.yaml": "a: b\n"})
        assert ("numbers", "repo.git web") in found(check_history(bare))

    def test_a_number_that_is_left_out(self, bare: Path) -> None:
        publish(bare, "web", 3, {"web/more.yaml": "a: b\n"})
        assert found(check_history(bare)) == [("numbers", "repo.git web")]

    def test_a_publish_that_changes_a_neighbour(self, bare: Path) -> None:
        merge = publish(bare, "web", 2, {"web/more.yaml": "a: b\n", "shop/more.yaml": "a: b\n"})
        assert ("neighbours", f"repo.git {merge}") in found(check_history(bare))

    def test_a_neighbour_whose_name_begins_alike(self, bare: Path) -> None:
        merge = publish(bare, "web", 2, {"web/more.yaml": "a: b\n", "web-2/more.yaml": "a: b\n"})
        assert found(check_history(bare)) == [("neighbours", f"repo.git {merge}")]

    def test_a_publish_of_other_content_than_was_proposed(self, bare: Path) -> None:
        publish(bare, "web", 2, {"web/more.yaml": "a: b\n"}, proposed={"web/more.yaml": "a: c\n"})
        assert found(check_history(bare)) == [("content", "repo.git web/v2")]

    def test_a_tag_that_is_elsewhere_than_its_publish(self, bare: Path) -> None:
        git("update-ref", "refs/tags/web/v1", git("rev-parse", "shop/v1", cwd=bare), cwd=bare)
        assert found(check_history(bare)) == [("tags", "repo.git refs/tags/web/v1")]

    def test_a_tag_without_a_publish(self, bare: Path) -> None:
        git("update-ref", "refs/tags/web/v2", commit(bare, "mine", {"web/x": "x"}), cwd=bare)
        assert found(check_history(bare)) == [("tags", "repo.git refs/tags/web/v2")]


class TestSteadiness:
    def test_a_branch_that_grows_is_not_complained_of(self, bare: Path) -> None:
        steadiness = Steadiness(bare)
        assert steadiness.look() == []
        publish(bare, "web", 2, {"web/more.yaml": "a: b\n"})
        git("tag", "--delete", "shop/v1", cwd=bare)
        assert steadiness.look() == []

    def test_a_tag_that_moves(self, bare: Path) -> None:
        steadiness = Steadiness(bare)
        steadiness.look()
        git("update-ref", "refs/tags/web/v1", "main", cwd=bare)
        assert found(steadiness.look()) == [("tags", "repo.git refs/tags/web/v1")]

    def test_a_branch_that_is_rewritten(self, bare: Path) -> None:
        steadiness = Steadiness(bare)
        steadiness.look()
        git("update-ref", "refs/heads/main", "main^", cwd=bare)
        assert found(steadiness.look()) == [("branch", "repo.git")]


class TestRefs:
    def test_what_the_objects_say_is_there(self, bare: Path) -> None:
        assert check_refs(bare, [Promise(WEB), Promise(SHOP)], objects(bare)) == []

    def test_a_tag_that_is_missing(self, bare: Path) -> None:
        seen = objects(bare)
        git("tag", "--delete", "web/v1", cwd=bare)
        assert found(check_refs(bare, [Promise(WEB), Promise(SHOP)], seen)) == [("refs", str(WEB))]

    def test_a_branch_that_nobody_has(self, bare: Path) -> None:
        git("update-ref", "refs/heads/proposed/web/w9", "main", cwd=bare)
        violations = check_refs(bare, [Promise(WEB), Promise(SHOP)], objects(bare))
        assert found(violations) == [("refs", "repo.git refs/heads/proposed/web/w9")]

    def test_a_status_that_names_another_commit(self, bare: Path) -> None:
        seen = objects(bare)
        seen[WEB.namespace, WEB.name]["status"]["selfLock"]["git"]["commit"] = "0" * 40
        assert found(check_refs(bare, [Promise(WEB), Promise(SHOP)], seen)) == [("refs", str(WEB))]

    def test_a_mark_for_deletion_that_is_missing(self, bare: Path) -> None:
        seen = objects(bare)
        seen[WEB.namespace, WEB.name]["spec"]["lifecycle"] = Lifecycle.DELETION_PROPOSED
        violations = check_refs(bare, [Promise(WEB), Promise(SHOP)], seen)
        assert [violation.expected for violation in violations] == [f"Git must have {WEB.mark(1)}, and has not"]


KPTFILE = (
    "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: web\n  labels: {t3: set}\npipeline: {mutators: []}\n"
)
NOTE = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: t1\n  labels: {team: soak}\n"


def test_a_commit_that_the_branch_has_lost(bare: Path) -> None:
    mine = commit(bare, "mine", {"README.md": "mine"})
    assert found(check_commits(bare, [mine])) == [("pushes", "repo.git")]
    git("update-ref", "refs/heads/main", mine, cwd=bare)
    assert check_commits(bare, [mine]) == []


class TestPushed:
    @pytest.fixture
    def promise(self, bare: Path) -> Promise:
        """What was promised of a draft with one accepted push and one label."""
        tip = commit(bare, "Add t1", {"web/Kptfile": KPTFILE, "web/notes/t1.yaml": NOTE})
        key = Key(PLACE, "web", "w2")
        git("update-ref", key.draft, tip, cwd=bare)
        return Promise(key, pushed=[tip], tokens=["t1"], labels=["t3"])

    def check(self, bare: Path, promise: Promise) -> list[tuple[str, str]]:
        draft = obj(promise.key, bare, promise.key.draft, Lifecycle.DRAFT)
        return found(check_pushed(bare, [promise], {(promise.key.namespace, promise.key.name): draft}))

    def test_what_is_there_is_not_complained_of(self, bare: Path, promise: Promise) -> None:
        assert self.check(bare, promise) == []

    def test_a_push_that_is_lost(self, bare: Path, promise: Promise) -> None:
        other = commit(bare, "Rendering package", {"web/Kptfile": KPTFILE, "web/notes/t1.yaml": NOTE})
        promise.pushed = [commit(bare, "Add t1", {"web/notes/t1.yaml": NOTE})]
        git("update-ref", promise.key.draft, other, cwd=bare)
        assert self.check(bare, promise) == [("pushes", str(promise.key))]

    def test_a_file_that_is_lost(self, bare: Path, promise: Promise) -> None:
        promise.tokens.append("t2")
        assert self.check(bare, promise) == [("pushes", str(promise.key))]

    def test_a_label_that_is_lost(self, bare: Path, promise: Promise) -> None:
        promise.labels.append("t4")
        assert self.check(bare, promise) == [("labels", str(promise.key))]

    def test_a_note_that_was_not_rendered(self, bare: Path, promise: Promise) -> None:
        raw = NOTE.replace("  labels: {team: soak}\n", "")
        git(
            "update-ref",
            promise.key.draft,
            commit(bare, "x", {"web/notes/t1.yaml": raw}, (promise.pushed[0],)),
            cwd=bare,
        )
        assert self.check(bare, promise) == [("rendered", str(promise.key))]
