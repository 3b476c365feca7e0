"""Sends objects, in pieces that many answers share."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from porchflow.api.names import CONTENT_API_VERSION, PACKAGE_REVISION_RESOURCES_KIND
from porchflow.content.packages.encoding import Encoded, dumps
from porchflow.content.packages.objects import Shown, metadata_of, object_pieces
from porchflow.content.serving.requests import Accepted, negotiate
from porchflow.content.serving.tables import check_include, column_definitions, metadata_object, row_pieces

_CHUNK_BYTES = 64 * 1024

STARTED: Final = web.RequestKey("started", bool)
"""Set on a request whose answer has begun: from then on an error can only close the connection."""

COMMIT: Final = web.RequestKey("commit", str)
"""The commit of the object that was answered, for the log."""


class Answer:
    """The form of answer that a client accepts, read before any work is done."""

    def __init__(self, request: web.Request) -> None:
        """Read the request's headers and parameters.

        Raises:
            ApiError: The server has no form that the client accepts.
        """
        self._request = request
        self._accepted: Accepted = negotiate(request.headers.get("Accept", ""))
        self._include = check_include(request.query.get("includeObject", ""))
        self._warnings: list[str] = []
        self._columns_sent = False

    def warn(self, text: str) -> None:
        """Add a warning to the answer; kubectl and porchctl show it."""
        self._warnings.append(text)

    async def send_object(self, found: Shown, content: Encoded) -> web.StreamResponse:
        """Send one object in the shape that the client accepts."""
        self._request[COMMIT] = found.commit
        match self._accepted.shape:
            case "Table":
                version = metadata_of(found)["resourceVersion"]
                pieces = self._table(self.pieces(found, content), version)
            case _:
                pieces = self.pieces(found, content)
        return await self._send(pieces)

    def pieces(self, found: Shown, content: Encoded) -> list[bytes]:
        """Return one object as JSON: itself, its metadata, or its row."""
        match self._accepted.shape:
            case "Table":
                return row_pieces(found, content, self._include, self._accepted.version)
            case "PartialObjectMetadata":
                return [dumps(metadata_object(found, content, self._accepted.version))]
        return object_pieces(found, content)

    async def send_nothing(self, kind: str) -> web.StreamResponse:
        """Send an empty list of a kind of another API."""
        return await self._send([self.list_head(kind), b'],"metadata":{"resourceVersion":"0"}}'])

    def list_head(self, kind: str = f"{PACKAGE_REVISION_RESOURCES_KIND}List") -> bytes:
        """Return the JSON of a list or table up to its first item; the metadata follow the last one."""
        version = f"meta.k8s.io/{self._accepted.version}"
        match self._accepted.shape:
            case "Table":
                head = {"kind": "Table", "apiVersion": version, "columnDefinitions": column_definitions()}
                return dumps(head)[:-1] + b',"rows":['
            case "PartialObjectMetadata":
                return dumps({"kind": "PartialObjectMetadataList", "apiVersion": version})[:-1] + b',"items":['
        head = {"kind": kind, "apiVersion": CONTENT_API_VERSION}
        return dumps(head)[:-1] + b',"items":['

    def framed(self, pieces: list[bytes]) -> list[bytes]:
        """Return an object in the form of a watch event: a row is in a table of its own."""
        if self._accepted.shape != "Table":
            return pieces
        framed = self._table(pieces, "", columns=not self._columns_sent)
        self._columns_sent = True
        return framed

    def bookmark(self, metadata: Mapping[str, Any]) -> bytes:
        """Return the object of a bookmark: only metadata."""
        version = f"meta.k8s.io/{self._accepted.version}"
        match self._accepted.shape:
            case "Table":
                head = {"kind": "Table", "apiVersion": version, "columnDefinitions": [], "rows": []}
                return dumps({**head, "metadata": metadata})
            case "PartialObjectMetadata":
                return dumps({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata})
        return dumps({"kind": PACKAGE_REVISION_RESOURCES_KIND, "apiVersion": CONTENT_API_VERSION, "metadata": metadata})

    def _table(self, row: list[bytes], version: str, *, columns: bool = True) -> list[bytes]:
        head = {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{self._accepted.version}",
            "metadata": {"resourceVersion": version},
            "columnDefinitions": column_definitions() if columns else [],
        }
        return [dumps(head)[:-1] + b',"rows":[', *row, b"]}"]

    async def _send(self, pieces: Sequence[bytes]) -> web.StreamResponse:
        response = await self.begin(sum(map(len, pieces)))
        for piece in pieces:
            await write(response, piece)
        await response.write_eof()
        return response

    async def begin(self, length: int | None = None) -> web.StreamResponse:
        """Send the headers; without a length the body goes on until its end is written."""
        response = web.StreamResponse(
            headers={"Content-Type": self._accepted.content_type, "Cache-Control": "no-cache, private"}
        )
        for text in self._warnings:
            response.headers.add("Warning", f'299 - "{_quoted(text)}"')
        response.content_length = length
        self._request[STARTED] = True
        await response.prepare(self._request)
        return response


async def write(response: web.StreamResponse, piece: bytes) -> None:
    """Write in small parts: pieces that many answers share are in memory once."""
    view = memoryview(piece)
    for start in range(0, len(view), _CHUNK_BYTES):
        await response.write(view[start : start + _CHUNK_BYTES])


def _quoted(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "replace").decode()
