"""Comparison of package revisions in Git with objects: the work of a sync. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from porchflow.activities.sync.discovered import Existing, name_of, path_of
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.discovery.discover import Discovered
from porchflow.gitrepo.refs import UNNUMBERED
from porchflow.repositories.access import RepositoryAccess

_NAME_LENGTH = 253
_TOLD_BY_SYNCS = frozenset({Reason.REMOVED_FROM_GIT, Reason.TAG_MOVED, Reason.CONTENT_CHANGED})
"""Reasons of `Stalled` that a sync reports. A sync also has to see that they end, once Git is where it was."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A revision in Git and its object."""

    found: Discovered
    existing: Existing


@dataclass
class Work:
    """The work of a sync; all lists of objects are empty where Git and objects agree."""

    names: dict[str, Discovered] = field(default_factory=dict)
    """Every revision that has an object or gets one."""
    latest: dict[str, str] = field(default_factory=dict)
    """Name of the object with the newest published revision, by package."""
    create: list[Discovered] = field(default_factory=list)
    """Revisions without an object."""
    finish: list[Pair] = field(default_factory=list)
    """Objects of an interrupted sync, without status."""
    disown: list[Existing] = field(default_factory=list)
    """Objects that only claim to be of an interrupted sync: a user made them, or edited them since."""
    own: list[Pair] = field(default_factory=list)
    """Objects without the label, owner or finalizer of the Repository, or with a wrong label of the latest revision or
    wrong labels of the Kptfile.
    """
    relock: list[Pair] = field(default_factory=list)
    """Packages on the branch whose lock may be of older content."""
    deployment: list[Pair] = field(default_factory=list)
    """Objects whose `status.deployment` differs from their Repository's `spec.deployment`."""
    drifted: list[Pair] = field(default_factory=list)
    """Objects that differ from Git. The drift check reads them again, because work may be under way."""
    gone: list[Existing] = field(default_factory=list)
    """Objects that Git no longer holds, for the drift check as well."""
    problems: list[str] = field(default_factory=list)
    """Revisions that get no object, with the reason of each."""


def compare(repository: RepositoryAccess, found: Iterable[Discovered], existing: Mapping[str, Existing]) -> Work:
    """Compare revisions in Git with objects.

    Args:
        repository: The Repository of both.
        found: What Git holds.
        existing: The objects by name, listed before Git was read, so that a revision deleted meanwhile gets no object.
    """
    work = Work()
    by_tag = {each.lock_ref: each.workspace for each in existing.values() if each.revision > 0}
    for revision in found:
        # A tag belongs to its object even if it was moved to a commit whose message names another workspace or none.
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
    """Whether an object without status asks for exactly the revision in Git, so that a sync can report it as Ready."""
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
    """Return the name of the object with the newest published revision, by package.

    Objects count too: a revision may have been published after Git was read.
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
    if not current.owned or current.latest != label or _hides_labels(current):
        work.own.append(pair)
    if current.deployment != repository.deployment and current.lock_commit:
        work.deployment.append(pair)
    if not current.lock_commit:
        # Its source is being executed, and nothing is reported yet that could differ from Git.
        return
    if found.revision == UNNUMBERED and found.ref == current.lock_ref == repository.branch:
        if found.commit != current.lock_commit:
            work.relock.append(pair)
        if found.lifecycle.value != current.lifecycle:
            work.drifted.append(pair)
    elif _differs(pair) or current.stalled in _TOLD_BY_SYNCS:
        work.drifted.append(pair)


def _hides_labels(current: Existing) -> bool:
    """Whether a published object does not show the labels of its Kptfile. Those of a draft follow its renderings."""
    return current.lifecycle in {Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED} and not current.shows_labels


def _differs(pair: Pair) -> bool:
    found, current = pair.found, pair.existing
    return (found.lifecycle.value, found.ref, found.commit) != (
        current.lifecycle,
        current.lock_ref,
        current.lock_commit,
    )


def places(repository: RepositoryAccess, pairs: Iterable[Pair]) -> list[tuple[str, str, str]]:
    """Return locked commit, directory and tree in Git of packages on the branch: the input of `same_content`."""
    return [(pair.existing.lock_commit, path_of(repository, pair.found.package), pair.found.tree) for pair in pairs]
