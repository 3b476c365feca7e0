"""kubectl as a person runs it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

Kubectl = Callable[..., str]
"""Takes arguments and, as `input`, what goes to stdin; returns stdout."""


class KubectlError(Exception):
    """kubectl ended with an exit code; the message is what it said."""


def kubectl_with(kubeconfig: Path) -> Kubectl:
    """Return a function that runs kubectl with a kubeconfig.

    Raises:
        KubectlError: From the returned function, when kubectl fails.
    """

    def run(*arguments: str, input: str = "") -> str:  # noqa: A002 - as subprocess names it
        command = ["kubectl", f"--kubeconfig={kubeconfig}", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=input)
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    return run
