import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porchflow.devstack.processes import free_port
from tests.docs.test_command_blocks import ROOT


@pytest.fixture
def environment(tmp_path: Path, server_binaries: dict[str, Path]) -> Iterator[dict[str, str]]:
    """A reader's, who has set porchflow up; the stack that a page starts is ended."""
    ports = {f"PORCHFLOW_{part}_PORT": "0" for part in ("API", "ETCD", "TEMPORAL", "UI", "RUNNER", "CONTENT")}
    servers = {f"PORCHFLOW_{name.upper().replace('-', '_')}": str(path) for name, path in server_binaries.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PORCHFLOW_", "KUBE"))}
    environment = {
        **kept,
        **ports,
        **servers,
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PORCHFLOW_WORKERS": "1",
        "PORCHFLOW_GIT_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }
    yield environment
    subprocess.run(["porchflow", "down"], cwd=tmp_path, env=environment, check=True, capture_output=True)
