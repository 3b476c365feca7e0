"""`porchflow demo`, as a person runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.system import ROOT

_PARTS_WITH_PORTS = ("API", "ETCD", "TEMPORAL", "UI", "GIT", "RUNNER", "CONTENT")
ANY_FREE_PORTS = {f"PORCHFLOW_{part}_PORT": "0" for part in _PARTS_WITH_PORTS}


def run(state: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "porchflow.cli.main", *command],
        cwd=ROOT,
        env={**os.environ, **ANY_FREE_PORTS, "PORCHFLOW_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_the_demo_publishes_its_package_each_time_and_state_survives(
    server_binaries: dict[str, Path], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    first = run(state, "demo", "--stop")
    assert first.returncode == 0, first.stdout + first.stderr
    steps = re.findall(r"^ +[\d.]+ s  (.*)$", first.stdout, flags=re.MULTILINE)
    told = [re.sub(r"[\d.]+ s later ", "", step.split(":")[0].split(",")[0]) for step in steps]
    assert told == [
        "registered Repository demo",
        "created PackageRevision demo.storefront.v1",
        "it is a draft now",
        "pushed its content",
        "apply-setters and set-namespace have rendered it",
        "changed one line of setters.yaml; it is rendered",
        "it is Proposed",
        "it is Published as revision 1",
        "cloned it as demo.storefront-eu.v1",
    ]
    assert "+  replicas: 3 # kpt-set: ${replicas}" in first.stdout
    assert "refs/tags/storefront/v1" in first.stdout
    assert "/namespaces/default/workflows?query=" in first.stdout
    assert not (state / "stack.json").exists(), "the stack is stopped"

    second = run(state, "demo", "--stop")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "it is Published as revision 2" in second.stdout
    assert "demo.storefront.v1" in second.stdout, "what the first one made is still there"
