"""Makes docs/configuration.md from the settings and the commands: `python -m porchflow.cli.configuration [--check]`."""

import argparse
import difflib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from pydantic.fields import FieldInfo

from porchflow.cli.main import main as porchflow
from porchflow.cli.settings import Settings, flag_of, variable_of
from porchflow.cli.stack_settings import StackSettings
from porchflow.cli.stack_settings import variable_of as stack_variable_of

PAGE: Final = Path(__file__).parents[2] / "docs" / "configuration.md"

_PROCESSES: Final = ("worker", "watcher", "function-runner", "content-api")

_HEAD = """\
# Configuration

<!-- Made from the settings by `python -m porchflow.cli.configuration`. Change those, not this. -->

Every setting is an environment variable, and a flag of the processes that read it; the flag wins. Lists are separated
by commas. A bad value, and a variable that begins with `PORCHFLOW_` and is none of these, ends the start with exit code
2 and says what would be right. `porchflow up` gives its own processes what they need, and hands the rest of its
environment on.

## The processes

| environment | flag | default | read by | meaning |
| --- | --- | --- | --- | --- |
"""

_STACK_HEAD = """
Who else reads some of them says so in its `--help`: `diff`, `render`, `migrate` and `doctor` use the same servers.

## The embedded stack

Of `porchflow up`, `demo`, `status`, `down` and `doctor`. Where a server is an executable of your own, its path is in
`PORCHFLOW_ETCD`, `PORCHFLOW_KUBE_APISERVER` or `PORCHFLOW_TEMPORAL`; what is built is kept in `PORCHFLOW_CACHE_DIR`.

| environment | flag | default | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    readers = _readers()
    rows = "".join(_row(name, field, readers.get(name, ())) for name, field in Settings.model_fields.items())
    stack = "".join(
        _line(stack_variable_of(name), flag_of(name), _default(field), str(field.description))
        for name, field in StackSettings.model_fields.items()
    )
    return _HEAD + rows + _STACK_HEAD + stack


def _readers() -> Mapping[str, Sequence[str]]:
    """Return which processes take which setting as a flag."""
    readers: dict[str, list[str]] = {}
    for process in _PROCESSES:
        command = porchflow.get_command(click.Context(porchflow), process)
        assert command is not None  # noqa: S101 - the names are those of the command table
        for parameter in command.params:
            readers.setdefault(str(parameter.name), []).append(process)
    return readers


def _row(name: str, field: FieldInfo, readers: Sequence[str]) -> str:
    # What is in no flag is secret: the watcher's webhook secret.
    flag, read_by = (flag_of(name), ", ".join(readers)) if readers else ("", "watcher")
    return _line(variable_of(name, field), flag, _default(field), read_by, str(field.description))


def _line(variable: str, flag: str, *cells: str) -> str:
    shown = (f"`{variable}`", f"`{flag}`" if flag else "", *cells)
    return "|" + "|".join(f" {cell} " if cell else " " for cell in shown) + "|\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if (
        field.default_factory is not None
        or value is None
        or str(value) in {"", "()"}
        or "Secret" in type(value).__name__
    ):
        return ""
    shown = ",".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else value
    return f"`{shown}`"


def difference() -> str:
    """Return how the page differs from what it should be; empty when it does not."""
    found = PAGE.read_text() if PAGE.exists() else ""
    return "".join(_diff(found, page()))


def _diff(found: str, wanted: str) -> Iterator[str]:
    return difflib.unified_diff(
        found.splitlines(keepends=True), wanted.splitlines(keepends=True), "docs/configuration.md", "the settings"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m porchflow.cli.configuration", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff when the page is stale")
    if not parser.parse_args(arguments).check:
        PAGE.write_text(page())
        return 0
    stale = difference()
    if stale:
        sys.stdout.write(stale)
        sys.stderr.write(
            "docs/configuration.md is not what the settings say; run `python -m porchflow.cli.configuration`\n"
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
