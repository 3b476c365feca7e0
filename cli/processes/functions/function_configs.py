"""Watch of the FunctionConfigs of one namespace, and reports in their status that they are in use."""

import asyncio
from collections.abc import Iterable

from pydantic import ValidationError

from porchflow.api.models.functionconfig import FunctionConfig, FunctionConfigSpec
from porchflow.cli.processes.functions.function_reports import PODS_TROUBLE, ConfigReports
from porchflow.functions.builtin import BUILTINS
from porchflow.functions.config_tags import tags_problem
from porchflow.functions.configs import ConfigKey, FunctionConfigs
from porchflow.functions.executable import ExecutableRuntime
from porchflow.functions.pods.pool import PodPool
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.following import Follower, key_of
from porchflow.kube.kinds import FUNCTIONCONFIGS
from porchflow.kube.watching import WatchState, watch_objects


class ConfigFollower(Follower):
    """Keeps a table of FunctionConfigs as the API server has them."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        configs: FunctionConfigs,
        executables: ExecutableRuntime | None,
        state: WatchState,
        *,
        pods: PodPool | None = None,
    ) -> None:
        """Create the follower.

        Args:
            client: Client of the API server.
            namespace: Of the FunctionConfigs.
            configs: The table.
            executables: Runs executables; None without a folder of executables.
            state: Receives the state of the watch.
            pods: Pool of function pods; None if functions do not run in pods.
        """
        super().__init__(lambda: watch_objects(client, FUNCTIONCONFIGS, namespace, state=state))
        self._configs = configs
        self._executables = executables
        self._pods = pods
        self._reports = ConfigReports(client, self._problem)
        configs.complete = False
        if pods is not None:
            pods.listen(self._reports.review)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reports.run())
            group.create_task(super().run())

    def _known_keys(self) -> Iterable[ConfigKey]:
        return self._configs.keys()

    def _take(self, obj: Object, *, listed: bool) -> None:  # noqa: ARG002 - taken up again it is the same
        key = key_of(obj)
        self._reports.put(key, obj)
        try:
            self._configs.put(key, FunctionConfig.model_validate(obj))
        except ValidationError:
            self._configs.remove(key)

    def _gone(self, key: ConfigKey) -> None:
        self._reports.remove(key)
        self._configs.remove(key)

    def _all_listed(self) -> None:
        self._configs.complete = True

    def _problem(self, obj: Object) -> str | None:
        """Return why a raw FunctionConfig cannot be used; empty if it can, None while its pods' state is unknown."""
        try:
            spec = FunctionConfig.model_validate(obj).spec
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        words = [self._executors_problem(spec), tags_problem(spec)]
        return "; ".join(filter(None, words)) or self._pods_problem(spec)

    def _pods_problem(self, spec: FunctionConfigSpec) -> str | None:
        trouble = self._pods.warm_trouble(spec) if self._pods is not None else ""
        return PODS_TROUBLE + trouble if trouble else trouble

    def _executors_problem(self, spec: FunctionConfigSpec) -> str:
        if spec.go_executor is not None and (spec.go_executor.id or spec.image) not in BUILTINS:
            return (
                f"goExecutor: there is no built-in function {spec.go_executor.id or spec.image!r};"
                f" those there are: {', '.join(sorted(BUILTINS))}"
            )
        if spec.binary_executor is None:
            only_pods = spec.go_executor is None and self._pods is None
            return "podExecutor: the function runner starts no pods: set WRAPPER_SERVER_IMAGE" if only_pods else ""
        if self._executables is None:
            return "binaryExecutor: the function runner has no folder of executables: set PORCHFLOW_FUNCTIONS_DIR"
        problem = self._executables.problem(spec.binary_executor.path)
        return f"binaryExecutor: {problem}" if problem else ""
