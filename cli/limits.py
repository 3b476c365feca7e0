"""Generator of docs/reference/limits.md from `porchflow.api.limits`: `python -m porchflow.cli.limits`."""

import inspect
import sys
from collections.abc import Iterator
from typing import Final

from porchflow.api import limits
from porchflow.cli.reference.documented import documented
from porchflow.cli.reference.generated import ROOT, Generated, write_or_check

PAGE: Final = ROOT / "docs" / "reference" / "limits.md"

_HEAD: Final = """\
# Limits

<!-- Made from api/limits.py by `python -m porchflow.cli.limits`. Change that, not this. -->

Foreign content is counted before it is expanded: content of repositories, packages, answers of functions and of
registries, requests. Content above a limit is refused with a message that names the limit and the place, such as
`package 'shop' at commit 1f0c…: more than 10,000 files (the limit) at charts/a/…`; where the meaning says so, the rest
is cut or left out instead. An object that meets a limit is Stalled until its package is smaller. Limits that are
settings are in [settings](configuration.md).
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
    meanings = documented(limits)
    for line in inspect.getsource(limits).splitlines():
        if line.startswith("# "):
            yield _TABLE.format(line.removeprefix("# "))
        name = line.partition(":")[0]
        if name in meanings:
            yield f"| `{name}` | {_shown(name)} | {meanings[name]} |\n"


def _shown(name: str) -> str:
    value = int(getattr(limits, name))
    if name.endswith(("_BYTES", "_MEMORY")) and value % limits.KIB == 0:
        return f"{value // limits.MIB} MiB" if value % limits.MIB == 0 else f"{value // limits.KIB} KiB"
    return f"{value:,}"


if __name__ == "__main__":
    sys.exit(write_or_check("porchflow.cli.limits", [Generated(PAGE, page())]))
