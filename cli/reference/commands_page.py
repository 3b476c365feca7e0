"""The page of the command line."""

from collections.abc import Iterator
from typing import Final

import click

from porchflow.cli.main import main as porchflow
from porchflow.cli.reference.tables import code, table

_HEAD: Final = """\
# Command line

<!-- Made from the commands by `python -m porchflow.cli.reference`. Change those, not this. -->

For everybody: every command of `porchflow`, with its options. `porchflow COMMAND --help` says the same. Options that
are [settings](configuration.md) can be given as environment variables, too.
"""


def commands_page() -> str:
    """Return the page, from the commands of this version."""
    return _HEAD + "".join(
        _sections(porchflow, click.Context(porchflow, info_name="porchflow", **porchflow.context_settings))
    )


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None  # noqa: S101 - the names are those of the group
        inner = click.Context(command, info_name=name, parent=context)
        yield _section(command, inner)
        if isinstance(command, click.Group):
            yield from _sections(command, inner)


def _section(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    said = "\n\n".join(" ".join(part.split()) for part in (command.help or "").replace("\b", "").split("\n\n"))
    rows = [_row(option) for option in command.params if isinstance(option, click.Option) and not option.hidden]
    options = "\n" + table(("option", "meaning"), rows) if rows else ""
    return f"\n## {context.command_path}\n\n```text\n{usage}\n```\n\n{said}\n{options}"


def _row(option: click.Option) -> tuple[str, str]:
    names = ", ".join(map(code, [*option.opts, *option.secondary_opts]))
    value = "" if option.is_flag else " " + code(option.make_metavar(click.Context(click.Command(""))))
    return names + value, option.help or ""
