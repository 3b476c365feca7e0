"""All pods of functions in a namespace: found, started, given to calls, and removed again.

Any number of runners share the pods of a namespace. The name of a pod is made of its image and a number, so that of two
runners that start the same one the API server stops the second, who then uses the first's. Each writes down from time
to time which pods it uses, so that none removes what another needs. What was made with other settings than one's own is
never used, and removed only once nobody used it for its time to live: two versions of the runner do not fight while one
replaces the other.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, NoReturn, Self

from functions.configs import FunctionConfigs
from functions.errors import FunctionNotFound, FunctionUnavailable
from functions.pods.cluster import Cluster, ClusterError, Manifest
from functions.pods.diagnosis import Diagnosis, PodPhase
from functions.pods.group import Group
from functions.pods.images import ImageInfo, ImageLookup
from functions.pods.limits import PodSettings, limits_of, warm_images
from functions.pods.member import FunctionPod
from functions.pods.metrics import PodMetrics
from functions.pods.starting import PodStarter
from functions.pods.template import USED_ANNOTATION, default_template
from kpt.errors import FunctionFailed

_log = logging.getLogger(__name__)

_STUCK_AFTER = 5
"""How many times the start timeout until a pod that does not start is replaced; its image may be large."""
_FIRST_BLOCK, _LONGEST_BLOCK = 10.0, 300.0
"""Seconds without another attempt to start a pod that nobody waits for."""
_TOUCHES = 4
"""How often within its time to live the use of a pod is written down."""


class PodPool:
    """The pods of functions; an asynchronous context manager that ends what it does in the background.

    Whoever watches the cluster calls `observe`, `forget`, `set_listed` and `set_template`.
    """

    def __init__(
        self,
        cluster: Cluster,
        images: ImageLookup,
        configs: FunctionConfigs,
        settings: PodSettings,
        *,
        metrics: PodMetrics | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            cluster: where the pods are.
            images: tells digest and command of images.
            configs: what FunctionConfigs say; changes count at once.
            settings: where they say nothing.
            metrics: is told of cold starts, and asks for pods and waiting calls.
            clock: seconds since 1970.
        """
        self._cluster = cluster
        self._starter = PodStarter(cluster, images, settings)
        self._configs = configs
        self._settings = settings
        self._metrics = metrics or PodMetrics()
        self._clock = clock
        self._groups: dict[str, Group] = {}
        self._known = asyncio.Event()
        self._listed = False
        self._lacks_template = False
        self._template_problem = ""
        self._obstacle: Callable[[], str] = str
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting: dict[str, asyncio.Task[None]] = {}
        configs.listen(self._review)
        self._metrics.watch(self.groups)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is under way and close the connections; the pods stay, for the next runner."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pod in self._pods():
            if pod.connection is not None:
                await pod.connection.lose()

    def groups(self) -> list[Group]:
        """The pods by image."""
        return list(self._groups.values())

    # What the cluster tells

    def observe(self, manifest: Manifest) -> None:
        """Take up a pod as the API server has it now."""
        name, uid = manifest["metadata"]["name"], manifest["metadata"]["uid"]
        pod = self._find(name)
        if pod is not None and pod.uid != uid:
            self.forget(pod.manifest)
            pod = None
        if pod is None:
            pod = FunctionPod(manifest, self._clock())
            self._group(pod.image).pods[name] = pod
            self._judge(pod)
        pod.see(manifest)
        self._settle(pod)

    def forget(self, manifest: Manifest) -> None:
        """A pod is gone."""
        pod = self._find(manifest["metadata"]["name"])
        if pod is None or pod.uid != manifest["metadata"]["uid"]:
            return
        pod.doomed = pod.gone = True
        del self._group(pod.image).pods[pod.name]
        pod.see(manifest)
        self._disconnect(pod)
        self._starter.created.discard(pod.uid)
        self._advance(self._group(pod.image))

    def names(self) -> set[str]:
        """The pods that were observed and not forgotten."""
        return {pod.name for pod in self._pods()}

    def set_listed(self, names: set[str]) -> None:
        """The pods of these names are all there are."""
        for pod in self._pods():
            if pod.name not in names:
                self.forget(pod.manifest)
        self._listed = True
        self._begin_if_known()

    def set_template(self, template: Manifest | None) -> None:
        """Take up the PodTemplate; None where there is none: it is created then, and told by the watch."""
        self._lacks_template = template is None
        if template is None:
            self._spawn(self._create_template())
            return
        self._starter.template = template
        self._begin_if_known()
        self._review()

    def set_obstacle(self, obstacle: Callable[[], str]) -> None:
        """Take who knows what keeps the pods or the PodTemplate from being told; empty if nothing does."""
        self._obstacle = obstacle

    async def _create_template(self) -> None:
        try:
            await self._cluster.create_template(default_template(self._settings.wrapper_image))
        except ClusterError as error:
            self._template_problem = str(error)
            _log.warning("cannot create the pod template: %s", error)
        else:
            self._template_problem = ""

    def _problem(self) -> str:
        """Why no pod can be started before all that there are is known."""
        if self._lacks_template and self._template_problem:
            return f"there is no pod template, and it cannot be created: {self._template_problem}"
        return self._obstacle() or f"the pods of namespace {self._cluster.namespace} are not listed yet"

    def _begin_if_known(self) -> None:
        if self._listed and self._starter.template and not self._known.is_set():
            self._known.set()
            self._review()

    # Calls

    @contextlib.asynccontextmanager
    async def lease(self, image: str, time_limit: float) -> AsyncIterator[FunctionPod]:
        """Hold a pod for one call.

        Args:
            image: full name of the function.
            time_limit: seconds the caller waits at most; the start timeout may be nearer.

        Raises:
            FunctionNotFound: there is no such image.
            FunctionFailed: no pod of the image can run.
            FunctionUnavailable: there was no pod in time.
        """
        group = self._group(image)
        pod = await self._join(group, min(time_limit, self._settings.start_timeout))
        self._touch(pod)
        try:
            yield pod
        finally:
            self._leave(group, pod)

    def doom(self, pod: FunctionPod) -> None:
        """Give a pod no more calls, and delete it."""
        if not pod.doomed:
            pod.doomed = True
            self._spawn(self._delete(pod))
            self._advance(self._group(pod.image))

    async def _join(self, group: Group, seconds: float) -> FunctionPod:
        future = group.join()
        self._advance(group)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(future)
        except TimeoutError:
            given = group.forget(future) or group.least()
            if given is None:
                problem = "" if self._known.is_set() else self._problem()
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
        if not pod.calls and not pod.current:
            self.doom(pod)
        self._advance(group)

    def _advance(self, group: Group) -> None:
        """Serve those who wait, and start pods for the others."""
        group.serve(time.monotonic())
        if not self._known.is_set():
            # Pods of the runner before may be there already.
            return
        for _ in range(group.due(time.monotonic())):
            group.creating += 1
            self._spawn(self._start(group))

    # Pods

    async def _start(self, group: Group) -> None:
        try:
            manifest, info = await self._starter.start(group, lambda name: self._find(name) is not None)
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
            if self._find(manifest["metadata"]["name"]) is None:
                # Else the watch was quicker, and knows more by now.
                self.observe(manifest)

    def _retire_other_digests(self, group: Group, info: ImageInfo) -> None:
        """The tag was moved: what was pulled before is not the image any more."""
        for pod in list(group.pods.values()):
            if pod.current and pod.digest != info.digest:
                pod.current = False
                if not pod.calls:
                    self.doom(pod)

    def _settle(self, pod: FunctionPod) -> None:
        """Do what its status asks for."""
        diagnosis, group = pod.diagnosis, self._group(pod.image)
        if diagnosis.phase is PodPhase.RUNNING:
            if pod.connection is None and pod.current and pod.uid not in self._connecting:
                self._connecting[pod.uid] = self._spawn(self._connect(pod))
        elif diagnosis.phase is not PodPhase.LEAVING:
            # Its container ended. What is under way in it fails by itself.
            self._disconnect(pod)
        if diagnosis.phase is PodPhase.BROKEN and pod.current and not pod.doomed:
            self._give_up(group, pod, diagnosis)
        self._advance(group)

    def _give_up(self, group: Group, pod: FunctionPod, diagnosis: Diagnosis) -> None:
        _log.warning("pod %s of %s is deleted: %s", pod.name, pod.image, diagnosis.words)
        pod.doomed = True
        self._spawn(self._delete(pod))
        if pod.ready_at is None:
            words = f"pod {pod.name} cannot run: {diagnosis.words}"
            by_function = FunctionFailed(pod.image, f"function {pod.image!r} cannot be run: {words}", ran=False)
            self._fail(group, by_function if diagnosis.by_function else FunctionUnavailable(pod.image, words))

    def _fail(self, group: Group, error: FunctionFailed | FunctionUnavailable) -> None:
        """No pod can be started: whoever waits is served by those there are, or told."""
        group.problem = error.hint if isinstance(error, FunctionNotFound) else str(error)
        group.failures += 1
        block = min(_LONGEST_BLOCK, _FIRST_BLOCK * 2 ** (group.failures - 1))
        group.blocked_until = time.monotonic() + block
        self._metrics.failed_start(group.image)
        if not group.waiting:
            _log.warning("no pod of %s was started ahead of its use: %s", group.image, error)
        if not group.usable and (isinstance(error, FunctionFailed) or not group.coming):
            group.fail(error)
        self._advance(group)

    async def _connect(self, pod: FunctionPod) -> None:
        connection = pod.new_connection(self._settings.max_message_size)
        try:
            await connection.open()
        except BaseException:
            await connection.lose()
            raise
        finally:
            self._connecting.pop(pod.uid, None)
        if pod.doomed or pod.diagnosis.phase is not PodPhase.RUNNING:
            await connection.lose()
            return
        pod.connection = connection
        group = self._group(pod.image)
        if pod.ready_at is None:
            pod.ready_at = self._clock()
            pod.use(pod.ready_at)
            if pod.uid in self._starter.created:
                self._metrics.started(pod.image, pod.ready_at - pod.first_seen)
        group.failures, group.blocked_until = 0, 0.0
        self._advance(group)

    def _disconnect(self, pod: FunctionPod) -> None:
        if pod.uid in self._connecting:
            self._connecting.pop(pod.uid).cancel()
        if pod.connection is not None:
            self._spawn(pod.connection.lose())
            pod.connection = None

    async def _delete(self, pod: FunctionPod, version: str = "") -> None:
        try:
            if not await self._cluster.delete_pod(pod.name, uid=pod.uid, version=version):
                self.forget(pod.manifest)
        except ClusterError as error:
            _log.warning("cannot delete pod %s: %s", pod.name, error)

    def _touch(self, pod: FunctionPod) -> None:
        """Write down that it is used, if that was last done long ago."""
        now = self._clock()
        pod.use(now)
        if now - pod.touched_at >= self._group(pod.image).limits.time_to_live / _TOUCHES:
            pod.touched_at = now
            self._spawn(self._write_use(pod, now))

    async def _write_use(self, pod: FunctionPod, now: float) -> None:
        try:
            await self._cluster.annotate_pod(pod.name, uid=pod.uid, annotations={USED_ANNOTATION: f"{now:.0f}"})
        except ClusterError as error:
            _log.warning("cannot write that pod %s is used: %s", pod.name, error)

    # From time to time, and when something changed

    async def run(self, interval: float) -> NoReturn:
        """Call `collect` every so many seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            self.collect()

    def collect(self) -> None:
        """Remove pods that nobody uses, or that never got ready; see to the warm ones."""
        if self._lacks_template:
            self._spawn(self._create_template())
        if not self._known.is_set() or not self._configs.complete:
            return
        warm, now = warm_images(self._configs, self._settings), self._clock()
        for group in self.groups():
            self._collect(group, keep=int(group.image in warm), now=now)
            if group.is_idle and time.monotonic() >= group.blocked_until:
                del self._groups[group.image]
        self._warm(warm)

    def _collect(self, group: Group, keep: int, now: float) -> None:
        old_start = now - self._settings.start_timeout * _STUCK_AFTER
        for pod in list(group.pods.values()):
            if pod.diagnosis.phase is PodPhase.LEAVING:
                continue
            if pod.calls:
                self._touch(pod)
            elif pod.doomed or (pod.current and pod.connection is None and pod.created_at < old_start):
                pod.doomed = True
                self._spawn(self._delete(pod))
            elif not pod.current and now - pod.used_at > group.limits.time_to_live:
                self._spawn(self._delete(pod, pod.version))
        self._collect_unused(group, keep, now)

    def _collect_unused(self, group: Group, keep: int, now: float) -> None:
        # By name, so that all runners remove and keep the same ones.
        live = sorted((pod for pod in group.pods.values() if pod.is_live), key=lambda pod: (len(pod.name), pod.name))
        for index, pod in enumerate(live):
            expired = index >= keep and now - pod.used_at > group.limits.time_to_live
            if not pod.calls and (expired or index >= group.limits.max_pods):
                # With the version: whoever began to use it meanwhile has written that down.
                self._spawn(self._delete(pod, pod.version))

    def _warm(self, images: set[str]) -> None:
        for image in images:
            group = self._group(image)
            if not group.live and not group.waiting and time.monotonic() >= group.blocked_until:
                group.creating += 1
                self._spawn(self._start(group))

    def _review(self) -> None:
        """Something that pods are made of, or that limits them, changed."""
        if not self._known.is_set() or not self._configs.complete:
            return
        for group in self.groups():
            group.limits = limits_of(group.image, self._configs, self._settings)
            for pod in list(group.pods.values()):
                self._judge(pod)
                self._settle(pod)
            self._advance(group)
        self._warm(warm_images(self._configs, self._settings))

    def _judge(self, pod: FunctionPod) -> None:
        if not self._starter.template or not self._configs.complete:
            return
        pod.current = pod.fingerprint == self._starter.fingerprint(self._group(pod.image))
        pod.was_current = pod.was_current or pod.uid in self._starter.created
        if pod.was_current and not pod.current and not pod.calls:
            self.doom(pod)
        pod.was_current = pod.was_current or pod.current

    def _group(self, image: str) -> Group:
        if image not in self._groups:
            self._groups[image] = Group(image, limits_of(image, self._configs, self._settings))
        return self._groups[image]

    def _find(self, name: str) -> FunctionPod | None:
        return next((pod for pod in self._pods() if pod.name == name), None)

    def _pods(self) -> list[FunctionPod]:
        return [pod for group in self.groups() for pod in group.pods.values()]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("the pods of functions: %r", error, exc_info=error)
