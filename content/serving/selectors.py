"""Selectors of a list or watch. Pure.

Labels and most fields are those of the PackageRevision, so that the API server selects by them; this server tests the
others.

Source: docs/reference/porch-api.md, "Columns and selectors".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from porchflow.content.refusals import bad_request

_ASKED: Final = {
    "metadata.name": "metadata.name",
    "metadata.namespace": "metadata.namespace",
    "spec.packageName": "spec.packageName",
    "spec.repository": "spec.repository",
    "spec.workspaceName": "spec.workspaceName",
    "spec.lifecycle": "spec.lifecycle",
}
"""Fields that the API server can select by, under their name in this API."""

_REVISION: Final = "spec.revision"
_LABEL: Final = re.compile(r"spec\.packageMetadata\.labels\[(.+)\]")
_TERM: Final = re.compile(r"(.+?)(==|=)(.*)", re.DOTALL)

Test = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Selection:
    """Selectors for the API server, and tests for the objects that it returns.

    Attributes:
        labels: Label selector for PackageRevisions.
        fields: Field selector for PackageRevisions.
        tests: Further conditions that a PackageRevision must fulfil.
    """

    labels: str = ""
    fields: str = ""
    tests: tuple[Test, ...] = ()

    def holds(self, obj: Mapping[str, Any]) -> bool:
        """Return whether a PackageRevision that the API server selected passes the tests."""
        return all(test(obj) for test in self.tests)


def read_selection(query: Mapping[str, str]) -> Selection:
    """Read the selectors of a request.

    Raises:
        ApiError: A field is not selectable, or a term is no equation.
    """
    asked: list[str] = []
    tests: list[Test] = []
    for term in filter(None, _terms(query.get("fieldSelector", ""))):
        field, value = _equation(term)
        if field in _ASKED:
            asked.append(f"{_ASKED[field]}={_escaped(value)}")
        elif field == _REVISION:
            tests.append(_revision_is(value))
        elif label := _LABEL.fullmatch(field):
            tests.append(_label_is(label[1], value))
        else:
            known = ", ".join([*_ASKED, _REVISION, "spec.packageMetadata.labels[<key>]"])
            raise bad_request(f"field label not supported: {field}; selectable are: {known}")
    return Selection(query.get("labelSelector", ""), ",".join(asked), tuple(tests))


def _terms(selector: str) -> list[str]:
    """Split at commas without a backslash before them."""
    return re.split(r"(?<!\\),", selector)


def _equation(term: str) -> tuple[str, str]:
    match = _TERM.fullmatch(term)
    if match is None or match[1].endswith("!"):
        raise bad_request(f"invalid field selector {term!r}: only <field>=<value> is understood")
    value = re.sub(r"\\([\\,=])", r"\1", match[3])
    if not value:
        raise bad_request(f"invalid field selector {term!r}: the value is empty")
    return match[1], value


def _escaped(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)


def _revision_is(value: str) -> Test:
    if not re.fullmatch(r"-?[0-9]{1,9}", value):
        raise bad_request(f"invalid field selector: {_REVISION} is a number, not {value!r}")
    return lambda obj: ((obj.get("status") or {}).get("revision") or 0) == int(value)


def _label_is(key: str, value: str) -> Test:
    def test(obj: Mapping[str, Any]) -> bool:
        metadata = (obj.get("spec") or {}).get("packageMetadata") or {}
        return (metadata.get("labels") or {}).get(key) == value

    return test
