"""`porchflow function-runner`."""

from typing import Any

import click

from cli.process import run_process
from cli.settings import load_settings, settings_options


@click.command("function-runner")
@settings_options(
    "function_runner_listen",
    "function_processes",
    "function_timeout",
    "max_grpc_message_size",
    "default_image_prefix",
    "log_level",
)
def function_runner(**flags: Any) -> None:  # noqa: ANN401 - the values of any setting
    """Evaluate KRM functions over gRPC (evaluator.FunctionEvaluator)."""
    settings = load_settings(flags)
    from functions.server import serve  # noqa: PLC0415 - help and bad settings must not wait for heavy imports

    run_process(
        serve(
            settings.function_runner_listen,
            max_message_size=settings.max_grpc_message_size,
            processes=settings.function_processes,
            time_limit=settings.function_timeout,
            default_image_prefix=settings.default_image_prefix,
        ),
        log_level=settings.log_level,
    )
