"""The strategy resource-merge: packages and subpackages, resources, and files that are no resources."""

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from posixpath import basename, dirname

from porchflow.kpt.format.files import KPTFILE, Files, is_krm, join
from porchflow.kpt.format.krm import map_of
from porchflow.kpt.format.krmignore import KRMIGNORE, ignored
from porchflow.kpt.merge.documents import merge_single, single, whole
from porchflow.kpt.merge.kptfile_merge import merge_kptfiles
from porchflow.kpt.merge.merge_result import Conflict, Kept, UpdateOutcome, in_order
from porchflow.kpt.merge.replacing import change, differs
from porchflow.kpt.merge.resource_merge import ResourceMerge
from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.sides import LOCAL, OLD_UPSTREAM, Sides
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.nodes import Value


def resource_merge(sides: Sides) -> UpdateOutcome:
    """Merge each subpackage, resource and field on its own.

    Raises:
        InvalidPackage: See `porchflow.kpt.merge.update.update_package`.
    """
    work = _PackageMerge(sides, Schemas(sides))
    work.run()
    return UpdateOutcome(work.files, in_order(work.conflicts))


@dataclass
class _PackageMerge:
    sides: Sides
    schemas: Schemas
    files: dict[str, bytes] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def run(self) -> None:
        owned = self._owned()
        settled: set[str] = set()
        for directory in sorted(owned):
            if _is_below(directory, settled):
                continue
            if directory and self._settled_whole(directory):
                settled.add(directory)
            else:
                self._package(directory, owned[directory])

    def _owned(self) -> dict[str, list[str]]:
        """Paths by the package they belong to; a directory is a package if any side has a Kptfile there."""
        paths = self.sides.paths()
        owned: dict[str, list[str]] = {"": []}
        owned.update({dirname(path): [] for path in paths if basename(path) == KPTFILE})
        for path in paths:
            directory = dirname(path)
            while directory not in owned:
                directory = dirname(directory)
            owned[directory].append(path)
        return owned

    # Subpackages as a whole

    def _settled_whole(self, directory: str) -> bool:
        """Decide about a subpackage as a whole, where one side does not have it or has another one there."""
        below = self.sides.below(directory)
        kptfile = join(directory, KPTFILE)
        if not below.base:
            self._check_added_once(directory, below)
            return False
        if kptfile not in below.base:
            return False
        if not below.local:
            if below.upstream and self._changed(below.base, below.upstream):
                self.conflicts.append(whole(directory, "deleted", "changed", Kept.LOCAL))
            return True
        if not below.upstream:
            if self._changed(below.base, below.local):
                self.conflicts.append(whole(directory, "changed", "deleted", Kept.LOCAL))
                self.files.update(below.local)
            return True
        return self._from_elsewhere(kptfile, below)

    def _check_added_once(self, directory: str, below: Sides) -> None:
        kptfile = join(directory, KPTFILE)
        if kptfile in below.upstream and kptfile in below.local and below.upstream != below.local:
            reason = "the subpackage was added in both the new upstream and the local package, with different content"
            raise InvalidPackage(directory, reason, "move the local one to another directory, or make both the same")

    def _from_elsewhere(self, kptfile: str, below: Sides) -> bool:
        """Keep a subpackage that the local package took from another upstream than the old upstream did."""
        base, local = below.base.get(kptfile), below.local.get(kptfile)
        if base is None or local is None or base == local or b"upstream" not in local:
            return False
        ours, old = (_upstream_of(name, kptfile, file) for name, file in ((LOCAL, local), (OLD_UPSTREAM, base)))
        if not ours or ours == old:
            return False
        if self._changed(below.base, below.upstream):
            self.conflicts.append(whole(dirname(kptfile), "taken from another upstream", "changed", Kept.LOCAL))
        self.files.update(below.local)
        return True

    def _changed(self, base: Files, other: Files) -> bool:
        return any(differs(path, base.get(path), other.get(path)) for path in {*base, *other})

    # One package

    def _package(self, directory: str, paths: list[str]) -> None:
        skip = self._ignored(directory)
        documents = []
        for path in paths:
            base, upstream, local = self.sides.of(path)
            if local is not None and base == upstream:
                self.files[path] = local
            if path == KPTFILE:
                self._own_kptfile(base, upstream, local)
            elif is_krm(path) and not skip(path):
                documents.append(path)
            elif base != upstream:
                self._opaque(path, base, upstream, local)
        merge = ResourceMerge(self.sides, self.schemas)
        merge.run(documents)
        self.conflicts += merge.conflicts
        for path, content in merge.files.items():
            if content is None:
                self.files.pop(path, None)
            else:
                self.files[path] = content

    def _ignored(self, directory: str) -> Callable[[str], bool]:
        """Return a test for paths that the package ignores (`.krmignore`), so that they are none of its resources."""
        path = join(directory, KRMIGNORE)
        content = next((side for side in reversed(self.sides.of(path)) if side is not None), None)
        if content is None:
            return lambda _: False
        matches = ignored(content.decode(errors="replace"), path)
        return lambda path: matches(path[len(directory) + 1 :] if directory else path)

    def _own_kptfile(self, base: bytes | None, upstream: bytes | None, local: bytes | None) -> None:
        """Merge the Kptfile of the package itself: it is never removed, and keeps the package's own fields."""
        if local is None or upstream in (None, base, local):
            content = upstream if local is None else local
            if content is not None:
                self.files[KPTFILE] = content
            return
        assert upstream is not None  # noqa: S101 - the line above says so
        self.files[KPTFILE], conflicts = merge_single(
            KPTFILE, base, upstream, local, lambda *three: merge_kptfiles(*three, take_upstream=False)
        )
        self.conflicts += conflicts

    def _opaque(self, path: str, base: bytes | None, upstream: bytes | None, local: bytes | None) -> None:
        """Take or leave a file without resources as a whole, where upstream changed it."""
        if local in (base, upstream):
            if upstream is not None:
                self.files[path] = local if local == upstream else upstream
            return
        self.conflicts.append(whole(path, change(base, local), change(base, upstream), Kept.LOCAL))
        if local is not None:
            self.files[path] = local


def _is_below(directory: str, others: Container[str]) -> bool:
    while directory:
        directory = dirname(directory)
        if directory in others:
            return True
    return False


def _upstream_of(side: str, path: str, content: bytes) -> dict[str, Value]:
    """Return the upstream that a Kptfile names; nothing if it cannot be read."""
    try:
        return map_of(single(side, path, content).documents[0].value, "upstream", "git")
    except InvalidPackage:
        return {}
