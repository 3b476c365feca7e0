"""The object that a phase works on, with its Repository and the location of its package."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.names import object_name
from porchflow.api.work.needs import Facts, facts_of
from porchflow.gitrepo.refs import PackageLocation
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Stalled


@dataclass
class Target:
    """The object that a phase works on, with its Repository and the location of its package."""

    obj: dict[str, Any]
    """The raw object as last read. Only the announcement of a rendering replaces it."""
    repository: RepositoryAccess
    location: PackageLocation
    _typed: tuple[dict[str, Any], PackageRevision] | None = field(default=None, init=False, repr=False)

    @property
    def revision(self) -> PackageRevision:
        """The object, typed."""
        if self._typed is None or self._typed[0] is not self.obj:
            self._typed = self.obj, PackageRevision.model_validate(self.obj)
        return self._typed[1]

    @property
    def facts(self) -> Facts:
        """The facts of the object, as `plan` decides on them."""
        return facts_of(self.obj, datetime.now(UTC), access_changed=True)

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def annotations(self) -> dict[str, str]:
        """The object's annotations."""
        annotations: dict[str, str] = self.obj["metadata"].get("annotations") or {}
        return annotations


def check_spec(name: str, repository: str, package: str, workspace: str) -> None:
    """Refuse an object whose name is not made of its repository, package and workspace.

    Raises:
        Stalled: One of the three is empty, or the name is another.
    """
    missing = [
        field
        for field, value in (("repository", repository), ("packageName", package), ("workspaceName", workspace))
        if not value
    ]
    if missing:
        raise Stalled(Reason.INVALID_SPEC, f"spec.{missing[0]} is empty; set it to say which package this object means")
    wanted = object_name(repository, package, workspace)
    if name != wanted:
        raise Stalled(
            Reason.INVALID_SPEC,
            f"the object's name must say what it is: {name!r} has to be {wanted!r} (repository.package.workspace);"
            " create it under that name and delete this one",
        )
