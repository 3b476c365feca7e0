"""Writes the generated pages of docs/ and the generated files of deploy/monitoring, or checks them with `--check`."""

import sys
from collections.abc import Iterator
from typing import Final

from porchflow.cli.monitoring.alarms import FOLDER, component_files
from porchflow.cli.monitoring.dashboard import dashboard
from porchflow.cli.reference.commands_page import commands_page
from porchflow.cli.reference.generated import ROOT, Generated, write_or_check
from porchflow.cli.reference.metrics_page import metrics_page
from porchflow.cli.reference.names_page import names_page
from porchflow.cli.reference.reasons_page import reasons_page
from porchflow.cli.reference.resources_page import resources_page

_PAGES: Final = ROOT / "docs" / "reference"


def generated() -> Iterator[Generated]:
    """Return all files, from the code of this version."""
    yield Generated(_PAGES / "custom-resources.md", resources_page())
    yield Generated(_PAGES / "reasons.md", reasons_page())
    yield Generated(_PAGES / "names.md", names_page())
    yield Generated(_PAGES / "commands.md", commands_page())
    yield Generated(_PAGES / "metrics.md", metrics_page())
    yield Generated(FOLDER / "dashboard.json", dashboard())
    for path, text in component_files().items():
        yield Generated(path, text)


if __name__ == "__main__":
    sys.exit(write_or_check("porchflow.cli.reference", generated()))
