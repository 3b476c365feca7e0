"""Checks of what functions need beside their runner: FunctionConfigs that are in use, registries that answer."""

from collections.abc import Sequence
from typing import Any

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.processes.functions.registries import open_registries
from porchflow.cli.settings import Settings, SettingsError
from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from porchflow.functions.runner_settings import RegistrySettings
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import FUNCTIONCONFIGS

PROBE_FUNCTION = "set-labels:v0.2.0"
"""A function that is built into our runner, and whose image is in the registry of the catalog."""


async def check_configs(kube: KubeClient, settings: Settings) -> list[Finding]:
    """Check the function runner's report in the status of each FunctionConfig."""
    namespace = settings.runner.function_config_namespace
    chosen = [namespace] if namespace else settings.scope.namespaces
    check = Check("function-configs", ", ".join(chosen) or "all namespaces")
    try:
        found = [one for each in chosen or (None,) async for one in kube.list_all(FUNCTIONCONFIGS, each)]
    except KubeError as error:
        return [check.warning(str(error), "install the CRDs, or run the check as somebody who may list them")]
    troubled = [finding for one in found for finding in _trouble(one)]
    return troubled or [check.ok(f"{len(found)}, none of them in trouble")]


def _trouble(obj: Object) -> Sequence[Finding]:
    metadata, status = obj["metadata"], obj.get("status") or {}
    check = Check("function-config", f"{metadata['namespace']}/{metadata['name']}")
    if status.get("functionRunnerObservedGeneration") != metadata.get("generation"):
        mend = f"start a function runner with PORCHFLOW_FUNCTION_CONFIG_NAMESPACE={metadata['namespace']}"
        return [check.warning("no function runner has taken it up", mend)]
    error: Any = status.get("error")
    return [check.failure(str(error), "see docs/guides/functions.md")] if error else []


async def check_registry(settings: Settings) -> list[Finding]:
    """List the tags of a function in the registry of the default image prefix, if settings of registries are given."""
    image = f"{settings.calls.default_image_prefix}{PROBE_FUNCTION}"
    check = Check("registry", settings.calls.default_image_prefix.partition("/")[0] or "none")
    if settings.registries.model_copy(update={"namespace_registry_secret": ""}) == RegistrySettings():
        return []
    try:
        async with open_registries(settings.registries, prefix=settings.calls.default_image_prefix) as registries:
            tags = await registries.tags(image)
    except ImageNotFound as error:
        return [check.warning(str(error), "nothing, where other functions than the catalog's are used")]
    except (RegistryUnavailable, SettingsError) as error:
        return [
            check.failure(str(error), "correct PORCHFLOW_REGISTRY_CREDENTIALS, _CA and PORCHFLOW_INSECURE_REGISTRIES")
        ]
    return [check.ok(f"answers: {len(tags)} tags of {image.rpartition(':')[0]}")]
