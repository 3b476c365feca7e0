"""Results of functions: messages about resources, with a severity."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from porchflow.api.limits import RESULT_CHARACTERS, RESULTS, RESULTS_BYTES
from porchflow.kpt.format.krm import map_of
from porchflow.yamltext.nodes import Value


class ResourceRef(BaseModel):
    """The resource that a result is about; the fields are in kpt's order."""

    model_config = ConfigDict(frozen=True)
    apiVersion: str = ""  # noqa: N815 - a wire name
    kind: str = ""
    name: str = ""
    namespace: str = ""


class ResultField(BaseModel):
    """The field that a result is about; values are in Go's print format."""

    model_config = ConfigDict(frozen=True)
    path: str = ""
    currentValue: str = ""  # noqa: N815 - a wire name
    proposedValue: str = ""  # noqa: N815 - a wire name


class ResultFile(BaseModel):
    """The file that a result is about."""

    model_config = ConfigDict(frozen=True)
    path: str = ""
    index: int = 0


class Result(BaseModel):
    """One result of a function. An empty severity counts as `info`."""

    model_config = ConfigDict(frozen=True)
    message: str = ""
    severity: str = ""
    resourceRef: ResourceRef | None = None  # noqa: N815 - a wire name
    field: ResultField | None = None
    file: ResultFile | None = None
    tags: dict[str, str] = {}

    @property
    def is_error(self) -> bool:
        """Whether the severity is `error`."""
        return self.severity.lower() == "error"

    @property
    def size(self) -> int:
        """Approximate bytes of the result in the Kptfile."""
        return len(self.model_dump_json().encode())

    def __str__(self) -> str:
        where = ""
        if self.resourceRef:
            ref = self.resourceRef
            where = "/".join(part for part in (ref.apiVersion, ref.kind, ref.namespace, ref.name) if part)
        if self.field and self.field.path:
            where = f"{where} {self.field.path}".strip()
        return f"[{self.severity or 'info'}] {where + ': ' if where else ''}{self.message}"


def parse_results(raw: Value) -> list[Result]:
    """Parse the `results` of a ResourceList.

    Fields of other types are left out rather than refused: the message of a result matters most.

    Args:
        raw: A list of maps, or the legacy form: a map with such a list below `items`.
    """
    items = raw.get("items") if isinstance(raw, dict) else raw
    if not isinstance(items, list):
        return []
    found = [item for item in items if isinstance(item, dict)]
    results = _bounded(map(_result, found))
    if len(results) < len(found):
        results.append(left_out(len(found) - len(results)))
    return results


def left_out(count: int) -> Result:
    """Return the result that stands for results which are not kept."""
    return Result(message=f"{count} more results were left out", severity="info")


def _bounded(results: Iterable[Result]) -> list[Result]:
    kept: list[Result] = []
    size = 0
    for result in results:
        size += result.size
        if kept and (size > RESULTS_BYTES or len(kept) == RESULTS):
            break
        kept.append(result)
    return kept


def _result(item: dict[str, Any]) -> Result:
    tags = {key: _text(value) for key, value in map_of(item, "tags").items()}
    return Result(
        message=_text(item.get("message")),
        severity=_text(item.get("severity")),
        resourceRef=_reference(item),
        field=_field(item),
        file=_file(item),
        tags=tags,
    )


def _reference(item: dict[str, Any]) -> ResourceRef | None:
    reference = map_of(item, "resourceRef")
    legacy = map_of(reference, "metadata")
    if not reference:
        return None
    return ResourceRef(
        apiVersion=_text(reference.get("apiVersion")),
        kind=_text(reference.get("kind")),
        name=_text(reference.get("name") or legacy.get("name")),
        namespace=_text(reference.get("namespace") or legacy.get("namespace")),
    )


def _field(item: dict[str, Any]) -> ResultField | None:
    field = map_of(item, "field")
    if not field:
        return None
    return ResultField(
        path=_text(field.get("path")),
        currentValue=_text(field.get("currentValue")),
        proposedValue=_text(field.get("proposedValue", field.get("suggestedValue"))),
    )


def _file(item: dict[str, Any]) -> ResultFile | None:
    file = map_of(item, "file")
    if not file:
        return None
    index = file.get("index")
    return ResultFile(path=_text(file.get("path")), index=index if type(index) is int else 0)


def _text(value: Value) -> str:
    if value is None:
        return ""
    return clip(value if isinstance(value, str) else go_text(value))


def clip(text: str) -> str:
    """Return the text, cut to the limit of a result; the end then states how much is missing."""
    if len(text) <= RESULT_CHARACTERS:
        return text
    return f"{text[:RESULT_CHARACTERS]}… ({len(text) - RESULT_CHARACTERS} more characters)"


def go_text(value: Value) -> str:
    """Return a value in the format of Go's `%v`, as kpt writes values of results: `map[a:1 b:[x y]]`."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)
