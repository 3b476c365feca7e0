"""Follows the FunctionConfigs of one namespace, and says in their status that they were taken up."""

import contextlib
import logging
from typing import NoReturn

from pydantic import ValidationError

from api import names
from api.functionconfig import FunctionConfig
from functions.builtin import BUILTINS
from functions.configs import ConfigKey, FunctionConfigs
from functions.executable import ExecutableRuntime
from kube.client import KubeClient, Object
from kube.errors import KubeError, NotFound
from kube.resources import FUNCTIONCONFIGS
from kube.watching import Changed, Deleted, Listed, ListEnd, ListStarted, WatchEvent, WatchState, watch_objects

logger = logging.getLogger(__name__)


class ConfigFollower:
    """Keeps a table of FunctionConfigs as the API server has them."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        configs: FunctionConfigs,
        executables: ExecutableRuntime | None,
        state: WatchState,
        *,
        runs_pods: bool = False,
    ) -> None:
        """Prepare.

        Args:
            client: of the API server.
            namespace: of the FunctionConfigs.
            configs: the table.
            executables: what runs executables; None if nothing does.
            state: is told how the watch stands.
            runs_pods: whether functions run in pods.
        """
        self._client = client
        self._namespace = namespace
        self._configs = configs
        self._executables = executables
        self._state = state
        self._runs_pods = runs_pods
        self._unlisted: set[ConfigKey] = set()
        configs.complete = False

    async def run(self) -> NoReturn:
        """Follow until cancelled."""
        events = watch_objects(self._client, FUNCTIONCONFIGS, self._namespace, state=self._state)
        async with contextlib.aclosing(events):
            async for event in events:
                await self._handle(event)
        raise RuntimeError("the watch of FunctionConfigs ended")

    async def _handle(self, event: WatchEvent) -> None:
        match event:
            case ListStarted():
                self._unlisted = self._configs.keys()
            case Listed(obj) | Changed(_, obj):
                self._unlisted.discard(_key(obj))
                await self._take_up(obj)
            case ListEnd():
                self._configs.complete = True
                for key in self._unlisted:
                    self._configs.remove(key)
                self._unlisted = set()
            case Deleted(obj):
                self._configs.remove(_key(obj))

    async def _take_up(self, obj: Object) -> None:
        key = _key(obj)
        try:
            config = FunctionConfig.model_validate(obj)
        except ValidationError as error:
            self._configs.remove(key)
            first = error.errors()[0]
            await self._report(obj, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
            return
        self._configs.put(key, config)
        await self._report(obj, self._problem(config))

    def _problem(self, config: FunctionConfig) -> str:
        """What of it cannot be used here; empty if all can."""
        spec = config.spec
        if spec.go_executor is not None and (spec.go_executor.id or spec.image) not in BUILTINS:
            return (
                f"goExecutor: there is no builtin function {spec.go_executor.id or spec.image!r};"
                f" those there are: {', '.join(sorted(BUILTINS))}"
            )
        if spec.binary_executor is None:
            only_pods = spec.go_executor is None and not self._runs_pods
            return "podExecutor: the function runner starts no pods: set WRAPPER_SERVER_IMAGE" if only_pods else ""
        if self._executables is None:
            return "binaryExecutor: the function runner has no folder of executables: set PORCHFLOW_FUNCTIONS_DIR"
        problem = self._executables.problem(spec.binary_executor.path)
        return f"binaryExecutor: {problem}" if problem else ""

    async def _report(self, obj: Object, error: str) -> None:
        metadata, status = obj["metadata"], obj.get("status") or {}
        generation = metadata.get("generation", 0)
        if status.get("functionRunnerObservedGeneration") == generation and status.get("error", "") == error:
            return
        if error:
            logger.warning("FunctionConfig %s/%s: %s", *_key(obj), error)
        body = {
            "apiVersion": FUNCTIONCONFIGS.api_version,
            "kind": FUNCTIONCONFIGS.kind,
            "metadata": {"namespace": metadata["namespace"], "name": metadata["name"]},
            "status": {"functionRunnerObservedGeneration": generation, **({"error": error} if error else {})},
        }
        try:
            await self._client.apply(
                FUNCTIONCONFIGS, body, field_manager=names.FUNCTION_RUNNER_FIELD_MANAGER, subresource="status"
            )
        except NotFound:
            # Gone meanwhile; the watch says so too.
            return
        except KubeError as failure:
            # Only the report is missing; the next list brings the object again.
            logger.warning("cannot write the status of FunctionConfig %s/%s: %s", *_key(obj), failure)


def _key(obj: Object) -> ConfigKey:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]
