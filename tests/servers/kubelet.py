"""A stand-in for the kubelet and the network of pods: starts Porch's wrapper server for each pod of a namespace.

Each pod has a loopback address of its own, where the port of the pod leads to the one its process listens on; the
process is told another port than the manifest says, since all of them share this machine. Images are not pulled: their
commands are files of this machine. All else is as a kubelet does it: statuses, restarts, graceful deletion.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from porchflow.devstack.processes import free_port
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.kinds import PODS, SECRETS, Resource
from porchflow.kube.transport import Request
from porchflow.kube.watching import Changed, Deleted, Listed, watch_objects
from tests.servers.waiting import eventually

PORT = 9446


class RunningPod:
    """A pod on the node: its process and its address."""

    def __init__(self, kubelet: "Kubelet", obj: Object) -> None:
        self.kubelet = kubelet
        self.obj = obj
        self.name: str = obj["metadata"]["name"]
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self.leaving = asyncio.Event()
        self.last_state: dict[str, Any] = {}
        self.end_reason = "Error"
        self.stack = contextlib.AsyncExitStack()

    @property
    def container(self) -> dict[str, Any]:
        return dict(self.obj["spec"]["containers"][0])

    @property
    def image(self) -> str:
        return str(self.container["image"])

    async def run(self) -> None:
        """Live until deleted, as a kubelet's worker for one pod does."""
        async with self.stack:
            try:
                await self._start()
                while True:
                    await self._serve()
            except _Leaves:
                await self._end()
            except NotFound:
                return

    async def _start(self) -> None:
        await self.kubelet.bind(self)
        problem = self.kubelet.problem(self)
        if problem:
            await self.report("Pending", {"state": {"waiting": problem}})
            await self._until_leaving()

    async def _until_leaving(self) -> None:
        await self.leaving.wait()
        raise _Leaves

    async def _serve(self) -> None:
        port, address = free_port(), random_address()
        self.process = await self._launch(port)
        entry = random_address() if self.kubelet.unreachable else address
        server = await asyncio.start_server(lambda r, w: _forward(r, w, port), entry, PORT)
        try:
            await self._or_leave(eventually(lambda: _answers(port), 30, f"wrapper server of {self.name}"))
            state = {"state": {"running": {}}, "ready": True}
            await self.report("Running", state, address=address)
            await self._or_leave(self.process.wait())
        finally:
            server.close()
        self.kill(self.end_reason)
        self.restarts += 1
        exit_code = abs(self.process.returncode or 0)
        self.last_state = {"lastState": {"terminated": {"exitCode": exit_code, "reason": self.end_reason}}}
        waiting = {"state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}
        await self.report("Running", waiting, address=address)

    async def _or_leave(self, work: Any) -> None:
        task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self.leaving.wait())
        try:
            await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _Leaves
            await task
        finally:
            for each in (task, leaving):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await each

    async def _launch(self, port: int) -> asyncio.subprocess.Process:
        arguments = list(self.container["args"])
        arguments[arguments.index("--port") + 1] = str(port)
        given = {each["name"]: each["value"] for each in self.container.get("env", []) if "value" in each}
        return await asyncio.create_subprocess_exec(
            self.kubelet.wrapper, *arguments, env={**os.environ, **given}, start_new_session=True
        )

    async def _end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), 10)
        self.kill()
        if self.process is not None:
            await self.process.wait()
        with contextlib.suppress(NotFound):
            await self.kubelet.remove(self.name)

    def kill(self, reason: str = "Error") -> None:
        """Kill its processes, as the kernel does for lack of memory; functions may outlive their wrapper server."""
        self.end_reason = reason
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def children(self) -> list[psutil.Process]:
        """The functions that run in it."""
        return psutil.Process(self.process.pid).children(recursive=True) if self.process else []

    def freeze(self) -> None:
        """Let it live, but not answer any more."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    async def report(self, phase: str, state: dict[str, Any], *, address: str = "") -> None:
        """Write its status."""
        ready = "True" if state.get("ready") else "False"
        container = {
            "name": self.container["name"],
            "image": self.image,
            "imageID": "",
            "ready": False,
            "restartCount": self.restarts,
            **self.last_state,
            **state,
        }
        status: dict[str, Any] = {
            "phase": phase,
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}],
            "containerStatuses": [container],
        }
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        await self.kubelet.write(self.name, status)


class _Leaves(Exception):  # noqa: N818
    """The pod is being deleted."""


class Kubelet:
    """Runs the pods of one namespace while its context is open.

    Attributes:
        namespace: of the pods.
        pods: those there are, by name.
        started: images of all pods that were ever seen, in order.
        problems: reason and message for images that cannot be pulled or run.
        no_room: whether pods find no node.
        stopped: whether new pods are ignored, as when the node is gone.
        pulled: image and pull secrets of each pod that came to the node, in order.
        unreachable: whether nobody answers at the addresses of new pods, as behind a NetworkPolicy.
        most: pods there were at once.
    """

    def __init__(self, client: KubeClient, namespace: str, wrapper: Path) -> None:
        self.pods: dict[str, RunningPod] = {}
        self.started: list[str] = []
        self.pulled: list[tuple[str, list[Object]]] = []
        self.problems: dict[str, tuple[str, str]] = {}
        self.no_room = False
        self.stopped = False
        self.unreachable = False
        self.most = 0
        self.wrapper = wrapper
        self._client = client
        self.namespace = namespace
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Kubelet"]:
        watch = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            for pod in self.pods.values():
                pod.kill()
            for task in (watch, *self._tasks):
                task.cancel()
            await asyncio.gather(watch, *self._tasks, return_exceptions=True)
            for pod in self.pods.values():
                pod.kill()
                if pod.process is not None:
                    await pod.process.wait()

    def problem(self, pod: RunningPod) -> dict[str, str]:
        reason, message = self.problems.get(pod.image, ("", ""))
        return {"reason": reason, "message": message} if reason else {}

    async def bind(self, pod: RunningPod) -> None:
        """Give it a node, when its gates are open and there is room."""
        spec = (await eventually(lambda: self._open(pod.name), what=f"open gates of {pod.name}"))["spec"]
        names = [each["name"] for each in spec.get("imagePullSecrets", [])]
        secrets = [await self._client.get(SECRETS, self.namespace, name) for name in names]
        self.pulled.append((pod.image, secrets))
        if self.no_room:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            condition["message"] = "0/1 nodes are available: 1 Insufficient memory."
            await self.write(pod.name, {"phase": "Pending", "conditions": [condition]})
            await pod._until_leaving()
        binding = Resource("", "v1", f"pods/{pod.name}/binding", "Binding")
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod.name}}
        body["target"] = {"apiVersion": "v1", "kind": "Node", "name": "node"}  # type: ignore[assignment]
        await self._client.create(binding, body, namespace=self.namespace)

    async def _open(self, name: str) -> Object | None:
        pod = await self._client.get(PODS, self.namespace, name)
        return None if pod["spec"].get("schedulingGates") else pod

    async def write(self, name: str, status: dict[str, Any]) -> None:
        await self._client.merge_patch(PODS, self.namespace, name, {"status": status}, subresource="status")

    async def remove(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        request = Request("DELETE", PODS, PODS.path(self.namespace, name), name=name, body=body)
        await self._client._transport.request(request)

    async def _follow(self) -> None:
        events = watch_objects(self._client, PODS, self.namespace)
        async with contextlib.aclosing(events):
            async for event in events:
                if isinstance(event, Listed | Changed):
                    self._see(event.object)
                elif isinstance(event, Deleted):
                    self._gone(event.object["metadata"]["name"])

    def _see(self, obj: Object) -> None:
        name = obj["metadata"]["name"]
        if name not in self.pods:
            if self.stopped:
                return
            self.pods[name] = RunningPod(self, obj)
            self.most = max(self.most, len(self.pods))
            self.started.append(self.pods[name].image)
            task = asyncio.create_task(self._run(self.pods[name]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if obj["metadata"].get("deletionTimestamp"):
            self.pods[name].leaving.set()

    def _gone(self, name: str) -> None:
        # Force deletion: the node is told last.
        if name in self.pods:
            pod = self.pods.pop(name)
            pod.leaving.set()

    async def _run(self, pod: RunningPod) -> None:
        try:
            await pod.run()
        except KubeError as error:
            sys.stderr.write(f"kubelet: {pod.name}: {error}\n")
        finally:
            pod.kill()


def random_address() -> str:
    """A loopback address that nobody uses."""
    return f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    try:
        there = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
