"""Printing of differences: as a unified diff, as a table of changed lines, or as names of files."""

import re
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal, TextIO

from porchflow.gitrepo.store.diffs import FileDiff

Format = Literal["unified", "stat", "names"]

_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_BAR = 40
_STYLES = {b"+": "green", b"-": "red", b"@": "cyan"}
_HEADER = "bold"

Line = tuple[str, bytes]
"""A style of the library rich, empty for none, and the line without its line end."""


def lines_of(diffs: Sequence[FileDiff], form: Format) -> Iterator[Line]:
    """Return the lines to print.

    Args:
        diffs: The files that differ.
        form: The format.
    """
    if form == "names":
        yield from (("", name.encode()) for name in dict.fromkeys(diff.path for diff in diffs))
    elif form == "stat":
        yield from _stat(diffs)
    else:
        for diff in diffs:
            yield from ((_HEADER, line.encode()) for line in diff.header)
            yield from ((_STYLES.get(line[:1], ""), line) for line in diff.hunks.split(b"\n")[:-1])


def print_plain(lines: Iterator[Line], out: BinaryIO) -> None:
    """Print the bytes of the files unchanged, for `git apply` and `patch`."""
    out.writelines(line + b"\n" for _, line in lines)
    out.flush()


def print_coloured(lines: Iterator[Line], out: TextIO) -> None:
    """Print for a terminal: in colour, and with control characters of the files made visible."""
    from rich.console import Console  # noqa: PLC0415 - a pipe needs no colour, and rich loads slowly
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=out, force_terminal=True, color_system="standard", no_color=False, highlight=False)
    for style, line in lines:
        text = _CONTROL.sub(lambda match: b"^" + bytes([match[0][0] ^ 0x40]), line).decode(errors="replace")
        console.print(Text(text, style), soft_wrap=True)


def is_coloured(when: Literal["auto", "always", "never"], environ: dict[str, str]) -> bool:
    """Whether to use colour. `auto` means on a terminal that has colours, unless NO_COLOR is set.

    Args:
        when: The user's choice.
        environ: The environment variables.
    """
    if when == "auto":
        return sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return when == "always"


def _stat(diffs: Sequence[FileDiff]) -> Iterator[Line]:
    width = max((len(diff.path) for diff in diffs), default=0)
    most = max((diff.added + diff.removed for diff in diffs), default=0)
    digits = len(str(most))
    for diff in diffs:
        changed = "Bin" if diff.binary else f"{diff.added + diff.removed:>{digits}} {_bar(diff, most)}".rstrip()
        yield "", f" {diff.path:<{width}} | {changed}".encode()
    if diffs:
        told = (
            f" {_count(len({diff.path for diff in diffs}), 'file')} changed",
            f"{_count(sum(diff.added for diff in diffs), 'line')} added",
            f"{_count(sum(diff.removed for diff in diffs), 'line')} removed",
        )
        yield "", ", ".join(told).encode()


def _bar(diff: FileDiff, most: int) -> str:
    scale = min(1.0, _BAR / most) if most else 0.0
    # At least one sign, so that every change is visible.
    return "".join(
        sign * max(round(count * scale), 1) for sign, count in (("+", diff.added), ("-", diff.removed)) if count
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
