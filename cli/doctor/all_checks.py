"""All checks of `porchflow doctor`, run at once."""

from collections.abc import Sequence

from porchflow.cli.doctor.cluster import check_content_api, check_definitions, check_policies, check_webhooks
from porchflow.cli.doctor.findings import Check, Finding, Level, all_of, within, worst
from porchflow.cli.doctor.functions import check_configs, check_registry
from porchflow.cli.doctor.kubernetes_version import check_version
from porchflow.cli.doctor.namespace_registries import check_namespace_registries
from porchflow.cli.doctor.open_runs import known_installation
from porchflow.cli.doctor.permissions import check_permissions
from porchflow.cli.doctor.reaching import check_reached
from porchflow.cli.doctor.repositories import check_repositories
from porchflow.cli.doctor.schedules import check_schedules
from porchflow.cli.doctor.servers import check_cache, check_runner, check_temporal
from porchflow.cli.settings import Settings
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeConfigError


async def examine(
    settings: Settings, processes: Sequence[str], seconds: float, *, deployed_in: str = ""
) -> list[Finding]:
    """Run every check. All of them end within about three times `seconds`, even if servers hang.

    Args:
        settings: The settings of the processes.
        processes: The processes whose permissions to check, such as `worker`.
        seconds: Time that one check may wait for a server.
        deployed_in: Namespace of the ServiceAccounts whose permissions to check; empty for the command's own
            credentials.
    """
    runner = Check("function-runner", settings.runner_client.address or "none")
    registry = Check("registry", settings.calls.default_image_prefix)
    cache = Check("git-cache", str(settings.git.cache_dir))
    return await all_of(
        _examine_cluster(settings, processes, seconds, deployed_in),
        _examine_temporal(settings, seconds),
        within(seconds, runner, check_runner(settings, seconds)),
        within(seconds, registry, check_registry(settings)),
        within(seconds, cache, check_cache(settings.git)),
    )


async def _examine_temporal(settings: Settings, seconds: float) -> list[Finding]:
    installation, schedules = await known_installation(settings, seconds), []
    check = Check("temporal", settings.temporal.address)
    found = await within(2 * seconds, check, check_temporal(settings.temporal, seconds, installation))
    if installation is not None and found[0].level is Level.OK:
        where = Check("schedules", ", ".join(settings.scope.namespaces) or "all namespaces")
        schedules = await within(2 * seconds, where, check_schedules(settings, installation, seconds))
    return found + schedules


async def _examine_cluster(
    settings: Settings, processes: Sequence[str], seconds: float, deployed_in: str
) -> list[Finding]:
    check = Check("kubernetes", str(settings.kubeconfig or "the default kubeconfig"))
    try:
        client = await KubeClient.connect(settings.kubeconfig, request_timeout=seconds)
    except KubeConfigError as error:
        return [check.failure(str(error), "correct PORCHFLOW_KUBECONFIG (--kubeconfig)")]
    async with client as kube:
        reached = await within(seconds, Check("kubernetes", kube.host), check_reached(kube))
        if worst(reached) != Level.OK:
            return reached
        definitions, policies = Check("crds", kube.host), Check("admission", kube.host)
        webhooks, configs = Check("webhooks", kube.host), Check("function-configs", kube.host)
        secrets = Check("namespace-registries", settings.registries.namespace_registry_secret)
        content, repositories = Check("content-api", kube.host), Check("repositories", kube.host)
        return reached + await all_of(
            within(seconds, Check("version", kube.host), check_version(kube)),
            within(seconds, definitions, check_definitions(kube)),
            *(
                within(seconds, Check("permissions", process), check_permissions(kube, process, settings, deployed_in))
                for process in processes
            ),
            within(seconds, policies, check_policies(kube)),
            within(seconds, webhooks, check_webhooks(kube)),
            within(seconds, content, check_content_api(kube)),
            within(seconds, configs, check_configs(kube, settings)),
            within(seconds, secrets, check_namespace_registries(kube, settings, deployed_in)),
            within(2 * seconds, repositories, check_repositories(kube, settings.scope.namespaces, seconds)),
        )
