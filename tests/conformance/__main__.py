"""Tries the packages of public repositories: `make conformance PACKAGES=FOLDER`.

FOLDER holds clones of Git repositories, or is one. Each outermost package at HEAD is cloned, rendered with the built-in
functions, and upgraded from its version before. The table says of each: `equal`, `format only` (the same meaning in
other bytes), `refused` with the reason, `differs`, or `-` where there is one version only.

The exit code is 0 when nothing differs, 1 when something does, and 2 when the folder has no repositories.
"""

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path

from tests.conformance.packages import DIFFERS, FORMAT, Row, UnreadableFolder, repositories, rows

_WORST = (DIFFERS.strip(": "), FORMAT)


def main(arguments: list[str]) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="Clones of Git repositories.")
    folder = parser.parse_args(arguments).folder
    try:
        return asyncio.run(_print(repositories(folder)))
    except UnreadableFolder as error:
        sys.stderr.write(f"{error}\n")
        return 2


async def _print(places: list[Path]) -> int:
    counts: list[Counter[str]] = [Counter(), Counter(), Counter()]
    _say("| package | clone | render | upgrade |\n| --- | --- | --- | --- |")
    async for row in rows(places):
        _say(_line(row))
        for count, result in zip(counts, row.results, strict=True):
            count[result.partition(":")[0]] += 1
    _say(f"| {sum(counts[0].values())} packages | {' | '.join(map(_summary, counts))} |")
    return int(any(count[word] for count in counts for word in _WORST))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _line(row: Row) -> str:
    return "| " + " | ".join(each.replace("|", "\\|") for each in (row.package, *row.results)) + " |"


def _summary(count: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(count.items())) or "none"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
