"""Servers that only tests need, built from pinned Go modules as those of the embedded stack are."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from porchflow.devstack.cluster.binaries import REGISTRY
from porchflow.devstack.toolchain.executables import MODULES, Server

_ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Tool(Server):
    """A server whose version is not asked for: `version` is a pattern of what `--help` prints."""

    def problem(self, executable: Path) -> str:
        """Run an executable; return why it cannot be used, empty when it can."""
        try:
            done = subprocess.run(
                [executable, "--help"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_ANSWER_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        found = re.search(self.version, done.stdout + done.stderr)
        return "" if found else f"`{executable} --help` prints no version of {self.name}"


WRAPPER_SERVER = Tool(
    "wrapper-server",
    MODULES / "wrapper-server",
    "github.com/nephio-project/porch/func/wrapper-server",
    "PORCHFLOW_WRAPPER_SERVER",
    "gRPC server that fronts a KRM function",
    (0, 0),
)
"""Porch's own: what runs beside a function in its pod.

Source: docs/reference/porch-function-runner.md, "Pods".
"""

TOOLS = {"wrapper_binary": WRAPPER_SERVER, "registry_binary": REGISTRY}
"""By the name of the fixture."""
