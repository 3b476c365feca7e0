"""Brings porchflow into the cluster as its users do: `porchflow install`, from `deploy/` alone."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from porchflow.api.models.conditions import raw_holding
from porchflow.cli.stack_state import StateError
from porchflow.devstack.cluster.addons import addons
from porchflow.devstack.cluster.layout import NODE, ClusterFolder
from porchflow.devstack.logs import STACK, Say
from porchflow.devstack.objects.waiting import until

IMAGE = "porchflow:0.1.0"

_NODE_SECONDS = 120
_COMMAND_SECONDS = 300
_ROLLOUT_SECONDS = 300


def deploy(folder: ClusterFolder, say: Say) -> None:
    """Wait for the node, give the cluster DNS and Temporal, and install porchflow until its pods are ready.

    Args:
        folder: The state of a cluster whose parts are ready.
        say: Receives events.

    Raises:
        StateError: A command fails; the message has its output.
        TimeoutError: The node or a pod is not ready in time.
    """
    kubectl = Kubectl(folder)
    started = time.monotonic()
    asyncio.run(until(kubectl.node_is_ready, seconds=_NODE_SECONDS, what=f"node {NODE} is ready"))
    say(STACK, f"node {NODE} is ready ({time.monotonic() - started:.1f} s)")
    kubectl.run("apply", "--server-side", "--filename", "-", given=_list(addons()))
    say(STACK, "installing porchflow")
    started = time.monotonic()
    _checked([sys.executable, "-m", "porchflow.cli.main", "install", *kubectl.flags, "--image", IMAGE])
    kubectl.run("rollout", "status", "deployment", "--namespace=porchflow-system", f"--timeout={_ROLLOUT_SECONDS}s")
    say(STACK, f"porchflow's pods are ready ({time.monotonic() - started:.1f} s)")


class Kubectl:
    """Runs kubectl against the cluster."""

    def __init__(self, folder: ClusterFolder) -> None:
        """Connect as the administrator.

        Args:
            folder: State of the cluster, with the kubeconfig.
        """
        self.flags = ("--kubeconfig", str(folder.kubeconfig))

    def run(self, *arguments: str, given: str | None = None) -> str:
        """Run it and return its output.

        Args:
            arguments: Its arguments.
            given: Its standard input.

        Raises:
            StateError: It fails; the message has its output.
        """
        return _checked(["kubectl", *self.flags, *arguments], given)

    async def node_is_ready(self) -> bool:
        """Return whether the node can take pods."""
        try:
            node = json.loads(await asyncio.to_thread(self.run, "get", "node", NODE, "--output=json"))
        except StateError:
            return False
        return bool(raw_holding(node, "Ready"))


def _checked(command: Sequence[str], given: str | None = None) -> str:
    done = subprocess.run(
        command,
        input=given or "",
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS + _ROLLOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise StateError(f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _list(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
