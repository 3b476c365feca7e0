"""Files to Kubernetes resources and back; a document that no function changed keeps every byte.

Source: docs/reference/kpt-rendering.md, "Files that are read".
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import basename

from porchflow.kpt.format.files import Files, PackageDir, decode, is_krm, join
from porchflow.kpt.format.krm import krm_problem
from porchflow.kpt.format.krmignore import KRMIGNORE, ignored
from porchflow.kpt.format.node_budget import NodeBudget
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import Value
from porchflow.yamltext.split import Part, split
from porchflow.yamltext.split import join as join_parts
from porchflow.yamltext.yaml_error import YamlError

_BOM = "\ufeff"


@dataclass(frozen=True)
class Origin:
    """Source of a resource.

    Attributes:
        path: Path of its file, relative to the root of the file map.
        part: Number of its part in the file, from 0.
    """

    path: str
    part: int


LAST = 1_000_000_000
"""Index behind all documents of a file: kpt's place for a resource without an index."""


@dataclass(frozen=True)
class Resource:
    """One Kubernetes resource of a package.

    Attributes:
        package: Directory of its package, relative to the root of the file map.
        path: Path of its file, relative to that package.
        index: Its place among the documents of the file, from 0; `LAST` if a function gave none.
        document: Its text and value.
        origin: Source of its text; None for a resource that a function created.
    """

    package: str
    path: str
    index: int
    document: Document
    origin: Origin | None = None

    @property
    def index_text(self) -> str:
        """The index as in the annotations for functions; empty for `LAST`."""
        return "" if self.index == LAST else str(self.index)

    @property
    def full_path(self) -> str:
        """Path of its file relative to the root of the file map."""
        return join(self.package, self.path)

    @property
    def value(self) -> Value:
        """Value of the document. It is shared: copy it before a change."""
        return self.document.value

    def at(self, package: str, path: str, index: int) -> "Resource":
        """Return the same resource at another place."""
        if (package, path, index) == (self.package, self.path, self.index):
            return self
        return replace(self, package=package, path=path, index=index)


@dataclass(frozen=True)
class SourceFile:
    """A KRM file, cut into parts.

    Attributes:
        bom: Whether the file begins with a byte order mark.
        parts: Documents and comments between separators, in order.
        documents: Indices of the parts with content, in order; the position in this list is kpt's `index`.
    """

    bom: bool
    parts: list[Part]
    documents: list[int]


@dataclass
class PackageResources:
    """Resources of one package.

    Attributes:
        resources: The resources, in the order in which functions get them.
        sources: The KRM files that were read, by path relative to the root of the file map.
    """

    resources: list[Resource] = field(default_factory=list)
    sources: dict[str, SourceFile] = field(default_factory=dict)


def read_source(path: str, content: bytes) -> SourceFile:
    """Cut a KRM file into parts.

    Raises:
        InvalidPackage: The content is no text, or has a bad document separator.
    """
    text = decode(path, content)
    bom = text.startswith(_BOM)
    try:
        parts = split(text.removeprefix(_BOM))
    except YamlError as error:
        raise InvalidPackage(path, str(error)) from None
    return SourceFile(bom, parts, [index for index, part in enumerate(parts) if part.has_content])


def read_package(package: PackageDir, files: Files, budget: NodeBudget) -> PackageResources:
    """Read a package's own resources, without those of its subpackages.

    Only `Kptfile`, `*.yaml`, `*.yml` and `*.json` are read, without the files that its `.krmignore` names.

    Args:
        package: The package.
        files: Files of the whole tree.
        budget: Counts the nodes of all packages together.

    Raises:
        InvalidPackage: A file is not UTF-8, not YAML, or holds something else than resources; or the budget is used up.
    """
    ignore = files.get(package.full(KRMIGNORE))
    skip = ignored(ignore.decode(errors="replace"), package.full(KRMIGNORE)) if ignore is not None else lambda _: False
    result = PackageResources()
    for full in package.files:
        path = full[len(package.path) + 1 :] if package.path else full
        if not is_krm(path) or skip(path):
            continue
        source = read_source(full, files[full])
        result.sources[full] = source
        for index, part in enumerate(source.documents):
            document = _parse(full, source.parts[part], budget)
            result.resources.append(Resource(package.path, path, index, document, Origin(full, part)))
    return result


def _parse(path: str, part: Part, budget: NodeBudget) -> Document:
    try:
        document = Document(part.body)
        budget.take(document)
    except YamlError as error:
        raise InvalidPackage(path, str(error.shifted(part.line))) from None
    problem = krm_problem(path, document.value)
    if problem:
        raise InvalidPackage(path, f"input resource list must contain only KRM resources: {problem}", _hint(part))
    return document


def _hint(part: Part) -> str:
    return f"see line {part.line + 1}; a file that is no Kubernetes resource can be named in {KRMIGNORE}"


def write_files(
    files: Files, sources: Mapping[str, SourceFile], resources: Iterable[Resource], *, prune: bool = True
) -> dict[str, bytes]:
    """Write resources into the files of a package.

    Args:
        files: All files before.
        sources: The KRM files among them that were read; all others are kept.
        resources: All resources of the package.
        prune: Whether files whose resources are all gone are deleted.

    Returns:
        A new map of all files. A file without changed documents is the same bytes object.
    """
    by_path: dict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        by_path[resource.full_path].append(resource)
    result = dict(files)
    for path, source in sources.items():
        if prune and source.documents and path not in by_path:
            del result[path]
    for path, here in by_path.items():
        here.sort(key=lambda resource: resource.index)
        known = sources.get(path)
        content = _file_content(path, known, here)
        if content is not None:
            result[path] = content
    return result


def _file_content(path: str, source: SourceFile | None, resources: Sequence[Resource]) -> bytes | None:
    """Return the new content of a file; None if it did not change."""
    if source is None:
        if path.endswith(".json") and len(resources) == 1 and resources[0].origin is None:
            return _json(resources[0].value)
        return join_parts([_part(None, resource) for resource in resources]).encode()
    if _unchanged(path, source, resources):
        return None
    text = join_parts(_merged_parts(path, source, resources))
    return ((_BOM if source.bom else "") + text).encode()


def _json(value: Value) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _unchanged(path: str, source: SourceFile, resources: Sequence[Resource]) -> bool:
    if [resource.origin for resource in resources] != [Origin(path, part) for part in source.documents]:
        return False
    pairs = zip(source.documents, resources, strict=True)
    return all(source.parts[part].body == resource.document.text for part, resource in pairs)


def _merged_parts(path: str, source: SourceFile, resources: Sequence[Resource]) -> list[Part]:
    """Return the parts of a file without removed documents, with changed ones, and with new ones by their index."""
    parts: list[Part] = []
    place = 0
    remaining = set(source.documents)
    for resource in resources:
        origin = resource.origin
        if origin is not None and origin.path == path and origin.part in remaining and origin.part >= place:
            parts += _loose(source, place, origin.part)
            place = origin.part + 1
            remaining.discard(origin.part)
            parts.append(_part(source.parts[origin.part], resource))
        else:
            parts.append(_part(None, resource))
    parts += _loose(source, place, len(source.parts))
    if parts and not source.parts[0].separator and parts[0].separator.strip() == "---":
        parts[0] = replace(parts[0], separator="")
    return parts


def _loose(source: SourceFile, start: int, end: int) -> list[Part]:
    """Return the parts of a range that are no documents: comments between separators."""
    documents = set(source.documents)
    return [part for index, part in enumerate(source.parts[start:end], start) if index not in documents]


def _part(old: Part | None, resource: Resource) -> Part:
    return Part(old.separator if old is not None else "", resource.document.text, 0)


def is_kptfile(resource: Resource) -> bool:
    """Return whether the resource is the Kptfile of a package."""
    return basename(resource.path) == "Kptfile"
