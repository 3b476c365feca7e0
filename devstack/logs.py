"""Shows the logs of the parts as they grow, each line with the name of its part."""

import asyncio
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from click import style

Say = Callable[[str, str], None]
"""Called with the name of a part and a line."""

STACK = "stack"
"""The name for lines of the supervisor itself."""

_POLL_SECONDS = 0.2
_LOG_LIMIT = 50 * 1024 * 1024
_CHUNK = 256 * 1024
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_yellow", "bright_blue")
_SHOWN = {
    # The servers log much that is of no use to users of porchflow; the files hold all of it.
    "etcd": re.compile(r'"level":"(fatal|panic)"'),
    "kube-apiserver": re.compile(r"^F\d{4} "),
    "temporal": re.compile(r"level=(ERROR|FATAL)|^Error"),
}


class LogFollower:
    """Reads log files as they grow, and cuts files that grow too large."""

    def __init__(self, logs: Mapping[str, Path], say: Say, *, limit: int = _LOG_LIMIT) -> None:
        """Follow files from their present ends.

        Args:
            logs: The file of each part.
            say: Receives each line.
            limit: Bytes above which a file is moved to `<name>.1` and begun again.
        """
        self._logs = dict(logs)
        self._say = say
        self._limit = limit
        self._offsets = {name: _size(path) for name, path in logs.items()}

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            while True:
                self.poll()
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            self.poll()

    def poll(self) -> None:
        """Show the lines since the last call."""
        for name, path in self._logs.items():
            for line in self._new_lines(name, path):
                if name not in _SHOWN or _SHOWN[name].search(line):
                    self._say(name, line)
            if _size(path) > self._limit:
                # Truncating suits processes that append; a few lines written between the two calls may be lost.
                shutil.copyfile(path, path.with_name(f"{path.name}.1"))
                with path.open("r+b") as file:
                    file.truncate()
                self._offsets[name] = 0

    def _new_lines(self, name: str, path: Path) -> list[str]:
        if (size := _size(path)) < self._offsets[name]:
            self._offsets[name] = 0
        if size == self._offsets[name]:
            return []
        with path.open("rb") as file:
            file.seek(self._offsets[name])
            chunk = file.read(_CHUNK)
        complete = chunk[: chunk.rfind(b"\n") + 1] or (chunk if len(chunk) == _CHUNK else b"")
        self._offsets[name] += len(complete)
        return complete.decode(errors="replace").splitlines()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def console(*, only_stack: bool = False) -> Say:
    """Return a function that prints lines to standard output: the name before the line, in colour on a terminal.

    Args:
        only_stack: Leave out the lines of the parts.
    """
    colours: dict[str, str] = {}
    coloured = sys.stdout.isatty()

    def say(who: str, line: str) -> None:
        if only_stack and who != STACK:
            return
        name = f"{who:>15} |"
        if coloured:
            name = style(name, fg=colours.setdefault(who, _COLOURS[len(colours) % len(_COLOURS)]))
        # In one piece, because several threads may print.
        print(f"{name} {line}\n", end="", flush=True)

    return say
