"""Objects as rows, for people.

Source: docs/reference/porch-api.md, "Columns and selectors".
"""

from typing import Any, Final

from porchflow.content.packages.encoding import Encoded, dumps
from porchflow.content.packages.objects import Shown, metadata_of, object_pieces, spec_of
from porchflow.content.refusals import bad_request
from porchflow.kube.client import Object

_COLUMNS: Final = (
    ("Name", "string", "name", "Name of the package revision."),
    ("Package", "string", "", "Path of the package below the repository's directory."),
    ("WorkspaceName", "string", "", "Name of the line of work."),
    ("Revision", "integer", "", "Number of the published revision; 0 before, -1 for the content of the main branch."),
    ("Repository", "string", "", "Name of the Repository."),
    ("Files", "integer", "", "How many files are shown."),
)

_INCLUDES: Final = frozenset({"", "None", "Metadata", "Object"})


def check_include(include: str) -> str:
    """Check `includeObject`: how much of the object a client wants beside the row.

    Raises:
        ApiError: The value is not one that Kubernetes knows.
    """
    if include not in _INCLUDES:
        raise bad_request(f"parameter includeObject: give None, Metadata or Object, not {include!r}")
    return include or "Metadata"


def column_definitions() -> list[dict[str, Any]]:
    """Return the columns' names and meanings."""
    return [
        {"name": name, "type": kind, "format": form, "description": description, "priority": 0}
        for name, kind, form, description in _COLUMNS
    ]


def row_pieces(found: Shown, content: Encoded, include: str, version: str) -> list[bytes]:
    """Return one row as JSON."""
    spec = spec_of(found)
    cells = [
        found.name,
        spec["packageName"],
        spec["workspaceName"],
        spec["revision"],
        spec["repository"],
        content.count,
    ]
    if include == "Object":
        return [dumps({"cells": cells})[:-1] + b',"object":', *object_pieces(found, content), b"}"]
    row: dict[str, Any] = {"cells": cells}
    if include == "Metadata":
        row["object"] = metadata_object(found, content, version)
    return [dumps(row)]


def metadata_object(found: Shown, content: Encoded, version: str = "v1") -> Object:
    """Return an object's metadata alone."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata_of(found, content.hidden),
    }
