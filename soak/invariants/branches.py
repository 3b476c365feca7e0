"""Branches and tags: Git has those of each object's lifecycle, and no others.

Source: docs/reference/porch-git-layout.md, "Branches and tags".
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.devstack.demo.demo_repository import git
from porchflow.kube.client import Object
from soak.findings import Violation
from soak.invariants.objects import Objects
from soak.ledger import Promise
from soak.places import Key

_OURS = ("refs/heads/drafts", "refs/heads/proposed", "refs/heads/deletionProposed", "refs/tags")


def refs_of(bare: Path, *patterns: str) -> dict[str, str]:
    """Return the commits of the refs on disk, by full name."""
    lines = git("for-each-ref", "--format=%(refname) %(objectname)", *patterns, cwd=bare).splitlines()
    return dict(line.split(" ", 1) for line in lines)


def refs_for(key: Key, obj: Object) -> list[str]:
    """Return the refs that an object has as it says; the first is the one of its content."""
    number = int((obj.get("status") or {}).get("revision") or 0)
    match obj["spec"].get("lifecycle"):
        case Lifecycle.DRAFT:
            return [key.draft]
        case Lifecycle.PROPOSED:
            return [key.proposal]
        case Lifecycle.PUBLISHED:
            return [key.tag(number)]
    return [key.tag(number), key.mark(number)]


def has_content(promise: Promise, obj: Object) -> bool:
    """Return whether Git must have an object's content: not while its source is refused, or waits for good."""
    return not promise.stalled and bool(not promise.abandoned or (obj.get("status") or {}).get("selfLock"))


def check_refs(bare: Path, promises: Iterable[Promise], objects: Objects) -> list[Violation]:
    """Return what is violated in a Git repository once everything has settled.

    Args:
        bare: The repository.
        promises: Of all objects that are in it.
        objects: All that there are.
    """
    actual, wanted, found = refs_of(bare, *_OURS), set[str](), list[Violation]()
    for promise in promises:
        obj = objects.get((promise.key.namespace, promise.key.name))
        if obj is not None and has_content(promise, obj):
            refs = refs_for(promise.key, obj)
            wanted.update(refs)
            found += _wrong(promise.key, obj, refs, actual)
    extra = (Violation("refs", f"{bare.name} {ref}", "no object has it") for ref in sorted(actual.keys() - wanted))
    return [*found, *extra]


def _wrong(key: Key, obj: Object, refs: Iterable[str], actual: Mapping[str, str]) -> list[Violation]:
    missing = [ref for ref in refs if ref not in actual]
    if missing:
        return [Violation("refs", str(key), f"Git must have {ref}, and has not") for ref in missing]
    said = (((obj.get("status") or {}).get("selfLock") or {}).get("git") or {}).get("commit")
    content = next(iter(refs))
    if said == actual[content]:
        return []
    return [Violation("refs", str(key), f"its status must name {content} at {actual[content]}, and names {said}")]
