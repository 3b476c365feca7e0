"""What a package revision was made from, and which ones depend on it, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from porchflow.api.dependents import Dependency, Dependent, dependencies_of, dependents_of, means, package_of
from porchflow.api.git_address import without_secrets
from porchflow.cli.revisions.named_revision import read_named
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS

_HERE = "."
"""Stands for the package itself, as its path."""


@dataclass(frozen=True)
class Dependencies:
    """The upstreams of a package revision, and its dependents."""

    name: str
    upstreams: list[tuple[Dependency, str]]
    """Each with the name of its object; empty where the namespace has none."""
    dependents: list[Dependent]
    truncated: bool
    """Whether its status leaves out upstreams."""
    unknown: list[str]
    """Names of others whose status leaves out upstreams: they may be dependents."""


async def read_dependencies(kube: KubeClient, namespace: str, name: str) -> Dependencies:
    """Read all PackageRevisions of a namespace, and find how one of them hangs together with the others.

    Raises:
        NoSuchRevisionError: There is no such object.
        KubeError: The API server cannot be reached or refuses.
    """
    obj = await read_named(kube, namespace, name)
    others = [each async for each in kube.list_all(PACKAGEREVISIONS, namespace)]
    dependents = dependents_of(obj, others)
    known = {each.name for each in dependents}
    return Dependencies(
        name=obj["metadata"]["name"],
        upstreams=[(each, _object_of(each, others)) for each in dependencies_of(obj)],
        dependents=dependents,
        truncated=_is_truncated(obj),
        unknown=sorted(
            each["metadata"]["name"]
            for each in others
            if _is_truncated(each) and each["metadata"]["name"] not in known and package_of(each) != package_of(obj)
        ),
    )


def upstream_lines(found: Dependencies) -> list[str]:
    """Return a table of the upstreams."""
    if not found.upstreams:
        return [f"{found.name} was not made from another package"]
    rows = [("PATH", "UPSTREAM", "REF", "COMMIT"), *(_row(each, name) for each, name in found.upstreams)]
    more = ["and more: its status lists the first 100 subpackages"] if found.truncated else []
    return [*_aligned(rows), *more]


def dependent_lines(found: Dependencies) -> list[str]:
    """Return a table of the dependents."""
    rows = [
        ("NAME", "PATH", "LIFECYCLE"),
        *((each.name, each.path or _HERE, each.lifecycle) for each in found.dependents),
    ]
    lines = _aligned(rows) if found.dependents else [f"nothing depends on {found.name}"]
    return [*lines, *(f"perhaps {name}: its status leaves out subpackages" for name in found.unknown)]


def _object_of(dependency: Dependency, others: Sequence[Object]) -> str:
    if dependency.name:
        return dependency.name
    return next((str(each["metadata"]["name"]) for each in others if means(dependency, each)), "")


def _row(each: Dependency, name: str) -> tuple[str, str, str, str]:
    where = f"{without_secrets(each.repo)} {each.directory}".strip()
    return each.path or _HERE, name or where, each.ref, each.commit[:12]


def _is_truncated(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("dependencyTruncated"))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
