"""The branch of published packages: numbers without gaps, and each commit changes its own package only."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from porchflow.devstack.demo.demo_repository import git
from porchflow.gitrepo.store.commit_messages import parse_annotations
from soak.findings import Violation
from soak.invariants.branches import refs_of

BRANCH = "refs/heads/main"
_TAG = re.compile(r"refs/tags/(?P<path>.+)/v(?P<number>[0-9]+)")
_COMMITS = ("log", "--first-parent", "--diff-merges=first-parent", "--name-only", "--reverse")


@dataclass(frozen=True)
class Publish:
    """A commit of the branch that published a revision.

    Attributes:
        commit: Its id.
        proposal: The commit that it merged: its last parent.
        path: Folder of the package.
        number: Of the revision.
        changed: Files that it changed on the branch.
    """

    commit: str
    proposal: str
    path: str
    number: int
    changed: tuple[str, ...]


def publishes(bare: Path) -> Iterator[Publish]:
    """Yield the commits of the branch that published something, the oldest first."""
    text = git(*_COMMITS, "--format=%x01%H%x02%P%x02%B%x02", BRANCH, cwd=bare)
    for record in text.split("\x01")[1:]:
        commit, parents, message, files = record.split("\x02")
        for annotation in parse_annotations(message):
            if annotation.is_approval:
                changed = tuple(line for line in files.splitlines() if line)
                yield Publish(commit, parents.split()[-1], annotation.package, annotation.number, changed)


def check_history(bare: Path) -> list[Violation]:
    """Return what is violated in a repository; it must hold at every moment."""
    made = list(publishes(bare))
    return [*_numbers(bare, made), *_tags(bare, made), *_neighbours(bare, made), *_trees(bare, made)]


def _numbers(bare: Path, made: list[Publish]) -> Iterator[Violation]:
    by_path: dict[str, list[int]] = defaultdict(list)
    for publish in made:
        by_path[publish.path].append(publish.number)
    for path, numbers in by_path.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation(
                "numbers", f"{bare.name} {path}", f"numbers must follow one another from 1, and are {numbers}"
            )


def _tags(bare: Path, made: list[Publish]) -> Iterator[Violation]:
    by_revision = {(publish.path, publish.number): publish.commit for publish in made}
    for ref, commit in refs_of(bare, "refs/tags").items():
        found = _TAG.fullmatch(ref)
        wanted = by_revision.get((found["path"], int(found["number"]))) if found else None
        # A tag may be there a moment before the branch is read.
        if wanted != commit and (wanted or not _is_newer(bare, commit)):
            yield Violation("tags", f"{bare.name} {ref}", f"it must be at its publish {wanted}, and is at {commit}")


def _is_newer(bare: Path, commit: str) -> bool:
    """Return whether the branch, as it is now, has a commit that its history had not when it was read."""
    return commit in git("rev-list", "--first-parent", BRANCH, cwd=bare).split()


def _neighbours(bare: Path, made: list[Publish]) -> Iterator[Violation]:
    for publish in made:
        others = [file for file in publish.changed if not file.startswith(f"{publish.path}/")]
        if others:
            expected = f"the publish of {publish.path} must change nothing else, and changed {', '.join(others[:3])}"
            yield Violation("neighbours", f"{bare.name} {publish.commit}", expected)


def _trees(bare: Path, made: list[Publish]) -> Iterator[Violation]:
    """Yield violations where the branch holds another tree of a package than was proposed, or published last."""
    newest: dict[str, Publish] = {publish.path: publish for publish in made}
    places = [f"{BRANCH}:{path}" for path in newest]
    places += [f"{publish.commit}:{publish.path}" for publish in made]
    places += [f"{publish.proposal}:{publish.path}" for publish in made]
    trees = _ids(bare, places)
    for publish in made:
        merged, proposed = (trees[f"{each}:{publish.path}"] for each in (publish.commit, publish.proposal))
        if merged != proposed:
            expected = f"what was proposed is published as it is, and the trees are {proposed} and {merged}"
            yield Violation("content", f"{bare.name} {publish.path}/v{publish.number}", expected)
    for path, publish in newest.items():
        held, published = trees[f"{BRANCH}:{path}"], trees[f"{publish.commit}:{path}"]
        if held != published and publish.commit == _last_of(bare, path):
            expected = f"the branch must hold the tree {published} of v{publish.number}, and holds {held}"
            yield Violation("content", f"{bare.name} {path}", expected)


def _last_of(bare: Path, path: str) -> str:
    """Return the commit of the branch that changed a package last, as the branch is now."""
    return git("log", "--first-parent", "--diff-merges=first-parent", "-1", "--format=%H", BRANCH, "--", path, cwd=bare)


def _ids(bare: Path, places: list[str]) -> Mapping[str, str]:
    """Return the ids of trees by place; empty where there is none."""
    asked = "".join(f"{place}\n" for place in places)
    lines = _git_with_input("cat-file", "--batch-check=%(objectname)", text=asked, bare=bare).splitlines()
    return {place: "" if line.endswith(" missing") else line for place, line in zip(places, lines, strict=True)}


def _git_with_input(*arguments: str, text: str, bare: Path) -> str:
    """Run git with text on its standard input; return what it prints."""
    command = ["git", "-C", str(bare), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


class Steadiness:
    """Holds that tags stay where they are and the branch only grows, from one look to the next."""

    def __init__(self, bare: Path) -> None:
        """Create it before the first look."""
        self._bare = bare
        self._tags: dict[str, str] = {}
        self._tip = ""

    def look(self) -> list[Violation]:
        """Return what has moved since the last look."""
        tags = refs_of(self._bare, "refs/tags")
        found = [
            Violation("tags", f"{self._bare.name} {ref}", f"it must stay at {self._tags[ref]}, and moved to {commit}")
            for ref, commit in tags.items()
            if self._tags.get(ref, commit) != commit
        ]
        self._tags |= tags
        tip = git("rev-parse", BRANCH, cwd=self._bare)
        if self._tip and self._tip not in git("rev-list", "--first-parent", tip, cwd=self._bare).split():
            found.append(Violation("branch", self._bare.name, f"{BRANCH} must only grow, and lost {self._tip}"))
        self._tip = tip
        return found
