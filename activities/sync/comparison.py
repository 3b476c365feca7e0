"""What Git holds against which objects there are: a pure decision on what a sync has to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from porchflow.activities.sync.discovered import Existing, name_of, path_of
from porchflow.api.conditions import Reason
from porchflow.api.packagerevision import Lifecycle
from porchflow.gitrepo.discovery.discover import Discovered
from porchflow.gitrepo.refs import UNNUMBERED
from porchflow.repositories.access import RepositoryAccess

_NAME_LENGTH = 253
_TOLD_BY_SYNCS = frozenset({Reason.REMOVED_FROM_GIT, Reason.TAG_MOVED, Reason.CONTENT_CHANGED})
"""What a sync said of an object it has to take back, once Git is where it was."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A revision in Git and its object."""

    found: Discovered
    existing: Existing


@dataclass
class Work:
    """What a sync has to do; all of it empty where Git and objects agree."""

    names: dict[str, Discovered] = field(default_factory=dict)
    """Every revision that has an object or gets one."""
    latest: dict[str, str] = field(default_factory=dict)
    """Name of the object with the newest published revision, by package."""
    create: list[Discovered] = field(default_factory=list)
    finish: list[Pair] = field(default_factory=list)
    """Objects of an interrupted sync, without status."""
    disown: list[Existing] = field(default_factory=list)
    """Objects that say so and are not: no sync made them, or they came to ask for something else."""
    own: list[Pair] = field(default_factory=list)
    """Without the label, owner or finalizer of the Repository, or with the wrong label of the latest revision."""
    relock: list[Pair] = field(default_factory=list)
    """Packages on the branch whose lock may be of older content."""
    deployment: list[Pair] = field(default_factory=list)
    """Objects that do not say whether their Repository is a deployment repository."""
    drifted: list[Pair] = field(default_factory=list)
    """Git is not where the object says; to be looked at closely, because work may be under way."""
    gone: list[Existing] = field(default_factory=list)
    """In Git no longer; to be looked at closely, too."""
    problems: list[str] = field(default_factory=list)


def compare(repository: RepositoryAccess, found: Iterable[Discovered], existing: Mapping[str, Existing]) -> Work:
    """Compare revisions in Git with objects.

    Args:
        repository: The Repository of both.
        found: What Git holds.
        existing: The objects by name, read before Git was: what was deleted meanwhile is not made again.
    """
    work = Work()
    by_tag = {each.lock_ref: each.workspace for each in existing.values() if each.revision > 0}
    for revision in found:
        # A tag that was moved to another commit, which names another workspace or none, is still that object's tag.
        workspace = by_tag.get(revision.ref, "") if revision.revision > 0 else ""
        _name(work, repository.name, replace(revision, workspace=workspace) if workspace else revision)
    work.latest = _latest(work.names, existing)
    for name, revision in work.names.items():
        current = existing.get(name)
        if current is None:
            work.create.append(revision)
        elif not current.deleting:
            _compare(work, repository, Pair(revision, current))
    for name, current in existing.items():
        if name in work.names or current.deleting:
            continue
        if current.unfinished:
            work.disown.append(current)
        elif current.lock_commit:
            work.gone.append(current)
    return work


def is_latest(work: Work, name: str, package: str) -> bool:
    """Whether an object has the newest published revision of its package."""
    return work.latest.get(package) == name


def is_registered(pair: Pair) -> bool:
    """Whether an object without status asks for what Git has, and for no more: a sync can say that it has it."""
    return not pair.existing.has_source and pair.existing.lifecycle == pair.found.lifecycle.value


def _name(work: Work, repository: str, revision: Discovered) -> None:
    name = name_of(repository, revision)
    if why := _refusal(name, revision):
        work.problems.append(f"{revision.ref}: no object can be called {name!r}: {why}")
    elif (other := work.names.get(name)) is not None:
        work.problems.append(f"{revision.ref} and {other.ref} would both be called {name!r}: rename one of them")
    else:
        work.names[name] = revision


def _refusal(name: str, revision: Discovered) -> str:
    if len(name) > _NAME_LENGTH:
        return f"it is longer than {_NAME_LENGTH} characters"
    if "/" in revision.workspace:
        return f"{revision.workspace!r} holds a slash"
    if any(not _is_label(part) for part in name.split(".")):
        return "names of packages and workspaces are lower-case letters, digits and '-'"
    return ""


def _is_label(part: str) -> bool:
    return (
        part.isascii()
        and part == part.lower()
        and part.replace("-", "").isalnum()
        and not part.startswith("-")
        and not part.endswith("-")
    )


def _latest(names: Mapping[str, Discovered], existing: Mapping[str, Existing]) -> dict[str, str]:
    """Find the newest published revision of each package.

    Objects count too: one may know of a publication that came after the look at Git.
    """
    best: dict[str, tuple[int, str]] = {}

    def offer(package: str, number: int, name: str) -> None:
        if number > 0 and (number, name) > best.get(package, (0, "")):
            best[package] = (number, name)

    for name, revision in names.items():
        current = existing.get(name)
        if revision.lifecycle.is_published and (current is None or not current.deleting):
            offer(revision.package, revision.revision, name)
    for name, current in existing.items():
        published = current.lifecycle in {Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED}
        if name not in names and published and not current.deleting and current.stalled != Reason.REMOVED_FROM_GIT:
            offer(current.package, current.revision, name)
    return {package: name for package, (_, name) in best.items()}


def _compare(work: Work, repository: RepositoryAccess, pair: Pair) -> None:
    found, current = pair.found, pair.existing
    if current.unfinished and is_registered(pair):
        work.finish.append(pair)
        return
    if current.unfinished:
        work.disown.append(current)
        return
    label = "true" if is_latest(work, current.name, found.package) else "false"
    if not current.owned or current.latest != label:
        work.own.append(pair)
    if current.deployment != repository.deployment and current.lock_commit:
        work.deployment.append(pair)
    if not current.lock_commit:
        # Its source is being executed: nothing was reported yet that Git could differ from.
        return
    if found.revision == UNNUMBERED and found.ref == current.lock_ref == repository.branch:
        if found.commit != current.lock_commit:
            work.relock.append(pair)
        if found.lifecycle.value != current.lifecycle:
            work.drifted.append(pair)
    elif _differs(pair) or current.stalled in _TOLD_BY_SYNCS:
        work.drifted.append(pair)


def _differs(pair: Pair) -> bool:
    found, current = pair.found, pair.existing
    return (found.lifecycle.value, found.ref, found.commit) != (
        current.lifecycle,
        current.lock_ref,
        current.lock_commit,
    )


def places(repository: RepositoryAccess, pairs: Iterable[Pair]) -> list[tuple[str, str, str]]:
    """Return the commit, directory and tree that tell whether the locks of packages on the branch still hold."""
    return [(pair.existing.lock_commit, path_of(repository, pair.found.package), pair.found.tree) for pair in pairs]
