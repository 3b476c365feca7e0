"""Runs the parts of the cluster, as the first process of its namespaces.

Started by `porchflow.devstack.cluster.starting`, with the state folder as its only argument.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel

from porchflow.cli.stack_state import ProcessRecord, StackRecord
from porchflow.devstack.cluster.cgroups import Cgroup
from porchflow.devstack.cluster.init import supervise
from porchflow.devstack.cluster.layout import GIT_URL, RUNTIME_SOCKET, ClusterFolder, cgroup_name
from porchflow.devstack.cluster.namespaces import prepare_mounts, prepare_network
from porchflow.devstack.cluster.parts import groups
from porchflow.devstack.cluster.relay import relaying
from porchflow.devstack.logs import STACK, console
from porchflow.devstack.processes import ProcessError
from porchflow.devstack.supervisor import Supervisor

_IMPORT_SECONDS = 300


class Orders(BaseModel):
    """What the starter found outside, in a file of the state folder."""

    binaries: dict[str, Path]
    relays: dict[int, int]
    """Port of the node by the file descriptor of a listening socket of the host."""
    outside: dict[int, int]
    """Port of this machine's loopback interface by the port of the node that it leads to."""
    pod_memory: int
    """Bytes that pods may have together."""

    @staticmethod
    def path(folder: ClusterFolder) -> Path:
        """Return the file."""
        return folder.configuration / "orders.json"


def main() -> int:
    """Prepare the namespaces and run the parts until a signal ends them."""
    folder = ClusterFolder(Path(sys.argv[1]))
    Cgroup(cgroup_name(folder)).join()
    prepare_mounts(folder)
    prepare_network()
    return supervise(lambda: asyncio.run(_run(folder)))


async def _run(folder: ClusterFolder) -> int:
    orders = Orders.model_validate_json(Orders.path(folder).read_bytes())
    say = console(only_stack=True)
    # Process ids of this namespace: for people, not for `porchflow down`.
    record = StackRecord(supervisor=ProcessRecord.of(os.getpid()), git=GIT_URL, kubeconfig=str(folder.kubeconfig))
    supervisor = Supervisor(folder, record, say)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    with folder.locked():
        try:
            async with relaying(orders.relays):
                for group in groups(folder, orders.binaries, memory=orders.pod_memory):
                    await supervisor.start(*group)
                    if any(part.name == "containerd" for part in group):
                        await asyncio.to_thread(import_images, folder)
                        say(STACK, "the node has its images")
                record.ready = True
                folder.write(record)
                await ended.wait()
        except ProcessError as error:
            say(STACK, str(error))
            return 1
        finally:
            await supervisor.stop()
    return 0


def import_images(folder: ClusterFolder) -> None:
    """Give the node the images whose archives are in the state folder."""
    for archive in sorted(folder.images.glob("*.tar")):
        subprocess.run(
            [
                "ctr",
                f"--address={RUNTIME_SOCKET}",
                "--namespace=k8s.io",
                "images",
                "import",
                str(archive),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=_IMPORT_SECONDS,
            check=True,
        )


if __name__ == "__main__":
    sys.exit(main())
