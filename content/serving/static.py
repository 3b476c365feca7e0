"""Documents that are the same for every user: discovery and schemas. As in the API server, every user may read them."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache

from aiohttp import web

from porchflow.content.refusals import ApiError, method_not_allowed
from porchflow.content.serving import api_discovery as discovery
from porchflow.content.serving.openapi import Schema, openapi_v2, openapi_v3, openapi_v3_index
from porchflow.content.serving.requests import ROOT

_JSON = "application/json"
_GROUP_PATH = ROOT.rpartition("/")[0]


@dataclass(frozen=True)
class _Document:
    body: bytes
    content_type: str
    etag: str


def static_document(path: str, request: web.Request) -> web.Response | None:
    """Answer a request for a document; None where the path names none.

    Raises:
        ApiError: The document does not support the method or the accepted form.
    """
    found = _documents().get(path)
    if found is None:
        return None
    if request.method not in {"GET", "HEAD"}:
        raise method_not_allowed(request.method)
    accept = request.headers.get("Accept", "")
    version = discovery.wanted_version(accept) if path == "/apis" else ""
    document = found[version]
    if not version and not _accepts_json(accept):
        raise ApiError(406, "NotAcceptable", f"only the following media types are accepted: {_JSON}")
    headers = {"ETag": document.etag, "Content-Type": document.content_type, "Vary": "Accept"}
    if request.headers.get("If-None-Match") == document.etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=document.body, headers=headers)


def _accepts_json(accept: str) -> bool:
    medias = {entry.split(";")[0].strip() for entry in accept.split(",")}
    return not accept.strip() or bool(medias & {_JSON, "application/*", "*/*"})


@cache
def _documents() -> dict[str, dict[str, _Document]]:
    """Return every document by its path and version; the empty version suits every client."""
    newer = {each: _document(discovery.aggregated(each), discovery.aggregated_type(each)) for each in ("v2", "v2beta1")}
    schema = _document(openapi_v3())
    return {
        "/apis": {"": _document(discovery.API_GROUPS), **newer},
        _GROUP_PATH: {"": _document(discovery.API_GROUP)},
        ROOT: {"": _document(discovery.API_RESOURCES)},
        "/openapi/v2": {"": _document(openapi_v2())},
        "/openapi/v3": {"": _document(openapi_v3_index(schema.etag.strip('"')))},
        f"/openapi/v3{ROOT}": {"": schema},
    }


def _document(content: Schema, content_type: str = _JSON) -> _Document:
    body = json.dumps(content).encode()
    return _Document(body, content_type, f'"{hashlib.sha256(body).hexdigest().upper()}"')
