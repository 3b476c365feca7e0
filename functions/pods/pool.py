"""The pool of all functions' pods in a namespace: it finds, starts and removes them, and gives them to calls.

Any number of runners share the pods of a namespace. The name of a pod consists of its image and a number. When two
runners start the same pod, the API server therefore refuses the second one, which then uses the first one's. Each
runner records the use of its pods from time to time, so that no runner removes a pod that another one needs. A runner
never uses pods that were made from other settings than its own. It removes them once they were unused for their time to
live, so that two versions of the runner do not delete each other's pods during an upgrade.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import NoReturn, Self

from porchflow.api.models.functionconfig import FunctionConfigSpec
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound, FunctionUnavailable
from porchflow.functions.image_facts import ImageInfo, ImageLookup
from porchflow.functions.pods.background import Background
from porchflow.functions.pods.beginning import Beginning
from porchflow.functions.pods.cluster import Cluster, ClusterError, Manifest
from porchflow.functions.pods.diagnosis import Diagnosis, PodPhase
from porchflow.functions.pods.group import Group
from porchflow.functions.pods.groups import Groups
from porchflow.functions.pods.member import FunctionPod, Standing
from porchflow.functions.pods.pod_limits import warm_images, warm_images_of
from porchflow.functions.pods.pod_metrics import PodMetrics
from porchflow.functions.pods.starting import PodStarter
from porchflow.functions.pods.template import Wrapper
from porchflow.functions.pods.upkeep import Upkeep
from porchflow.functions.runner_settings import PodSettings
from porchflow.kpt.package_errors import FunctionFailed

_log = logging.getLogger(__name__)

_FIRST_BLOCK, _LONGEST_BLOCK = 10.0, 300.0
"""Seconds until the next attempt to start a pod that no call waits for; they double with each failure."""


class PodPool:
    """The pods of functions; an asynchronous context manager, which ends the background tasks.

    The watch of the cluster calls `observe`, `forget`, `set_listed` and `set_template`.
    """

    def __init__(
        self,
        cluster: Cluster,
        images: ImageLookup,
        configs: FunctionConfigs,
        settings: PodSettings,
        *,
        max_message_size: int,
        metrics: PodMetrics | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create an empty pool.

        Args:
            cluster: The pods' cluster.
            images: Looks up digest and command of images.
            configs: FunctionConfigs; their changes take effect at once.
            settings: The limits of functions without a FunctionConfig.
            max_message_size: Bytes of one call, each way.
            metrics: Counts cold starts, pods and waiting calls.
            clock: Seconds since 1970.
        """
        self._background = Background(cluster, clock, self.forget)
        self._beginning = Beginning(cluster, settings.wrapper_server_image, self._background)
        self._upkeep = Upkeep(self._background, settings.pod_start_timeout, clock)
        self._starter = PodStarter(cluster, images, Wrapper(settings.wrapper_server_image, max_message_size))
        self._images = images
        self._configs = configs
        self._settings = settings
        self._max_message_size = max_message_size
        self._metrics = metrics or PodMetrics()
        self._clock = clock
        self._groups = Groups(configs, settings)
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[Callable[[], None]] = []
        configs.listen(self._review)
        self._metrics.watch(self.groups)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the background tasks and close the connections; the pods stay, for the next runner."""
        await self._background.close()
        for pod in self._groups.pods():
            if pod.connection is not None:
                await pod.connection.lose()

    def groups(self) -> list[Group]:
        """Return the groups of pods, one for each image and owner."""
        return list(self._groups)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call a function whenever the result of `warm_trouble` may have changed."""
        self._listeners.append(listener)

    def warm_trouble(self, spec: FunctionConfigSpec) -> str | None:
        """Return why images that a FunctionConfig lists have no pod ahead of their use.

        Returns:
            The reason; empty if all have pods, None if that is not known yet.
        """
        images = warm_images_of(spec, self._configs, self._settings)
        if not images or not self._beginning.is_known:
            return self._beginning.trouble() or None if images else ""
        old = self._clock() - self._settings.pod_start_timeout
        return self._groups.trouble(images, old)

    # Reports of the watch

    def observe(self, manifest: Manifest) -> None:
        """Add a pod, or replace its object by a later one."""
        name, uid = manifest["metadata"]["name"], manifest["metadata"]["uid"]
        pod = self._groups.find(name)
        if pod is not None and pod.uid != uid:
            self.forget(pod.manifest)
            pod = None
        if pod is None:
            pod = FunctionPod(manifest, self._clock())
            self._groups.of_pod(pod).pods[name] = pod
            self._judge(pod)
        pod.see(manifest)
        self._settle(pod)

    def forget(self, manifest: Manifest) -> None:
        """Remove a deleted pod."""
        pod = self._groups.find(manifest["metadata"]["name"])
        if pod is None or pod.uid != manifest["metadata"]["uid"]:
            return
        pod.standing = Standing.GONE
        del self._groups.of_pod(pod).pods[pod.name]
        pod.see(manifest)
        self._disconnect(pod)
        self._starter.created.discard(pod.uid)
        self._advance(self._groups.of_pod(pod))

    def names(self) -> set[str]:
        """Return the names of all known pods."""
        return {pod.name for pod in self._groups.pods()}

    def set_listed(self, names: set[str]) -> None:
        """Remove all pods but those of these names: the list of the namespace is complete."""
        for pod in self._groups.pods():
            if pod.name not in names:
                self.forget(pod.manifest)
        self._beginning.listed = True
        self._begin_if_known()

    def set_template(self, template: Manifest | None) -> None:
        """Set the PodTemplate; None means a missing one, which is created and comes back through the watch."""
        self._beginning.set_template(template)
        if template is None:
            return
        self._starter.template = template
        for group in self._groups:
            group.unblock()
        self._begin_if_known()
        self._review()

    def set_obstacle(self, obstacle: Callable[[], str]) -> None:
        """Set a function that returns why the watch has not delivered the pods or the PodTemplate; empty if it has."""
        self._beginning.obstacle = obstacle

    def _begin_if_known(self) -> None:
        if self._beginning.check(self._starter.template):
            self._review()

    # Calls

    @contextlib.asynccontextmanager
    async def lease(self, image: str, time_limit: float) -> AsyncIterator[FunctionPod]:
        """Hold a pod for one call.

        Where the namespace of the call has credentials of its own for the image, they must open it in the registry, and
        the pod serves this namespace alone. An image that a node holds already is no right to it.

        Args:
            image: Full name of the function.
            time_limit: Seconds that the caller waits at most; the start timeout may be shorter.

        Raises:
            FunctionNotFound: There is no such image.
            FunctionFailed: No pod of the image can run.
            FunctionUnavailable: No pod was ready in time, or the registry of a namespace's own image cannot be read.
        """
        owner = await self._images.owner(image)
        if owner:
            await self._images.describe(image, owner)
        group = self._groups.of(image, owner)
        pod = await self._join(group, min(time_limit, self._settings.pod_start_timeout))
        self._background.touch(pod, group.limits.time_to_live)
        try:
            yield pod
        finally:
            self._leave(group, pod)

    def doom(self, pod: FunctionPod) -> None:
        """Give a pod no more calls, and delete it."""
        if not pod.is_ending:
            pod.standing = Standing.DOOMED
            self._background.delete(pod)
            self._advance(self._groups.of_pod(pod))

    async def _join(self, group: Group, seconds: float) -> FunctionPod:
        future = group.join()
        self._advance(group)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            given = group.forget(future) or group.least()
            if given is None:
                problem = self._beginning.problem()
                raise group.unavailable(seconds, problem) from None
            return given if future.done() and not future.cancelled() else group.give(given)
        except asyncio.CancelledError:
            given = group.forget(future)
            if given is not None:
                self._leave(group, given)
            raise

    def _leave(self, group: Group, pod: FunctionPod) -> None:
        pod.calls -= 1
        pod.use(self._clock())
        if not pod.calls and pod.standing is Standing.OUTDATED:
            self.doom(pod)
        self._advance(group)

    def _advance(self, group: Group) -> None:
        """Give pods to waiting calls, and start pods for the remaining ones."""
        group.serve(time.monotonic())
        if not self._beginning.is_known:
            # An earlier runner may have left pods, which are not listed yet.
            return
        for _ in range(group.due(time.monotonic())):
            group.creating += 1
            self._background.spawn(self._start(group))

    # Pods

    async def _start(self, group: Group) -> None:
        try:
            manifest, info = await self._starter.start(group, lambda name: self._groups.find(name) is not None)
        except (FunctionFailed, FunctionUnavailable) as error:
            group.creating -= 1
            self._fail(group, error)
        except ClusterError as error:
            group.creating -= 1
            self._fail(group, FunctionUnavailable(group.image, f"no pod can be created: {error}"))
        except BaseException as error:
            group.creating -= 1
            self._fail(group, FunctionUnavailable(group.image, f"no pod can be started: {error!r}"))
            raise
        else:
            group.creating -= 1
            group.problem = ""
            self._retire_other_digests(group, info)
            if self._groups.find(manifest["metadata"]["name"]) is None:
                # Otherwise the watch was quicker, and has a later object.
                self.observe(manifest)

    def _retire_other_digests(self, group: Group, info: ImageInfo) -> None:
        """Retire the pods of another digest: the tag was moved."""
        for pod in list(group.pods.values()):
            if pod.standing is Standing.CURRENT and pod.digest != info.digest:
                pod.standing = Standing.OUTDATED
                if not pod.calls:
                    self.doom(pod)

    def _settle(self, pod: FunctionPod) -> None:
        """Connect, disconnect or give up a pod, as its status requires."""
        diagnosis, group = pod.diagnosis, self._groups.of_pod(pod)
        if diagnosis.phase is PodPhase.RUNNING:
            if pod.connection is None and pod.standing is Standing.CURRENT and pod.uid not in self._connecting:
                self._connecting[pod.uid] = self._background.spawn(self._connect(pod))
        elif diagnosis.phase is not PodPhase.LEAVING:
            # The container ended. Calls under way in it fail by themselves.
            self._disconnect(pod)
        if diagnosis.phase is PodPhase.BROKEN and pod.standing is Standing.CURRENT:
            self._give_up(group, pod, diagnosis)
        if diagnosis.stuck:
            self._tell()
        self._advance(group)

    def _give_up(self, group: Group, pod: FunctionPod, diagnosis: Diagnosis) -> None:
        _log.warning("pod %s of %s is deleted: %s", pod.name, pod.image, diagnosis.words)
        pod.standing = Standing.DOOMED
        self._background.delete(pod)
        if pod.ready_at is None:
            words = f"pod {pod.name} cannot run: {diagnosis.words}"
            by_function = FunctionFailed(pod.image, f"function {pod.image!r} cannot be run: {words}", ran=False)
            error = by_function if diagnosis.by_function else FunctionUnavailable(pod.image, words)
            self._fail(group, error, words)

    def _fail(self, group: Group, error: FunctionFailed | FunctionUnavailable, problem: str = "") -> None:
        """Handle a failed start: waiting calls get the pods that there are, or the error."""
        group.problem = problem or _words(error)
        group.failures += 1
        block = min(_LONGEST_BLOCK, _FIRST_BLOCK * 2 ** (group.failures - 1))
        group.blocked_until = time.monotonic() + block
        self._metrics.failed_start(group.image)
        if not group.waiting:
            _log.warning("no pod of %s was started ahead of its use: %s", group.image, error)
        if not group.usable and (isinstance(error, FunctionFailed) or not group.coming):
            group.fail(error)
        self._tell()
        self._advance(group)

    async def _connect(self, pod: FunctionPod) -> None:
        connection = pod.new_connection(self._max_message_size)
        try:
            await connection.open()
        except BaseException:
            await connection.lose()
            raise
        finally:
            self._connecting.pop(pod.uid, None)
        if pod.is_ending or pod.diagnosis.phase is not PodPhase.RUNNING:
            await connection.lose()
            return
        pod.connection = connection
        group = self._groups.of_pod(pod)
        if pod.ready_at is None:
            pod.ready_at = self._clock()
            pod.use(pod.ready_at)
            if pod.uid in self._starter.created:
                self._metrics.started(pod.image, pod.ready_at - pod.first_seen)
        group.problem = ""
        group.unblock()
        self._tell()
        self._advance(group)

    def _disconnect(self, pod: FunctionPod) -> None:
        if pod.uid in self._connecting:
            self._connecting.pop(pod.uid).cancel()
        if pod.connection is not None:
            self._background.spawn(pod.connection.lose())
            pod.connection = None

    # Upkeep at intervals and after changes

    async def run(self, interval: float) -> NoReturn:
        """Call `collect` at an interval, in seconds, until cancelled."""
        while True:
            await asyncio.sleep(interval)
            self.collect()

    def collect(self) -> None:
        """Remove pods that are unused or never got ready; start the pods ahead of their use."""
        self._beginning.make_template()
        self._tell()
        if not self._beginning.is_known or not self._configs.complete:
            return
        warm = warm_images(self._configs, self._settings)
        for group in self._groups:
            self._upkeep.collect(group, keep=int(group.image in warm and not group.owner))
            if group.is_idle and time.monotonic() >= group.blocked_until:
                self._groups.drop(group)
        self._warm(warm)

    def _warm(self, images: set[str]) -> None:
        for image in images:
            group = self._groups.of(image)
            if not group.live and not group.waiting and time.monotonic() >= group.blocked_until:
                group.creating += 1
                self._background.spawn(self._start(group))

    def _review(self) -> None:
        """Judge all pods again after a change of the settings that they are made from or that limit them."""
        if not self._beginning.is_known or not self._configs.complete:
            return
        self._groups.review_limits()
        for group in self._groups:
            for pod in list(group.pods.values()):
                self._judge(pod)
                self._settle(pod)
            self._advance(group)
        self._warm(warm_images(self._configs, self._settings))

    def _judge(self, pod: FunctionPod) -> None:
        if not self._starter.template or not self._configs.complete:
            return
        fits = pod.fingerprint == self._starter.fingerprint(self._groups.of_pod(pod))
        pod.judge(fits=fits, ours=pod.uid in self._starter.created)
        if pod.standing is Standing.OUTDATED and not pod.calls:
            self.doom(pod)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


def _words(error: FunctionFailed | FunctionUnavailable) -> str:
    if isinstance(error, FunctionUnavailable):
        return error.reason
    return (error.hint if isinstance(error, FunctionNotFound) else "") or error.message
