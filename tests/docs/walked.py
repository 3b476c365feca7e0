"""Runs the commands of a page as a reader does: block after block, in one shell, and compares what they print.

A block of a page is one of these:

- `sh`: run. The block `text` after it, if there is one, is what it prints.
- any language with a title, such as `yaml title="hello.yaml"`: a file that the reader writes.
- `console`, and everything else: shown only, such as commands for another cluster.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_SECONDS = 300


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: Of its first line in the page.
        language: The first word behind the fence.
        title: Of the file that it is; empty for none.
        body: Its text.
    """

    line: int
    language: str
    title: str
    body: str


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found = []
    for match in _FENCE.finditer(page):
        info = match["info"].strip()
        title = _TITLE.search(info)
        line = page[: match.start()].count("\n") + 1
        found.append(Block(line, info.partition(" ")[0], title[1] if title else "", match["body"]))
    return found


def agrees(shown: str, printed: str) -> bool:
    """Return whether a command prints what a page shows.

    A line `…` stands for any lines, `…` within a line for any text; columns may be wider or narrower.
    """
    pattern = ""
    for line in shown.strip().splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
            continue
        words = [r"\s+".join(re.escape(word) for word in part.split(" ") if word) for part in _parts(line)]
        pattern += r"\s*" + r".*".join(words) + r"[^\S\n]*\n"
    return re.fullmatch(pattern, printed.strip() + "\n") is not None


def _parts(line: str) -> list[str]:
    return re.sub(r"[^\S\n]+", " ", line.strip()).split("…")


def walk(page: Path, folder: Path, environment: dict[str, str], *, replace: dict[str, str]) -> None:
    """Write the files and run the commands of a page.

    Args:
        page: The page.
        folder: Where the reader is.
        environment: Of the reader's shell.
        replace: Texts of the page that are others here, such as ports.

    Raises:
        AssertionError: A command fails or prints something else; with the line of the page.
    """
    found = blocks(page.read_text(encoding="utf-8"))
    shell = Shell(folder, environment)
    for at, block in enumerate(found):
        body = block.body
        for here, there in replace.items():
            body = body.replace(here, there)
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(body, encoding="utf-8")
        elif block.language == "sh":
            code, printed = shell.run(body)
            where = f"{page.name}:{block.line}"
            assert code == 0, f"{where} ended with {code}:\n{body}\n{printed}"
            after = found[at + 1] if at + 1 < len(found) else None
            if after is not None and after.language == "text":
                shown = after.body
                for here, there in replace.items():
                    shown = shown.replace(here, there)
                assert agrees(shown, printed), (
                    f"{page.name}:{after.line} shows\n{shown}\nand the commands print\n{printed}"
                )


class Shell:
    """A shell whose folder and exported variables stay from block to block."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = str(folder)
        self._environment = environment

    def run(self, commands: str) -> tuple[int, str]:
        """Return the exit code of the first command that fails, else 0, and what all print on stdout."""
        script = f"set -euo pipefail\n{commands}\nenv -0 >&3\n"
        read, write = os.pipe()
        with os.fdopen(read, "rb") as kept:
            try:
                done = subprocess.run(
                    ["bash", "-c", f"exec 3>&{write}\n{script}"],
                    cwd=self._folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    pass_fds=[write],
                    timeout=_SECONDS,
                    check=False,
                )
            finally:
                os.close(write)
            if done.returncode:
                return done.returncode, done.stdout + done.stderr
            self._environment = dict(
                each.partition("=")[::2] for each in kept.read().decode().split("\0") if each.partition("=")[1]
            )
        self._folder = self._environment["PWD"]
        return 0, done.stdout
