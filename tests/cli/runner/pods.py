"""A pod evaluator on the real API server, with a stand-in for the kubelet that starts Porch's wrapper servers."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from porchflow.api.models.functionconfig import FunctionConfig
from porchflow.cli.processes.functions.function_pods import KubeCluster, PodFollower
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.pods.pool import PodPool
from porchflow.functions.pods.runtime import PodRuntime
from porchflow.functions.runner_settings import PodSettings
from porchflow.functions.slots import tenant
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PODS
from tests.servers.kubelet import Kubelet
from tests.servers.waiting import eventually

IMAGE = "example.com/fn/tool:v1.0"
HANGS = "cat > {0}/in.$$; mv {0}/in.$$ {0}/began.$$; while [ ! -e {0}/go ]; do sleep 0.05; done; cat {0}/began.$$"
"""A function that says that it began, and ends when it is told to."""


class Images:
    """The images there are: shell scripts.

    Attributes:
        own: Docker configurations of namespaces, by namespace and image.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.known: dict[str, ImageInfo] = {}
        self.own: dict[tuple[str, str], str] = {}

    def add(self, image: str, script: str) -> None:
        """Make an image of a script; another script makes another digest."""
        digest = hashlib.sha256(script.encode()).hexdigest()
        path = self._folder / digest
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self.known[image] = ImageInfo(f"sha256:{digest}", (str(path),))

    async def owner(self, image: str) -> str:
        return tenant() if (tenant(), image) in self.own else ""

    async def pull_configuration(self, image: str, owner: str) -> str:
        return self.own.get((owner, image), "")

    async def describe(self, image: str, owner: str = "") -> ImageInfo:
        if image not in self.known:
            raise ImageNotFound(image, "the registry example.com has no such image")
        return self.known[image]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.time() + self.passed


class Evaluator:
    """One runner's part that runs functions in pods."""

    def __init__(self, pool: PodPool, runtime: PodRuntime, configs: FunctionConfigs, clock: Clock) -> None:
        self.pool = pool
        self.runtime = runtime
        self.configs = configs
        self.clock = clock

    async def __call__(self, image: str = IMAGE, text: bytes = b"", *, time_limit: float = 60.0) -> bytes:
        return (await self.runtime.evaluate(image, text or LIST, time_limit)).resource_list

    def call(self, image: str = IMAGE, text: bytes = b"", *, time_limit: float = 60.0) -> "asyncio.Task[bytes]":
        """Begin a call."""
        return asyncio.create_task(self(image, text, time_limit=time_limit))

    def configure(self, image: str = "tool", **executor: Any) -> None:
        """Say something of an image, as a FunctionConfig does."""
        spec = {"image": image, "prefixes": ["example.com/fn"], "podExecutor": executor}
        self.configs.put(("n", image), FunctionConfig.model_validate({"metadata": {"name": image}, "spec": spec}))


LIST = b"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n- kind: X\n  metadata:\n    name: x\n"
ANSWER = LIST.replace(b"x", b"y")


class Slow:
    """An image whose function ends when told; counts the calls that have begun."""

    def __init__(self, images: Images, folder: Path, image: str = IMAGE) -> None:
        self._folder = folder / "slow"
        self._folder.mkdir()
        images.add(image, HANGS.format(self._folder))

    def begun(self) -> int:
        return len(list(self._folder.glob("began.*")))

    def go(self) -> None:
        (self._folder / "go").touch()


class Cluster:
    """A namespace with a kubelet, images, and any number of evaluators."""

    def __init__(self, kube: KubeClient, namespace: str, kubelet: Kubelet, images: Images) -> None:
        self.kube = kube
        self.namespace = namespace
        self.kubelet = kubelet
        self.images = images

    async def pods(self) -> list[Object]:
        """The pods that are not being deleted."""
        found = [pod async for pod in self.kube.list_all(PODS, self.namespace)]
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    async def names(self) -> list[str]:
        return sorted(pod["metadata"]["name"] for pod in await self.pods())

    async def until(self, condition: Callable[[list[Object]], Any], what: str = "") -> list[Object]:
        """Wait until the pods are so."""

        async def check() -> list[Object] | None:
            pods = await self.pods()
            return [*pods, {}] if condition(pods) else None

        return list((await eventually(check, what=what))[:-1])

    async def collected(self, evaluator: Evaluator, condition: Callable[[list[Object]], Any], what: str = "") -> None:
        """Collect pods, again where one was just written, until the pods are so."""

        def check(pods: list[Object]) -> Any:
            evaluator.pool.collect()
            return condition(pods)

        await self.until(check, what)

    @asynccontextmanager
    async def evaluator(
        self,
        *,
        kube: KubeClient | None = None,
        namespace: str = "",
        max_message_size: int = 6 * 1024 * 1024,
        **settings: Any,
    ) -> AsyncIterator[Evaluator]:
        """Start what a function runner has to run functions in pods, perhaps as another user or elsewhere."""
        configs, clock = FunctionConfigs(), Clock()
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                PodPool(
                    KubeCluster(kube or self.kube, namespace or self.namespace),
                    self.images,
                    configs,
                    PodSettings(
                        **{"wrapper_server_image": "example.com/wrapper:v1", "pod_start_timeout": 30, **settings}
                    ),
                    max_message_size=max_message_size,
                    clock=clock,
                )
            )
            follower = asyncio.create_task(PodFollower(kube or self.kube, namespace or self.namespace, pool).run())
            try:
                yield Evaluator(pool, PodRuntime(pool, configs), configs, clock)
            finally:
                follower.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await follower
