"""Generated files: written anew, or compared with what is there."""

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
"""The checkout."""


@dataclass(frozen=True)
class Generated:
    """A file that a generator makes.

    Attributes:
        path: Where it is.
        text: What it should hold.
    """

    path: Path
    text: str

    def difference(self) -> str:
        """Return a unified diff from the file that is there to the generated one; empty when they agree."""
        found = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        name = self.path.name
        old, new = found.splitlines(keepends=True), self.text.splitlines(keepends=True)
        return "".join(difflib.unified_diff(old, new, name, f"{name} (generated)"))

    def write(self) -> None:
        """Write the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")


def write_or_check(module: str, files: Iterable[Generated], arguments: Sequence[str] | None = None) -> int:
    """Write generated files, or check them with `--check`.

    Args:
        module: The module that the user runs.
        files: What it makes.
        arguments: Those of the command line by default.

    Returns:
        The exit code: 1 for a stale file.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Write generated files.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff when a file is stale")
    if not parser.parse_args(arguments).check:
        for file in files:
            file.write()
        return 0
    stale = [(file.path.name, difference) for file in files if (difference := file.difference())]
    for _, difference in stale:
        sys.stdout.write(difference)
    if stale:
        names = ", ".join(name for name, _ in stale)
        sys.stderr.write(f"not what the code says: {names}; run `python -m {module}`\n")
    return 1 if stale else 0
