"""Reports of a rendering: lines for people, JSON for programs."""

from collections.abc import Iterator
from typing import Any

from porchflow.gitrepo.store.diffs import FileDiff
from porchflow.kpt.format.krm import map_of
from porchflow.kpt.render.hydrate import RenderOutcome
from porchflow.yamltext.document import load
from porchflow.yamltext.yaml_error import YamlError


def lines_of(outcome: RenderOutcome) -> Iterator[str]:
    """Return a line for each function, with its results below, then the outcome.

    Control characters are escaped, so that the output of functions cannot control the terminal.
    """
    for line in _lines_of(outcome):
        yield "".join(map(_printable, line))


def _printable(character: str) -> str:
    return character if character.isprintable() or character == "\t" else ascii(character)[1:-1]


def _lines_of(outcome: RenderOutcome) -> Iterator[str]:
    package = None
    for step in outcome.steps:
        if step.package != package:
            package = step.package
            yield f'Package "{package or "."}":'
        word = "PASS" if step.ok else "FAIL"
        yield f"[{word}] {step.kind} {step.label} in {step.duration:.2f} s"
        yield from (f"  {line}" for result in step.results for line in str(result).splitlines())
        yield from (f"  {line}" for line in (step.stderr or step.execution_error).splitlines())
    yield from ["rendered"] if outcome.ok else f"not rendered: {outcome.message}".splitlines()


def as_data(outcome: RenderOutcome) -> dict[str, Any]:
    """Return the outcome as data for JSON, with the names of the Kptfile's `renderStatus`."""
    return {
        "ok": outcome.ok,
        "message": outcome.message,
        "steps": [
            {
                "package": step.package or ".",
                "kind": step.kind,
                "name": step.name,
                "image": step.image,
                "exitCode": step.exit_code,
                "durationSeconds": round(step.duration, 3),
                "stderr": step.stderr,
                "executionError": step.execution_error,
                "results": [result.model_dump(exclude_defaults=True) for result in step.results],
            }
            for step in outcome.steps
        ],
    }


def same_but_for_status(diff: FileDiff) -> bool:
    """Whether two versions of a Kptfile differ in `status` at most, which records the last rendering."""
    if diff.old is None or diff.new is None:
        return False
    try:
        old, new = (map_of(load(file.data.decode())) for file in (diff.old, diff.new))
    except (YamlError, UnicodeDecodeError):
        return False
    return {**old, "status": None} == {**new, "status": None}
