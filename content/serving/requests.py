"""Parts of a request: path, parameters and accepted forms of answer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote

from porchflow.api.names import PORCH_GROUP
from porchflow.content.refusals import ApiError, bad_request, no_such_path

VERSION: Final = "v1alpha1"

ROOT: Final = f"/apis/{PORCH_GROUP}/{VERSION}"

TABLE: Final = "Table"
METADATA: Final = "PartialObjectMetadata"
_PLAIN: Final = ""

Shape = Literal["", "Table", "PartialObjectMetadata"]
"""The form of an object: itself, a row of a table, or its metadata alone."""


@dataclass(frozen=True)
class Address:
    """An object, or a collection of objects.

    Attributes:
        resource: The plural in the path, such as `packagerevisionresources`.
        namespace: Empty for the collection of all namespaces.
        name: Empty for a collection.
        subresource: The part of the path after the name.
        query: The part of the name after a question mark, which is no part of the object's name.
    """

    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: str = ""

    @property
    def written_name(self) -> str:
        """The name as the client wrote it."""
        return f"{self.name}?{self.query}" if self.query else self.name


def parse_address(raw_path: str) -> Address:
    """Parse the path of an object or collection.

    Args:
        raw_path: As the client sent it, percent-encoded: an encoded slash is part of a name, which no object has.

    Raises:
        ApiError: The path is not served.
    """
    parts = [unquote(part) for part in raw_path.removeprefix(ROOT).split("/")[1:]]
    if not raw_path.startswith(ROOT + "/") or not all(parts):
        raise no_such_path()
    if parts[0] == "namespaces" and len(parts) > 2:  # noqa: PLR2004 - namespaces, its name, and what is in it
        namespace, rest = parts[1], parts[2:]
    else:
        namespace, rest = "", parts
    resource, *names = rest
    if len(names) > (2 if namespace else 0):
        raise no_such_path()
    written, subresource = (*names, "", "")[:2]
    name, _, query = written.partition("?")
    if written and not name:
        raise no_such_path()
    return Address(resource, namespace, name, subresource, query)


@dataclass(frozen=True)
class Accepted:
    """The form of an answer."""

    shape: Shape
    version: str = "v1"
    """Of `meta.k8s.io`, for `Table` and `PartialObjectMetadata`."""

    @property
    def content_type(self) -> str:
        """The answer's media type."""
        return "application/json"


def negotiate(accept: str) -> Accepted:
    """Return the first form that the server supports among the media types that the client accepts, as Kubernetes does.

    Raises:
        ApiError: The server supports none of them.
    """
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        media, *parameters = [part.strip() for part in entry.split(";")]
        if media not in {"application/json", "application/*", "*/*"}:
            continue
        given = dict(part.partition("=")[::2] for part in parameters if "=" in part)
        accepted = _shape_of(given)
        if accepted is not None:
            return accepted
    raise ApiError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: application/json, application/json;as=Table;g=meta.k8s.io;v=v1,"
        " application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    )


def _shape_of(given: Mapping[str, str]) -> Accepted | None:
    wanted, group, version = given.get("as", _PLAIN), given.get("g", ""), given.get("v", "v1")
    if wanted == _PLAIN:
        return Accepted("")
    if group != "meta.k8s.io" or version not in {"v1", "v1beta1"}:
        return None
    match wanted.removesuffix("List"):
        case "Table" if wanted == TABLE:
            return Accepted("Table", version)
        case "PartialObjectMetadata":
            return Accepted("PartialObjectMetadata", version)
    return None


def flag(query: Mapping[str, str], name: str) -> bool:
    """Read a boolean parameter.

    Raises:
        ApiError: It is neither true nor false.
    """
    value = query.get(name, "")
    if value in {"true", "1", "True", "TRUE", "t", "T"}:
        return True
    if value in {"", "false", "0", "False", "FALSE", "f", "F"}:
        return False
    raise bad_request(f"parameter {name}: give true or false, not {value!r}")


def number(query: Mapping[str, str], name: str) -> int:
    """Read a parameter that is a whole number from 0; 0 where it is absent.

    Raises:
        ApiError: It is no such number.
    """
    value = query.get(name, "")
    if not value:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 18):  # noqa: PLR2004 - what 64 bits hold
        raise bad_request(f"parameter {name}: give a number from 0, not {value!r}")
    return int(value)


def dry_run(query: Mapping[str, str]) -> bool:
    """Return whether a request must not change anything.

    Raises:
        ApiError: The value is not one that Kubernetes knows.
    """
    value = query.get("dryRun", "")
    if value not in {"", "All"}:
        raise bad_request(f"parameter dryRun: the only value is All, not {value!r}")
    return value == "All"
