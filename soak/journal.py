"""The log of a run: a line with the time for each action, fault and finding."""

import time
from pathlib import Path
from typing import TextIO

import click

NAME = "soak.log"


class Journal:
    """Writes lines to a file, and to the terminal."""

    def __init__(self, folder: Path, *, quiet: bool = False) -> None:
        """Begin a journal in a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self._file: TextIO = self.path.open("w", encoding="utf-8", buffering=1)
        self._started = time.monotonic()
        self._quiet = quiet

    @property
    def seconds(self) -> float:
        """Seconds since the clock was started."""
        return time.monotonic() - self._started

    def start_clock(self) -> None:
        """Count from now on: the actions begin."""
        self._started = time.monotonic()

    def say(self, about: str, line: str) -> None:
        """Write a line.

        Args:
            about: Such as `action`, `fault`, `stack`.
            line: The rest of it.
        """
        text = f"{self.seconds:8.1f} {about:<9} {line}"
        self._file.write(f"{text}\n")
        if not self._quiet:
            click.echo(text)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
