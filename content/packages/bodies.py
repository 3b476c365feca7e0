"""Bodies of requests: read within limits, decoded, and compared with the address of the request."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from porchflow.api.names import CONTENT_API_VERSION, PACKAGE_REVISION_RESOURCES_KIND
from porchflow.content.refusals import ApiError, Cause, bad_request, invalid, too_large
from porchflow.yamltext.document import load
from porchflow.yamltext.yaml_error import YamlError

JSON: Final = "application/json"
YAML: Final = "application/yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

UPDATE_TYPES: Final = (JSON, YAML)
PATCH_TYPES: Final = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)

_READ_SECONDS = 30.0
_BODIES_AT_ONCE = 8

_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec", "status"}),
    "spec": frozenset({"packageName", "workspaceName", "revision", "repository", "resources", "resourcePaths"}),
    "status": frozenset({"renderStatus"}),
    "metadata": frozenset(
        {
            *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation"),
            *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations"),
            *("ownerReferences", "finalizers", "managedFields"),
        }
    ),
}


class BodyReader:
    """Reads bodies, a few at a time: each is in memory as a whole."""

    def __init__(self, limit: int) -> None:
        """Create the reader.

        Args:
            limit: Bytes that a body may have.
        """
        self._limit = limit
        self._slots = asyncio.Semaphore(_BODIES_AT_ONCE)

    async def read(self, request: web.Request, types: tuple[str, ...]) -> Any:  # noqa: ANN401 - JSON
        """Read a body of one of the media types.

        Raises:
            ApiError: It is of another type, too large, too slow, or not valid for its type.
        """
        media = request.content_type if "Content-Type" in request.headers else types[0]
        if media not in types or request.headers.get("Content-Encoding", "identity") != "identity":
            raise ApiError(
                415,
                "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: " + ", ".join(types),
            )
        async with self._slots:
            data = await self._bytes(request)
            try:
                return await asyncio.to_thread(parse, data, media)
            except (ValueError, RecursionError, YamlError) as error:
                raise bad_request(f"the body is no {media}: {error}") from None

    async def _bytes(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > self._limit:
            raise self._too_large()
        try:
            async with asyncio.timeout(_READ_SECONDS):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise self._too_large() from None
        except TimeoutError:
            raise ApiError(408, "Timeout", f"the body did not arrive within {_READ_SECONDS:g} s") from None

    def _too_large(self) -> ApiError:
        return too_large(
            f"the body has more than {self._limit} bytes; split the package, or raise PORCHFLOW_CONTENT_MAX_BODY of the"
            " content API"
        )


def parse(data: bytes, media: str) -> Any:  # noqa: ANN401 - JSON
    """Read a body of a media type.

    Raises:
        ValueError: It is no JSON or, where YAML may be sent, no YAML.
        RecursionError: It is nested too deeply.
    """
    try:
        return json.loads(data)
    except ValueError:
        # Bodies that clients send as YAML are nearly always JSON, which is parsed a hundred times faster.
        if media not in {YAML, APPLY_PATCH}:
            raise
    # Not with a loader of PyYAML: 500 bytes of aliases and merge keys could keep it busy until memory runs out.
    return load(data.decode())


@dataclass(frozen=True)
class Wanted:
    """The changes that an object in a request's body asks for.

    Attributes:
        resource_version: The version that the client changed; empty where the client does not state it.
        uid: Empty where the client does not state it.
        resources: The content: text by path.
        spec: The other fields of the spec that were given.
        labels: The labels that were given; None where none were.
    """

    resource_version: str
    uid: str
    resources: Mapping[str, str]
    spec: Mapping[str, Any]
    labels: Mapping[str, Any] | None = None


def read_wanted(body: Any, namespace: str, name: str, *, written: str = "") -> Wanted:  # noqa: ANN401 - JSON
    """Decode an object that was sent to an address.

    Args:
        body: The object.
        namespace: Of the address.
        name: Of the address.
        written: The name with its query, which clients put into the object too.

    Raises:
        ApiError: It is not such an object, or not the one of the address.
    """
    if not isinstance(body, dict):
        raise bad_request("the body is no object")
    if (body.get("apiVersion"), body.get("kind")) != (CONTENT_API_VERSION, PACKAGE_REVISION_RESOURCES_KIND):
        raise bad_request(
            f"the object is {body.get('apiVersion')!r} {body.get('kind')!r}, not {CONTENT_API_VERSION!r}"
            f" {PACKAGE_REVISION_RESOURCES_KIND!r}"
        )
    metadata, spec = _mapping(body, "metadata", ""), _mapping(body, "spec", "")
    for field, wanted in (("name", name), ("namespace", namespace)):
        given = metadata.get(field) or wanted
        if given != wanted and (field, given) != ("name", written):
            raise bad_request(
                f"the {field} of the object ({given!r}) does not match the {field} on the URL ({wanted!r})"
            )
    return Wanted(
        resource_version=str(metadata.get("resourceVersion") or ""),
        uid=str(metadata.get("uid") or ""),
        resources=_resources(spec, name),
        spec={field: spec[field] for field in ("packageName", "workspaceName", "repository") if spec.get(field)},
        labels=_mapping(metadata, "labels", "metadata.") if metadata.get("labels") is not None else None,
    )


def unknown_fields(body: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Return the fields that no such object has."""
    if not isinstance(body, dict):
        return []
    found = [key for key in body if key not in _FIELDS[""]]
    for part in ("metadata", "spec", "status"):
        value = body.get(part)
        if isinstance(value, dict):
            found += [f"{part}.{key}" for key in value if key not in _FIELDS[part]]
    return found


def _mapping(parent: Mapping[str, Any], field: str, where: str) -> Mapping[Any, Any]:
    value = parent.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"{where}{field} has to be an object, not {_json_type(value)}")
    return value


def _resources(spec: Mapping[str, Any], name: str) -> Mapping[str, str]:
    resources: Mapping[Any, Any] = _mapping(spec, "resources", "spec.")
    causes = [
        Cause(f"spec.resources[{path}]", f"has to be the file's text, not {_json_type(text)}", "FieldValueTypeInvalid")
        for path, text in resources.items()
        if not isinstance(path, str) or not isinstance(text, str)
    ]
    if causes:
        raise invalid(name, *causes[:10])
    return resources


def _json_type(value: Any) -> str:  # noqa: ANN401 - JSON
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
    return "an object" if isinstance(value, dict) else type(value).__name__
