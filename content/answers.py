"""How objects go out: in pieces that many answers share."""

from collections.abc import Sequence

from aiohttp import web

from content.encoding import Encoded, dumps
from content.objects import metadata_of, object_pieces
from content.packages import Found
from content.requests import Accepted, negotiate
from content.tables import check_include, column_definitions, metadata_object, row_pieces

_CHUNK_BYTES = 64 * 1024


class Answer:
    """What the client accepts, read before any work is done."""

    def __init__(self, request: web.Request) -> None:
        """Read the request's headers and parameters.

        Raises:
            ApiError: Nothing that the client accepts can be made.
        """
        self._request = request
        self._accepted: Accepted = negotiate(request.headers.get("Accept", ""))
        self._include = check_include(request.query.get("includeObject", ""))
        self._warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Tell the client something that is no error; kubectl and porchctl show it."""
        self._warnings.append(text)

    async def send_object(self, found: Found, content: Encoded) -> web.StreamResponse:
        """Send one object in the shape the client wants."""
        match self._accepted.shape:
            case "Table":
                version = metadata_of(found)["resourceVersion"]
                pieces = [self.table_head({"resourceVersion": version}), *self.pieces(found, content), b"]}"]
            case _:
                pieces = self.pieces(found, content)
        return await self._send(pieces)

    def pieces(self, found: Found, content: Encoded) -> list[bytes]:
        """Return one object as JSON: itself, its metadata, or its row."""
        match self._accepted.shape:
            case "Table":
                return row_pieces(found, content, self._include, self._accepted.version)
            case "PartialObjectMetadata":
                return [dumps(metadata_object(found, content, self._accepted.version))]
        return object_pieces(found, content)

    def table_head(self, metadata: dict[str, object]) -> bytes:
        """Return a table's JSON up to its first row."""
        head = {
            "kind": "Table",
            "apiVersion": f"meta.k8s.io/{self._accepted.version}",
            "metadata": metadata,
            "columnDefinitions": column_definitions(),
        }
        return dumps(head)[:-1] + b',"rows":['

    async def _send(self, pieces: Sequence[bytes]) -> web.StreamResponse:
        response = await self.begin(sum(map(len, pieces)))
        if self._request.method != "HEAD":
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
        await response.prepare(self._request)
        return response


async def write(response: web.StreamResponse, piece: bytes) -> None:
    """Write in small parts: what many read at once is in memory once."""
    view = memoryview(piece)
    for start in range(0, len(view), _CHUNK_BYTES):
        await response.write(view[start : start + _CHUNK_BYTES])


def _quoted(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"').encode("ascii", "replace").decode()
