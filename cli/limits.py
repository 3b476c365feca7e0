"""Generator of docs/limits.md from `porchflow.api.limits`: `python -m porchflow.cli.limits`."""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from porchflow.api import limits

PAGE: Final = Path(__file__).parents[2] / "docs" / "limits.md"

_HEAD: Final = """\
# Limits

<!-- Made from api/limits.py by `python -m porchflow.cli.limits`. Change that, not this. -->

What comes from others is counted before it is expanded: content of repositories, packages, answers of functions and of
registries, requests. What is above a limit is refused with a message that names the limit and the place, such as
`package 'shop' at commit 1f0c…: more than 10,000 files (the limit) at charts/a/…`; where the meaning says so, the rest
is cut or left out instead. An object that meets a limit is Stalled until its package is smaller. Limits that are
settings are in [configuration.md](configuration.md).
"""

_TABLE: Final = """
## {}

| limit | value | meaning |
| --- | --- | --- |
"""


def page() -> str:
    """Return the page, from the limits of this version."""
    return _HEAD + "".join(_parts())


def _parts() -> Iterator[str]:
    source = inspect.getsource(limits)
    meanings = _meanings(source)
    for line in source.splitlines():
        if line.startswith("# "):
            yield _TABLE.format(line.removeprefix("# "))
        name = line.partition(":")[0]
        if name in meanings:
            yield f"| `{name}` | {_shown(name)} | {meanings[name]} |\n"


def _meanings(source: str) -> dict[str, str]:
    """Return the docstring below each constant, on one line, by name of the constant."""
    body = ast.parse(source).body
    found: dict[str, str] = {}
    for constant, text in pairwise(body):
        if isinstance(constant, ast.AnnAssign) and isinstance(constant.target, ast.Name):
            said = text.value if isinstance(text, ast.Expr) else None
            if isinstance(said, ast.Constant):
                found[constant.target.id] = re.sub(r"\s+", " ", str(said.value))
    return found


def _shown(name: str) -> str:
    value = int(getattr(limits, name))
    if name.endswith(("_BYTES", "_MEMORY")) and value % limits.KIB == 0:
        return f"{value // limits.MIB} MiB" if value % limits.MIB == 0 else f"{value // limits.KIB} KiB"
    return f"{value:,}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
