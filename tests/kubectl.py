"""kubectl as a person runs it, against the API server that tests share."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

Kubectl = Callable[..., str]
"""Takes arguments and, as `input`, what goes to stdin; returns stdout."""


class KubectlError(Exception):
    """kubectl ended with an exit code; the message is what it said."""


@pytest.fixture(scope="session")
def kubectl(control_plane: Any) -> Kubectl:
    """Run kubectl as the administrator."""

    def run(*arguments: str, input: str = "") -> str:  # noqa: A002 - as subprocess names it
        command = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=input)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    return run
