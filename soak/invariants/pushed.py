"""Pushed content: what Git or the content API has accepted is in the history and the tree of its revision."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from porchflow.devstack.demo.demo_repository import git
from soak.findings import Violation
from soak.invariants.branches import has_content, refs_for, refs_of
from soak.invariants.history import BRANCH
from soak.invariants.objects import Objects
from soak.ledger import Promise
from soak.places import Key
from soak.work.pushes import LABEL, NOTES, contains, note_path


def check_pushed(bare: Path, promises: Iterable[Promise], objects: Objects) -> list[Violation]:
    """Return what is lost in a Git repository once everything has settled."""
    refs = refs_of(bare)
    found: list[Violation] = []
    for promise in promises:
        obj = objects.get((promise.key.namespace, promise.key.name))
        if obj is None or promise.abandoned or not has_content(promise, obj):
            continue
        ref = refs_for(promise.key, obj)[0]
        if ref in refs:
            found += _lost(bare, ref, promise)
            found += _unrendered(bare, ref, promise.key)
    return found


def check_commits(bare: Path, commits: Iterable[str]) -> list[Violation]:
    """Return violations for people's commits that the branch of published packages has lost."""
    return [
        Violation("pushes", bare.name, f"the commit {commit} was accepted, and is not in the history of {BRANCH}")
        for commit in commits
        if not contains(bare, BRANCH, commit)
    ]


def _lost(bare: Path, ref: str, promise: Promise) -> Iterator[Violation]:
    path, of = promise.key.path, str(promise.key)
    for commit in promise.pushed:
        if not contains(bare, ref, commit):
            yield Violation("pushes", of, f"the commit {commit} was accepted, and is not in the history of {ref}")
    files = git("ls-tree", "-r", "--name-only", ref, f"{path}/", cwd=bare).splitlines()
    for token in promise.tokens:
        if f"{path}/{note_path(token)}" not in files:
            yield Violation("pushes", of, f"{note_path(token)} was pushed, and is not in the tree of {ref}")
    labels = _labels(_yaml(bare, ref, f"{path}/Kptfile"))
    for token in promise.labels:
        if token not in labels:
            yield Violation("labels", of, f"the label {token} was set in the spec, and is not in the Kptfile of {ref}")


def _unrendered(bare: Path, ref: str, key: Key) -> Iterator[Violation]:
    """Yield violations for notes without the label that the package's pipeline sets."""
    if not _yaml(bare, ref, f"{key.path}/Kptfile").get("pipeline"):
        return
    for file in git("ls-tree", "-r", "--name-only", ref, f"{key.path}/{NOTES}/", cwd=bare).splitlines():
        if not LABEL.items() <= _labels(_yaml(bare, ref, file)).items():
            yield Violation("rendered", str(key), f"the pipeline sets labels, and {file} of {ref} has none")


def _yaml(bare: Path, ref: str, path: str) -> dict[str, Any]:
    loaded = yaml.safe_load(git("show", f"{ref}:{path}", cwd=bare))
    return loaded if isinstance(loaded, dict) else {}


def _labels(resource: dict[str, Any]) -> dict[str, str]:
    return (resource.get("metadata") or {}).get("labels") or {}
