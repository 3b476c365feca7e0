"""`porchflow function-runner`."""

from typing import Any

import click

from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.processes.process import run_process
from porchflow.cli.settings import REGISTRY_SETTINGS, load_settings, settings_options


@click.command("function-runner")
@settings_options(
    "function_runner_listen",
    "function_processes",
    "function_timeout",
    "builtin_function_timeout",
    "max_grpc_message_size",
    "default_image_prefix",
    "functions_dir",
    "function_config_namespace",
    "wrapper_server_image",
    "pod_namespace",
    "pod_ttl",
    "pod_start_timeout",
    "max_parallel_pods_per_function",
    "max_waitlist_length",
    "warm_up_pod_cache",
    *REGISTRY_SETTINGS,
    "image_platform",
    "kubeconfig",
    "function_runner_tls_cert",
    "function_runner_tls_key",
    "function_runner_client_ca",
    "metrics_address",
    "log_level",
)
def function_runner(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Evaluate KRM functions over gRPC (evaluator.FunctionEvaluator).

    Builtin functions need nothing else. Executables in the functions folder run for the images that FunctionConfigs
    name, which are followed live in one namespace. With a wrapper server image, all other images run in pods.
    """
    settings = load_settings(flags)
    check_addresses(settings, "function_runner_listen", "metrics_address")
    from porchflow.cli.processes.function_runner import run_function_runner  # noqa: PLC0415 - help and bad settings must not wait

    run_process(run_function_runner(settings), log_level=settings.log_level)
