"""What a repository in Porch's layout reads as."""

import subprocess
from pathlib import Path

import pygit2
import pytest

from porchflow.gitrepo.discovery.discover import Discovery, DiscoveryKnowledge, digest_of, discover
from porchflow.gitrepo.remote.transport import Refs
from tests.gitrepo.porch_layout import PorchRepository
from tests.kptfiles import kptfile_text

NOT_THERE = "1" * 40


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "repo.git")], check=True)
    return tmp_path / "repo.git"


def refs_of(bare: Path) -> Refs:
    repo = pygit2.Repository(str(bare))
    return Refs({name: str(repo.references[name].resolve().target) for name in repo.references})


def read(
    bare: Path, directory: str = "", branch: str = "main", knowledge: DiscoveryKnowledge | None = None
) -> Discovery:
    repo = pygit2.Repository(str(bare))
    return discover(repo, refs_of(bare), knowledge or DiscoveryKnowledge(), branch, directory)


def shown(discovery: Discovery) -> dict[str, tuple[str, int, str]]:
    return {
        f"{each.package}.{each.workspace}": (each.lifecycle.value, each.revision, each.ref)
        for each in discovery.revisions
    }


def test_a_repository_of_every_kind_of_ref(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("web", 1, "first")
    porch.publish("web", 2, "second")
    porch.publish("shop/cart", 1, "start")
    porch.open("web", "third")
    porch.open("web", "fourth", "proposed")
    porch.ref("refs/heads/deletionProposed/web/v1")
    porch.ref("refs/heads/deletionProposed/shop/cart/main")
    porch.ref("refs/heads/feature/unrelated")
    porch.ref("refs/tags/release-1")
    porch.write(bare)

    found = read(bare)

    assert shown(found) == {
        "web.first": ("DeletionProposed", 1, "web/v1"),
        "web.second": ("Published", 2, "web/v2"),
        "shop/cart.start": ("Published", 1, "shop/cart/v1"),
        "web.third": ("Draft", 0, "drafts/web/third"),
        "web.fourth": ("Proposed", 0, "proposed/web/fourth"),
        "web.main": ("Published", -1, "main"),
        "shop/cart.main": ("DeletionProposed", -1, "main"),
    }
    assert found.branch_commit == str(refs_of(bare)["refs/heads/main"])
    assert found.problems == []


def test_who_published_and_when_is_the_author_of_the_approval(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("web", 1, "first")
    approved = porch.seconds
    porch.commit("later, of another package", {"README.md": "hello\n"})
    porch.commit("by hand", {"plain/Kptfile": kptfile_text("plain")})
    porch.write(bare)
    touched = {f"{each.package}.{each.workspace}": each.touched for each in read(bare).revisions}
    first = touched["web.first"]
    assert first is not None
    assert (first.seconds, first.by) == (approved, "porch@kpt.dev")
    assert touched["web.main"] == first, "the newest commit that names the package, not the newest commit"
    assert touched["plain.main"] is None, "no commit names it"


def test_only_what_lies_below_the_directory(bare: Path) -> None:
    porch = PorchRepository()
    for path in ("live/web", "live-too/web", "web"):
        porch.publish(path, 1, "v1")
        porch.open(path, "next")
    porch.write(bare)
    assert set(shown(read(bare, "live"))) == {"web.v1", "web.next", "web.main"}
    assert {each.ref for each in read(bare, "/live/").revisions} == {"live/web/v1", "drafts/live/web/next", "main"}
    assert set(shown(read(bare, "nowhere"))) == set()


def test_what_is_below_a_package_belongs_to_it(bare: Path) -> None:
    porch = PorchRepository()
    sub = {"Kptfile": kptfile_text("web"), "sub/Kptfile": kptfile_text("sub"), "sub/deep/Kptfile": kptfile_text("deep")}
    porch.publish("apps/web", 1, "v1", sub)
    porch.write(bare)
    assert set(shown(read(bare))) == {"apps/web.v1", "apps/web.main"}


@pytest.mark.parametrize(
    ("suffix", "annotated", "expected"),
    [
        ("v3", True, ("web.first", 3)),
        ("4", True, ("web.first", 4)),
        ("v5", False, ("web.v5", 5)),
        ("6", False, ("web.v6", 6)),
        ("1.2.3", False, ("web.1.2.3", -1)),
        ("vfoo", False, ("web.vfoo", -1)),
        ("v007", False, ("web.v007", -1)),
    ],
)
def test_the_number_and_workspace_of_a_tag(bare: Path, suffix: str, annotated: bool, expected: tuple[str, int]) -> None:
    porch = PorchRepository()
    porch.publish("web", 99, "first")
    commit = porch.commit("by hand", {"more.txt": "1"})
    porch.ref(f"refs/tags/web/{suffix}", commit if not annotated else commit - 1)
    porch.write(bare)
    subprocess.run(["git", "-C", str(bare), "update-ref", "-d", "refs/tags/web/v99"], check=True)
    found = shown(read(bare))
    name, number = expected
    assert found[name] == ("Published", number, f"web/{suffix}")


def test_an_annotated_tag_is_its_commit(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("web", 1, "first")
    porch.write(bare)
    commit = str(refs_of(bare)["refs/tags/web/v1"])
    git = ["git", "-C", str(bare)]
    subprocess.run([*git, "-c", "user.name=a", "-c", "user.email=b", "tag", "-am", "x", "web/v2", commit], check=True)
    found = {each.ref: each for each in read(bare).revisions}
    assert found["web/v2"].commit == commit, "of two tags of one workspace the higher one counts"
    assert "web/v1" not in found


def test_what_cannot_be_a_revision_is_told(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("web", 1, "first")
    porch.ref("refs/tags/gone/v1")
    porch.open("empty", "v1", files={"README.md": "no Kptfile"})
    porch.commit(
        "a tree of tricks",
        {
            "linked/Kptfile": "120000 ../web/Kptfile",
            "outside": "120000 ../../etc",
            "module": f"160000 {NOT_THERE}",
            "deep/module": f"160000 {NOT_THERE}",
        },
    )
    porch.write(bare)
    blob = subprocess.run(
        ["git", "-C", str(bare), "hash-object", "-w", "--stdin"], input=b"x", capture_output=True, check=True
    )
    subprocess.run(
        ["git", "-C", str(bare), "update-ref", "refs/tags/blob/v1", blob.stdout.decode().strip()], check=True
    )

    found = read(bare)

    assert set(shown(found)) == {"web.first", "web.main"}
    assert sorted(found.problems) == [
        "branch drafts/empty/v1: it has no Kptfile in empty",
        "deep/module is a submodule; what it names is not looked at",
        "linked/Kptfile is a symbolic link, which is not followed: make it a file",
        "module is a submodule; what it names is not looked at",
        f"tag blob/v1: {blob.stdout.decode().strip()} is a blob, no commit",
        "tag gone/v1: its commit has no Kptfile in gone",
    ]


def test_a_package_in_the_directory_itself_has_no_name(bare: Path) -> None:
    porch = PorchRepository()
    porch.commit("by hand", {"Kptfile": kptfile_text("root"), "web/Kptfile": kptfile_text("web")})
    porch.write(bare)
    found = read(bare)
    assert found.revisions == []
    assert "the root of the repository is a package itself" in found.problems[0]


def test_an_interrupted_propose_is_a_proposal_and_an_edited_draft_a_draft(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("web", 1, "first")
    both = porch.open("web", "same")
    porch.ref("refs/heads/proposed/web/same", both)
    porch.open("web", "newer", "proposed")
    porch.open("web", "newer", "drafts", {"Kptfile": kptfile_text("web"), "more.yaml": "a: b\n"})
    porch.open("web", "first")
    porch.write(bare)
    found = shown(read(bare))
    assert found["web.same"][0] == "Proposed"
    assert found["web.newer"][0] == "Draft"
    assert found["web.first"] == ("Published", 1, "web/v1"), "a draft that publishing left behind is none"


def test_another_branch_has_packages_of_its_own_and_shares_tags(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("web", 1, "first")
    porch.write(bare)
    other = PorchRepository(branch="next", seconds=porch.seconds + 10)
    other.commit("by hand", {"other/Kptfile": kptfile_text("other")})
    (bare / "fast-import.marks").unlink()
    other.write(bare)
    assert set(shown(read(bare, branch="next"))) == {"web.first", "other.next"}
    assert set(shown(read(bare, branch="missing"))) == {"web.first"}


def test_an_empty_repository_holds_nothing(bare: Path) -> None:
    assert read(bare) == Discovery()


def test_many_equal_directories_are_looked_through_once(bare: Path) -> None:
    """A tree of 10 levels with 10 equal entries each would be 10,000,000,000 directories."""
    repo = pygit2.Repository(str(bare))
    builder = repo.TreeBuilder()
    builder.insert("file", repo.create_blob(b"x"), pygit2.enums.FileMode.BLOB)
    tree = builder.write()
    for _ in range(10):
        builder = repo.TreeBuilder()
        for number in range(10):
            builder.insert(f"d{number}", tree, pygit2.enums.FileMode.TREE)
        tree = builder.write()
    somebody = pygit2.Signature("somebody", "somebody@example.com")
    repo.create_commit("refs/heads/main", somebody, somebody, "a bomb", tree, [])
    assert read(bare).revisions == []


def test_the_history_is_read_once_then_only_what_is_new(bare: Path) -> None:
    porch, knowledge = PorchRepository(), DiscoveryKnowledge()
    porch.publish("web", 1, "first")
    porch.write(bare)
    before = {each.package: each.touched for each in read(bare, knowledge=knowledge).revisions}
    porch.publish("cart", 1, "first")
    porch.publish("web", 2, "second")
    porch.write(bare)
    assert shown(read(bare, knowledge=knowledge)) == shown(read(bare))
    again = read(bare, knowledge=knowledge)
    assert again == read(bare)
    assert {each.package: each.touched for each in again.revisions}["web"] != before["web"]


def test_the_digest_is_that_of_what_matters(bare: Path) -> None:
    porch = PorchRepository()
    porch.publish("live/web", 1, "v1")
    porch.write(bare)
    before = digest_of(refs_of(bare), "main", "live")
    porch.ref("refs/heads/feature/x")
    porch.ref("refs/tags/elsewhere/v1")
    porch.write(bare)
    assert digest_of(refs_of(bare), "main", "live") == before
    assert digest_of(refs_of(bare), "main", "") != digest_of(refs_of(bare), "main", "live")
    porch.open("live/web", "next")
    porch.write(bare)
    assert digest_of(refs_of(bare), "main", "live") != before
