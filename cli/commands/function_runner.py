"""`porchflow function-runner`."""

from typing import Any

import click

from porchflow.cli.processes.listening import check_addresses
from porchflow.cli.processes.process import run_process
from porchflow.cli.settings import load_settings, settings_options
from porchflow.functions.runner_settings import (
    CallSettings,
    PodSettings,
    RegistrySettings,
    RunnerListenSettings,
    RunnerSettings,
)


@click.command("function-runner")
@settings_options(
    RunnerListenSettings,
    RunnerSettings,
    CallSettings,
    PodSettings,
    RegistrySettings,
    "kubeconfig",
    "metrics_address",
    "log_level",
)
def function_runner(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Evaluate KRM functions over gRPC (evaluator.FunctionEvaluator).

    Built-in functions need nothing else. Executables in the functions folder run for the images that FunctionConfigs
    name, which are followed live in one namespace. With a wrapper server image, all other images run in pods.
    """
    settings = load_settings(flags)
    check_addresses(settings, "function_runner_listen", "metrics_address")
    from porchflow.cli.processes.functions.function_runner import run_function_runner  # noqa: PLC0415 - help and bad settings must not wait

    run_process(run_function_runner(settings), log_level=settings.log_level)
