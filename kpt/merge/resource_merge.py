"""Three-way merge of the resources of one package.

Source: docs/reference/kpt-merge.md, "Resources".
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from posixpath import basename
from typing import Final

from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.node_budget import NodeBudget
from porchflow.kpt.format.resources import Origin, Resource, write_files
from porchflow.kpt.merge.documents import (
    AT_THE_BEGINNING,
    ParsedFile,
    beginning_of,
    check_single,
    conflicts_of,
    parse_file,
    resource_name,
    whole,
    with_beginning,
)
from porchflow.kpt.merge.kptfile_merge import merge_kptfiles
from porchflow.kpt.merge.matching import Item, Pairs, items_of, pair
from porchflow.kpt.merge.merge_result import Conflict, Kept, shown
from porchflow.kpt.merge.resource_identity import unchanged
from porchflow.kpt.merge.schema import Schemas
from porchflow.kpt.merge.sides import LOCAL, NEW_UPSTREAM, OLD_UPSTREAM, Sides, naming_side
from porchflow.kpt.merge.text import merge_documents
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document

_MOST_SEARCHED: Final = 20
"""Names that are searched in the bytes of a file; for more of them it is faster to parse it."""


@dataclass(frozen=True)
class _Side:
    """One side of the files that take part."""

    files: dict[str, ParsedFile] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    by_path: dict[str, list[Item]] = field(default_factory=dict)

    def add(self, path: str, parsed: ParsedFile) -> None:
        self.files[path] = parsed
        self.by_path[path] = items_of(path, parsed)
        self.items.extend(self.by_path[path])

    def at(self, path: str) -> list[Item]:
        """Return its documents in one file, in order."""
        return self.by_path.get(path, [])


@dataclass(frozen=True)
class _Placed:
    """A document of the result with its origin."""

    document: Document
    local: Item | None
    upstream: Item | None


@dataclass
class ResourceMerge:
    """Merges the documents of the YAML and JSON files of one package.

    Attributes:
        files: The result so far: content by path, None for a file that is removed.
        conflicts: The conflicts so far.
        budget: Counts the nodes of the documents that are merged.
    """

    sides: Sides
    schemas: Schemas
    files: dict[str, bytes | None] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    budget: NodeBudget = field(default_factory=NodeBudget)

    def run(self, paths: Iterable[str]) -> None:
        """Merge the files at these paths.

        Raises:
            InvalidPackage: A file that must be merged cannot be read; a resource is in a file twice.
        """
        changed_upstream, others = [], []
        for path in paths:
            base, upstream, local = self.sides.of(path)
            if base == upstream:
                self.files[path] = local
                if base != local:
                    others.append(path)
            else:
                changed_upstream.append(path)
        parsed = [files for path in changed_upstream if (files := self._read(path)) is not None]
        if not parsed:
            return
        links = _Links(*_sides(parsed))
        names = links.missing_names()
        moved = [path for path in others if self._may_hold(path, names)]
        if moved:
            # A resource that upstream changed may be in a file that only the local package changed.
            parsed += [files for path in moved if (files := self._read_leniently(path)) is not None]
            links = _Links(*_sides(parsed))
        self._merge(links)

    # Reading

    def _read(self, path: str) -> "_Versions | None":
        """Return the three versions of a file; None for one that was settled without reading it."""
        versions = self._read_leniently(path)
        if versions is not None:
            return versions
        base, upstream, local = self.sides.of(path)
        if base == local:
            self.files[path] = upstream
        elif upstream == local:
            self.files[path] = local
        else:
            self._parsed(path)
        return None

    def _read_leniently(self, path: str) -> "_Versions | None":
        try:
            return self._parsed(path)
        except InvalidPackage:
            return None

    def _parsed(self, path: str) -> "_Versions":
        versions = _Versions(path)
        names = (OLD_UPSTREAM, NEW_UPSTREAM, LOCAL)
        cache: dict[bytes, ParsedFile] = {}
        for index, (name, content) in enumerate(zip(names, self.sides.of(path), strict=True)):
            if content is not None:
                if content not in cache:
                    cache[content] = parse_file(name, path, content)
                    self._count(name, path, cache[content])
                    _check(name, path, cache[content])
                versions.files[index] = cache[content]
        return versions

    def _count(self, side: str, path: str, parsed: ParsedFile) -> None:
        with naming_side(side, path):
            for document in parsed.documents:
                self.budget.take(document)

    def _may_hold(self, path: str, names: set[bytes]) -> bool:
        content = self.sides.local.get(path, b"")
        return len(names) > _MOST_SEARCHED or any(name in content for name in names)

    # Merging

    def _merge(self, links: "_Links") -> None:
        result: dict[str, list[_Placed]] = {path: [] for path in links.paths}
        for base, upstream, local in links.triples():
            placed = self._resource(base, upstream, local)
            if placed is not None:
                result[self._place(base, upstream, local)].append(placed)
        for path, documents in result.items():
            self.files[path] = self._with_beginning(path, self._file(path, documents, links), links)

    def _resource(self, base: Item | None, upstream: Item | None, local: Item | None) -> _Placed | None:
        if upstream is not None and local is not None:
            return _Placed(self._merged(base, upstream, local), local, upstream)
        if base is None:
            only = upstream or local
            return _Placed(only.document, local, upstream) if only is not None else None
        if local is not None:
            return self._deleted_upstream(base, local)
        if upstream is not None and not unchanged(base.document, upstream.document):
            name = resource_name(base.document)
            self.conflicts.append(whole(base.path, "deleted", "changed", Kept.LOCAL, name))
        return None

    def _deleted_upstream(self, base: Item, local: Item) -> _Placed | None:
        if unchanged(base.document, local.document):
            return None
        name = resource_name(local.document)
        self.conflicts.append(whole(local.path, "changed", "deleted", Kept.LOCAL, name))
        return _Placed(local.document, local, None)

    def _merged(self, base: Item | None, upstream: Item, local: Item) -> Document:
        old = base.document if base is not None else None
        with naming_side(LOCAL, local.path):
            if basename(local.path) == KPTFILE:
                document, clashes = merge_kptfiles(old, upstream.document, local.document, take_upstream=True)
            else:
                shape = self.schemas.shape_of(local.document.value)
                document, clashes = merge_documents(old, upstream.document, local.document, shape)
        self.conflicts += conflicts_of(self._place(base, upstream, local), local.document, clashes)
        return document

    def _place(self, base: Item | None, upstream: Item | None, local: Item | None) -> str:
        """Return the file of a resource: a move on either side counts; of two different moves the local one."""
        if local is None or upstream is None:
            return (local or upstream or base).path  # type: ignore[union-attr]  # one of them is there
        if base is not None and local.path == base.path:
            return upstream.path
        return local.path

    # Writing

    def _with_beginning(self, path: str, content: bytes | None, links: "_Links") -> bytes | None:
        """Return a merged file with the comments before its first `---` merged too."""
        sides = [side.files.get(path) for side in (links.base, links.upstream, links.local)]
        base, upstream, local = (beginning_of(side) if side is not None else None for side in sides)
        if content is None or None in (upstream, local) or upstream in (base or "", local):
            return content
        if content is self.sides.upstream.get(path):
            return content
        if local != (base or ""):
            values = shown(local, upstream)
            self.conflicts.append(Conflict(path, "", AT_THE_BEGINNING, *values, Kept.LOCAL))
            return content
        return with_beginning(content, str(local), str(upstream))

    def _file(self, path: str, placed: list[_Placed], links: "_Links") -> bytes | None:
        base, upstream, local = self.sides.of(path)
        theirs = links.upstream.at(path)
        ordered = _ordered(path, placed, theirs)
        texts = [one.document.text for one in ordered]
        if (local is None or local == base) and texts == [item.document.text for item in theirs]:
            return local if local == upstream else upstream
        ours = links.local.at(path)
        if texts == [item.document.text for item in ours] and all(one.local is not None for one in ordered):
            return local
        skeleton, own = (links.local, "local") if local is not None else (links.upstream, "upstream")
        resources = [
            Resource("", path, index, _with_newlines(one.document, local), _origin(getattr(one, own), path))
            for index, one in enumerate(ordered)
        ]
        content = local if local is not None else upstream
        known = {path: skeleton.files[path].source} if path in skeleton.files and content is not None else {}
        return write_files({path: content} if content is not None else {}, known, resources).get(path)


@dataclass
class _Versions:
    path: str
    files: list[ParsedFile | None] = field(default_factory=lambda: [None, None, None])


class _Links:
    """The documents of the files that take part, and their matches."""

    def __init__(self, base: _Side, upstream: _Side, local: _Side) -> None:
        self.base, self.upstream, self.local = base, upstream, local
        self._to_upstream: Pairs = pair(base.items, upstream.items)
        self._to_local: Pairs = pair(base.items, local.items)
        known = {*self._to_upstream.values()}, {*self._to_local.values()}
        self._new_upstream = [item for item in upstream.items if item not in known[0]]
        self._new_local = [item for item in local.items if item not in known[1]]
        self._added_twice = pair(self._new_upstream, self._new_local, guess=False)

    @property
    def paths(self) -> list[str]:
        """Every file that takes part, sorted."""
        return sorted({*self.base.files, *self.upstream.files, *self.local.files})

    def missing_names(self) -> set[bytes]:
        """Return the names of resources that the local package lacks, except in files that take part already."""
        missing = [item for item in self.base.items if item not in self._to_local]
        missing += [item for item in self._new_upstream if item not in self._added_twice]
        return {item.identity.name.encode() for item in missing if item.is_resource}

    def triples(self) -> Iterable[tuple[Item | None, Item | None, Item | None]]:
        """Yield each resource as base, upstream and local have it."""
        for item in self.base.items:
            yield item, self._to_upstream.get(item), self._to_local.get(item)
        for item in self._new_upstream:
            yield None, item, self._added_twice.get(item)
        taken = set(self._added_twice.values())
        for item in self._new_local:
            if item not in taken:
                yield None, None, item


def _sides(versions: Sequence[_Versions]) -> tuple[_Side, _Side, _Side]:
    sides = (_Side(), _Side(), _Side())
    for version in sorted(versions, key=lambda one: one.path):
        for side, parsed in zip(sides, version.files, strict=True):
            if parsed is not None:
                side.add(version.path, parsed)
    return sides


def _check(side: str, path: str, parsed: ParsedFile) -> None:
    """Refuse a file with a resource twice, because a change could belong to either; or a bad Kptfile."""
    if basename(path) == KPTFILE:
        check_single(side, path, parsed)
    seen: dict[object, int] = {}
    for item in items_of(path, parsed):
        line = parsed.source.parts[item.part].line + 1
        if item.identity in seen:
            name = resource_name(item.document)
            reason = f"in the {side}: {name} is there twice, from line {seen[item.identity]} and {line}"
            hint = "remove or rename one of them; a `kpt-merge` comment counts as the name"
            raise InvalidPackage(path, reason, hint)
        seen[item.identity] = line


def _ordered(path: str, placed: list[_Placed], theirs: list[Item]) -> list[_Placed]:
    """Return documents in local order; others before their next upstream neighbour that exists, else at the end."""
    ours = sorted((one for one in placed if _is_at(one.local, path)), key=lambda one: one.local.position)  # type: ignore[union-attr]
    here = {one.upstream: one for one in placed if one.upstream is not None}
    before: dict[int, list[_Placed]] = defaultdict(list)
    waiting: list[_Placed] = []
    own = {id(one) for one in ours}
    rest = [one for one in placed if id(one) not in own and not _is_at(one.upstream, path)]
    for item in theirs:
        one = here.get(item)
        if one is not None and id(one) in own:
            before[id(one)] += waiting
            waiting = []
        elif one is not None:
            waiting.append(one)
    return [*(each for one in ours for each in (*before[id(one)], one)), *waiting, *rest]


def _is_at(item: Item | None, path: str) -> bool:
    return item is not None and item.path == path


def _origin(item: Item | None, path: str) -> Origin | None:
    return Origin(path, item.part) if item is not None and item.path == path else None


def _with_newlines(document: Document, local: bytes | None) -> Document:
    """Return the document with the line ends of the file that it joins."""
    if local is None or b"\r\n" not in local or "\r" in document.text:
        return document
    return Document(document.text.replace("\n", "\r\n"))
