"""Package revisions that others were made from: who depends on whom, by what objects report. Pure.

A dependent holds content of another package in its root or in a subpackage, or asks for it. Copies of the same package
are no dependents. Neither is a published revision of which the package has a later one: nobody upgrades it any more.

Source: docs/reference/porch-api.md, "Dependents".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from porchflow.api.git_address import place_of
from porchflow.api.names import LATEST_REVISION_LABEL
from porchflow.api.work.subpackage import unmade

_Raw = Mapping[str, Any]

_TOLD = 10


@dataclass(frozen=True, order=True)
class Dependency:
    """One upstream of a package revision."""

    path: str
    """The subpackage; empty for the package itself, or for content that is still to be made."""
    repo: str = ""
    directory: str = ""
    ref: str = ""
    commit: str = ""
    name: str = ""
    """The PackageRevision that content is to be made from; empty for what was made."""


@dataclass(frozen=True, order=True)
class Dependent:
    """A package revision that depends on another one."""

    name: str
    path: str
    """The subpackage with the content; empty for the package itself, or for content that is still to be made."""
    lifecycle: str


def upstream_key(git: _Raw) -> str:
    """Return the key of a raw place in Git, as Porch writes it: repository, directory and ref, without the commit."""
    return "|".join(str(git.get(part) or "") for part in ("repo", "directory", "ref"))


def dependencies_of(obj: _Raw) -> list[Dependency]:
    """Return the upstreams of a raw PackageRevision: of what its status reports, and of what is still to be made."""
    status = obj.get("status") or {}
    places = [("", status.get("upstreamLock")), *_subpackages(status)]
    made = [_dependency(path, (place or {}).get("git") or {}) for path, place in places]
    wanted = [
        Dependency(str(asked.get("subpackageDir") or ""), name=name) for asked in unmade(obj) for name in _names(asked)
    ]
    return sorted({*(each for each in made if each.repo), *wanted})


@dataclass(frozen=True)
class _Entry:
    dependency: Dependency
    dependent: Dependent
    package: tuple[str, str]
    published: bool
    """Published, and not the latest revision of its package."""


class DependentIndex:
    """Dependents of all package revisions of a namespace. It holds nothing of those that depend on none."""

    def __init__(self) -> None:
        self._latest: set[tuple[str, str]] = set()
        self._by_name: dict[str, list[_Entry]] = {}
        self._by_ref: dict[str, list[_Entry]] = {}

    def add(self, obj: _Raw) -> None:
        """Add a raw PackageRevision of the namespace."""
        package, latest = package_of(obj), _is_latest(obj)
        if latest:
            self._latest.add(package)
        published = bool((obj.get("status") or {}).get("revision")) and not latest
        lifecycle = str((obj.get("spec") or {}).get("lifecycle") or "")
        for each in dependencies_of(obj):
            dependent = Dependent(obj["metadata"]["name"], each.path, lifecycle)
            entry = _Entry(each, dependent, package, published)
            key, entries = (each.name, self._by_name) if each.name else (each.ref, self._by_ref)
            entries.setdefault(key, []).append(entry)

    def of(self, obj: _Raw) -> list[Dependent]:
        """Return the package revisions that depend on a raw PackageRevision."""
        own = ((obj.get("status") or {}).get("selfLock") or {}).get("git") or {}
        named = self._by_name.get(obj["metadata"]["name"], [])
        return sorted(
            {
                each.dependent
                for each in (*named, *self._by_ref.get(str(own.get("ref") or ""), []))
                if each.package != package_of(obj)
                and not (each.published and each.package in self._latest)
                and means(each.dependency, obj)
            }
        )


def dependents_of(obj: _Raw, others: Iterable[_Raw]) -> list[Dependent]:
    """Return the package revisions that depend on a raw PackageRevision.

    Args:
        obj: The upstream.
        others: All PackageRevisions of its namespace, raw.
    """
    index = DependentIndex()
    for each in others:
        index.add(each)
    return index.of(obj)


def means(dependency: Dependency, obj: _Raw) -> bool:
    """Whether an upstream is a raw PackageRevision."""
    if dependency.name:
        return bool(dependency.name == obj["metadata"]["name"])
    own = ((obj.get("status") or {}).get("selfLock") or {}).get("git") or {}
    ref = str(own.get("ref") or "")
    if not ref or ref != dependency.ref or place_of(str(own.get("repo"))) != place_of(dependency.repo):
        return False
    directory = dependency.directory.strip("/")
    # Porch writes the directory without that of the Repository. The tag has both.
    return str(own.get("directory") or "").strip("/") == directory or ref.rpartition("/")[0] == directory != ""


def package_of(obj: _Raw) -> tuple[str, str]:
    """Return repository and package of a raw PackageRevision: the same for all its revisions."""
    spec = obj.get("spec") or {}
    return str(spec.get("repository") or ""), str(spec.get("packageName") or "").strip("/")


def told_dependents(dependents: Sequence[Dependent]) -> str:
    """Return the names of dependents for a message; of many the first ones, and how many more there are."""
    names = list(dict.fromkeys(each.name for each in dependents))
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def _subpackages(status: _Raw) -> Iterator[tuple[str, _Raw | None]]:
    for each in status.get("subpackageUpstreams") or []:
        yield str(each.get("path") or ""), each.get("upstream")


def _dependency(path: str, git: _Raw) -> Dependency:
    return Dependency(path, *(str(git.get(part) or "") for part in ("repo", "directory", "ref", "commit")))


def _names(asked: _Raw) -> Iterator[str]:
    """Yield the package revisions that content is to be made from; the package itself is none of them."""
    clone, upgrade = asked.get("cloneFrom") or {}, asked.get("upgrade") or {}
    for reference in (clone.get("upstreamRef"), upgrade.get("oldUpstream"), upgrade.get("newUpstream")):
        if reference and reference.get("name"):
            yield str(reference["name"])


def _is_latest(obj: _Raw) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return labels.get(LATEST_REVISION_LABEL) == "true" and "deletionTimestamp" not in obj["metadata"]
