"""Handlers of `packagerevisionresources`."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from api.names import PACKAGE_REVISION_RESOURCES_PLURAL
from content.encoding import dumps
from content.errors import method_not_allowed, no_such_path
from content.objects import metadata_of, object_pieces
from content.packages import Packages
from content.requests import Accepted, Address, negotiate
from content.tables import check_include, column_definitions, metadata_object, row_pieces

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CHUNK_BYTES = 64 * 1024


class Resources:
    """Reads and writes package content."""

    def __init__(self, packages: Packages) -> None:
        """Take where packages are."""
        self._packages = packages

    def handler(self, verb: str, address: Address) -> Handler:
        """Find who answers.

        Raises:
            ApiError: Nobody does.
        """
        if address.resource != PACKAGE_REVISION_RESOURCES_PLURAL or address.subresource:
            raise no_such_path()
        if verb == "get":
            return lambda request: self._get(request, address)
        raise method_not_allowed(verb)

    async def _get(self, request: web.Request, address: Address) -> web.StreamResponse:
        accepted = negotiate(request.headers.get("Accept", ""))
        include = check_include(request.query.get("includeObject", ""))
        found = await self._packages.find(address.namespace, address.name)
        content = await self._packages.encoded(found)
        match accepted.shape:
            case "Table":
                row = row_pieces(found, content, include, accepted.version)
                version = metadata_of(found)["resourceVersion"]
                pieces = table_pieces([row], {"resourceVersion": version}, accepted)
            case "PartialObjectMetadata":
                pieces = [dumps(metadata_object(found, content, accepted.version))]
            case _:
                pieces = object_pieces(found, content)
        return await send(request, pieces, accepted)


def table_pieces(rows: Sequence[Sequence[bytes]], metadata: dict[str, object], accepted: Accepted) -> list[bytes]:
    """Return a table as JSON."""
    head = {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{accepted.version}",
        "metadata": metadata,
        "columnDefinitions": column_definitions(),
    }
    pieces = [dumps(head)[:-1] + b',"rows":[']
    for index, row in enumerate(rows):
        pieces += [b"," if index else b"", *row]
    return [*pieces, b"]}"]


async def send(request: web.Request, pieces: Sequence[bytes], accepted: Accepted) -> web.StreamResponse:
    """Send an answer piece by piece: what many read at once is in memory once."""
    response = web.StreamResponse(headers={"Content-Type": accepted.content_type, "Cache-Control": "no-cache, private"})
    response.content_length = sum(map(len, pieces))
    await response.prepare(request)
    if request.method != "HEAD":
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(view), _CHUNK_BYTES):
                await response.write(view[start : start + _CHUNK_BYTES])
    await response.write_eof()
    return response
