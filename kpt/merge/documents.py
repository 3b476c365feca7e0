"""The documents of one file of one side, and files with one document changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from porchflow.kpt.format.krm import describe, text_of
from porchflow.kpt.format.resources import Origin, Resource, SourceFile, read_source, write_files
from porchflow.kpt.merge.merge_result import Conflict, Kept, shown
from porchflow.kpt.merge.sides import LOCAL, NEW_UPSTREAM, OLD_UPSTREAM, naming_side
from porchflow.kpt.merge.values import Clash
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.document import Document
from porchflow.yamltext.yaml_error import YamlError

Merger = Callable[[Document | None, Document, Document], tuple[Document, Sequence[Clash]]]
"""Merges base (or none), upstream and local."""

AT_THE_BEGINNING: Final = "(comment at the beginning)"
"""Field of a conflict about the comments before the first `---` of a file."""

_HIDDEN = "(hidden)"
_SECRET_FIELDS = ("data", "stringData")


@dataclass(frozen=True)
class ParsedFile:
    """A file of one side as documents.

    Attributes:
        source: Its parts.
        documents: Those with content, in order.
    """

    source: SourceFile
    documents: list[Document]


def parse_file(side: str, path: str, content: bytes) -> ParsedFile:
    """Cut a file into documents and parse each.

    Raises:
        InvalidPackage: Not text, or not YAML; with side and line.
    """
    with naming_side(side, path):
        source = read_source(path, content)
        documents = []
        for index in source.documents:
            part = source.parts[index]
            try:
                documents.append(Document(part.body))
            except YamlError as error:
                raise error.shifted(part.line) from None
    return ParsedFile(source, documents)


def single(side: str, path: str, content: bytes) -> ParsedFile:
    """Parse a file that must hold one mapping.

    Raises:
        InvalidPackage: It does not; with side and line.
    """
    parsed = parse_file(side, path, content)
    check_single(side, path, parsed)
    return parsed


def beginning_of(parsed: ParsedFile) -> str:
    """Return the comments that `---` separates from the first document, with LF; empty for none."""
    parts = parsed.source.parts[: parsed.source.documents[0]] if parsed.source.documents else []
    return "".join(part.separator + part.body for part in parts).replace("\r\n", "\n")


def with_beginning(content: bytes, old: str, new: str) -> bytes:
    """Return a file with other comments before its first document; the same object where it does not begin so."""
    text = content.decode()
    newline = "\r\n" if "\r\n" in text else "\n"
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    plain, before = text.removeprefix(bom), old.replace("\n", newline)
    rest = plain.removeprefix(before)
    if not plain.startswith(before):
        return content
    separator = "" if rest.startswith("---") or not new else "---" + newline
    return (bom + new.replace("\n", newline) + separator + rest).encode()


def check_single(side: str, path: str, parsed: ParsedFile) -> None:
    """Refuse a file that does not hold exactly one mapping.

    Raises:
        InvalidPackage: With the side.
    """
    if len(parsed.documents) != 1 or not isinstance(parsed.documents[0].value, dict):
        raise InvalidPackage(path, f"in the {side}: the file must hold exactly one mapping")


def replaced(path: str, content: bytes, parsed: ParsedFile, document: Document) -> bytes:
    """Return a file of one document with another document in its place; the same object if that is equal."""
    resource = Resource("", path, 0, document, Origin(path, parsed.source.documents[0]))
    return write_files({path: content}, {path: parsed.source}, [resource])[path]


def merge_single(
    path: str, base: bytes | None, upstream: bytes, local: bytes, merger: Merger
) -> tuple[bytes, list[Conflict]]:
    """Merge files of one document each.

    Raises:
        InvalidPackage: One of them is not YAML or holds something else; with side and line.
    """
    old = single(OLD_UPSTREAM, path, base).documents[0] if base is not None else None
    theirs = single(NEW_UPSTREAM, path, upstream).documents[0]
    ours = single(LOCAL, path, local)
    with naming_side(LOCAL, path):
        document, clashes = merger(old, theirs, ours.documents[0])
    return replaced(path, local, ours, document), conflicts_of(path, ours.documents[0], clashes)


def conflicts_of(path: str, document: Document, clashes: Sequence[Clash]) -> list[Conflict]:
    """Return the clashes in a resource as conflicts; the values of a Secret are left out."""
    secret = text_of(document.value, "kind") == "Secret"
    return [
        Conflict(path, resource_name(document), clash.field, *_values(clash, hide=secret), clash.kept)
        for clash in clashes
    ]


def _values(clash: Clash, *, hide: bool) -> tuple[str, str]:
    if hide and (not clash.path or clash.path[0].strip(".") in _SECRET_FIELDS):
        return _HIDDEN, _HIDDEN
    return shown(clash.local, clash.upstream)


def resource_name(document: Document) -> str:
    """Return the name of a resource for a conflict; empty for a document that is none."""
    return describe(document.value) if text_of(document.value, "kind") else ""


def whole(path: str, local: str, upstream: str, kept: Kept, resource: str = "") -> Conflict:
    """Return a conflict about a whole file or resource."""
    return Conflict(path, resource, "", local, upstream, kept)
