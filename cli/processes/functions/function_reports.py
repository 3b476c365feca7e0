"""Reports of a function runner in the status of FunctionConfigs."""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from porchflow.api import names
from porchflow.functions.configs import ConfigKey
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.kinds import FUNCTIONCONFIGS

logger = logging.getLogger(__name__)

PODS_TROUBLE = "podExecutor: no pod is ready ahead of its use: "
"""Beginning of a report about pods that do not become ready."""
_LONGEST = 2000
"""Characters of a report; messages of kubelets and registries may be longer."""


class _Report(NamedTuple):
    """The report on one generation of an object."""

    uid: str
    generation: int
    error: str


class ConfigReports:
    """Keeps the reports up to date; each is written once.

    Runners of one namespace may disagree for a while, such as two versions during a rollout. A report that another
    runner has overwritten is not written again, or the two would write in turns for ever.
    """

    def __init__(self, client: KubeClient, problem: Callable[[Object], str | None]) -> None:
        """Create the reports.

        Args:
            client: Client of the API server.
            problem: Returns why a raw FunctionConfig cannot be used; empty if it can. None while that is unknown: an
                earlier report about its pods then stays.
        """
        self._client = client
        self._problem = problem
        self._objects: dict[ConfigKey, Object] = {}
        self._written: dict[ConfigKey, _Report] = {}
        self._due: dict[ConfigKey, None] = {}
        self._wake = asyncio.Event()

    def put(self, key: ConfigKey, obj: Object) -> None:
        """Report on a raw object, as the API server has it now."""
        self._objects[key] = obj
        self._due[key] = None
        self._wake.set()

    def remove(self, key: ConfigKey) -> None:
        """Forget an object that is gone."""
        self._objects.pop(key, None)
        self._written.pop(key, None)

    def review(self) -> None:
        """Check all objects again, because their problems may have changed."""
        self._due |= dict.fromkeys(self._objects)
        self._wake.set()

    async def run(self) -> NoReturn:
        """Write reports until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                key = next(iter(self._due))
                del self._due[key]
                if key in self._objects:
                    await self._report(key, self._objects[key])

    async def _report(self, key: ConfigKey, obj: Object) -> None:
        metadata, status = obj["metadata"], obj.get("status") or {}
        generation = metadata.get("generation", 0)
        observed, said = status.get("functionRunnerObservedGeneration"), status.get("error", "")
        error = self._problem(obj)
        if error is None:
            error = said if observed == generation and said.startswith(PODS_TROUBLE) else ""
        report = _Report(metadata.get("uid", ""), generation, _cut(error))
        if observed == generation and self._written.get(key) == report:
            return
        if (observed, said) == (generation, report.error) or await self._write(key, report):
            self._written[key] = report

    async def _write(self, key: ConfigKey, report: _Report) -> bool:
        namespace, name = key
        if report.error:
            logger.warning("FunctionConfig %s/%s: %s", namespace, name, report.error)
        error = {"error": report.error} if report.error else {}
        body = {
            "apiVersion": FUNCTIONCONFIGS.api_version,
            "kind": FUNCTIONCONFIGS.kind,
            "metadata": {"namespace": namespace, "name": name},
            "status": {"functionRunnerObservedGeneration": report.generation, **error},
        }
        try:
            await self._client.apply(
                FUNCTIONCONFIGS, body, field_manager=names.FUNCTION_RUNNER_FIELD_MANAGER, subresource="status"
            )
        except NotFound:
            # Deleted meanwhile; the watch reports that.
            return False
        except KubeError as failure:
            # Only the report is missing; the next list or review writes it.
            logger.warning("cannot write the status of FunctionConfig %s/%s: %s", namespace, name, failure)
            return False
        return True


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
