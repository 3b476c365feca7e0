"""Targets: YAML, Kptfiles, and merges of packages."""

import contextlib

from porchflow.kpt.format.kptfile import parse as parse_kptfile
from porchflow.kpt.format.krmignore import ignored
from porchflow.kpt.merge.update import UpdateStrategy, update_package
from porchflow.kpt.package_errors import CONTENT_ERRORS
from porchflow.yamltext.align import same
from porchflow.yamltext.document import Document
from porchflow.yamltext.split import join, split
from porchflow.yamltext.yaml_error import YamlError
from tests.fuzz.targets import Target, text_of

_KPTFILE = b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata:\n  name: p\n"


def _document(data: bytes) -> None:
    document = Document(text_of(data))
    assert document.edit(document.value).text == document.text, "an edit that changes nothing changes the text"


def _edited(data: bytes) -> None:
    """Add a key to a mapping: the rest of the value stays, and the text can be read again."""
    document = Document(text_of(data))
    if isinstance(document.value, dict):
        wanted = {**document.value, "porchflow-fuzz": "x"}
        found = Document(document.edit(wanted).text).value
        assert same(found, wanted), "an edit gives the value that was asked for"


def _split(data: bytes) -> None:
    text = text_of(data)
    assert join(split(text)) == text


def _merge(data: bytes) -> None:
    sides = [{"Kptfile": _KPTFILE, "a.yaml": part} for part in (*data.split(b"\0", 2), b"", b"")[:3]]
    for strategy in UpdateStrategy:
        with contextlib.suppress(*CONTENT_ERRORS):
            update_package(strategy, base=sides[0], upstream=sides[1], local=sides[2])


def _kptfile_merge(data: bytes) -> None:
    sides = [{"Kptfile": part or _KPTFILE} for part in (*data.split(b"\0", 2), b"", b"")[:3]]
    update_package(UpdateStrategy.RESOURCE_MERGE, base=sides[0], upstream=sides[1], local=sides[2])


TARGETS = {
    "yaml": Target(_document, (YamlError,)),
    "yaml-edited": Target(_edited, (YamlError,)),
    "yaml-documents": Target(_split, (YamlError,)),
    "kptfile": Target(lambda data: parse_kptfile(text_of(data)), CONTENT_ERRORS),
    "krmignore": Target(lambda data: ignored(text_of(data))("a/b.yaml"), CONTENT_ERRORS),
    "merge": Target(_merge),
    "merge-kptfiles": Target(_kptfile_merge, CONTENT_ERRORS),
}
