"""Generator of the page of settings, from settings and commands: `python -m porchflow.cli.configuration [--check]`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

import click

from porchflow.cli.main import main as porchflow
from porchflow.cli.reference.generated import ROOT, Generated, write_or_check
from porchflow.cli.settings import Setting, Settings, StackSettings, settings_of

PAGE: Final = ROOT / "docs" / "reference" / "configuration.md"

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
`diff`, `render`, `migrate` and `doctor` use the same servers and read some of these settings, which their `--help`
lists.

## The embedded stack

Of `porchflow up`, `demo`, `status`, `down` and `doctor`. Where a server is an executable of your own, its path is in
`PORCHFLOW_ETCD`, `PORCHFLOW_KUBE_APISERVER` or `PORCHFLOW_TEMPORAL`, with `--temporal-store postgresql` in
`PORCHFLOW_TEMPORAL_SERVER`, `PORCHFLOW_TEMPORAL_SQL_TOOL` or `PORCHFLOW_TEMPORAL_UI_SERVER`; `PORCHFLOW_POSTGRESQL` is
the folder of PostgreSQL's programs. `PORCHFLOW_CACHE_DIR` keeps builds.

| environment | flag | default | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page, from the settings and commands of this version."""
    readers = _readers()
    # A secret has no flag, so no command shows which process reads it: all secrets are the watcher's.
    rows = "".join(
        _line(setting, ", ".join(readers.get(setting.name, ("watcher",)))) for setting in settings_of(Settings).values()
    )
    stack = "".join(map(_line, settings_of(StackSettings).values()))
    return _HEAD + rows + _STACK_HEAD + stack


def _readers() -> Mapping[str, Sequence[str]]:
    """Return the processes that have a flag for a setting, by name of the setting."""
    readers: dict[str, list[str]] = {}
    for process in _PROCESSES:
        command = porchflow.get_command(click.Context(porchflow), process)
        assert command is not None  # noqa: S101 - the names are those of the command table
        for parameter in command.params:
            readers.setdefault(str(parameter.name), []).append(process)
    return readers


def _line(setting: Setting, *readers: str) -> str:
    flag = "" if setting.is_secret else f"`{setting.flag}`"
    cells = (f"`{setting.variable}`", flag, _default(setting), *readers, str(setting.field.description))
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n"


def _default(setting: Setting) -> str:
    shown = setting.shown_default
    return f"`{shown.lower() if isinstance(setting.field.default, bool) else shown}`" if shown else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it with `--check`.

    Returns:
        The exit code: 1 for a stale page.
    """
    return write_or_check("porchflow.cli.configuration", [Generated(PAGE, page())], arguments)


if __name__ == "__main__":
    sys.exit(main())
