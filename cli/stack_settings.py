"""Settings of the embedded stack."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from porchflow.cli.settings import ENV_PREFIX, SettingsError, flag_of, metavar_of


class StackSettings(BaseSettings):
    """Where the stack keeps its state, and on which ports of this machine it listens.

    Port 0 takes any free one, and the same one again at the next start if it is free then.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="ignore", frozen=True)

    state_dir: Path = Field(Path(".porchflow"), description="folder that holds everything the stack keeps")
    api_port: int = Field(16443, ge=0, le=65535, description="port of the Kubernetes API server")
    etcd_port: int = Field(12379, ge=0, le=65535, description="port of etcd")
    temporal_port: int = Field(17233, ge=0, le=65535, description="port of Temporal")
    ui_port: int = Field(18233, ge=0, le=65535, description="port of the Temporal Web UI")
    git_port: int = Field(13000, ge=0, le=65535, description="port of the Git server")
    runner_port: int = Field(19445, ge=0, le=65535, description="port of the function runner")
    content_port: int = Field(18443, ge=0, le=65535, description="port of the content API")
    workers: int = Field(2, ge=1, le=64, description="number of worker processes")
    git_latency: float = Field(
        0,
        ge=0,
        le=10_000,
        allow_inf_nan=False,
        description="milliseconds that each request to the Git server waits first, as if it were far away",
    )
    function_runner: bool = Field(
        default=True, description="whether there is a function runner; without, workers run builtin functions"
    )

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # Parts are started with other current directories.
        return value.expanduser().absolute()


def load_stack_settings(flags: Mapping[str, Any] | None = None) -> StackSettings:
    """Read the stack's settings from the environment and flags; flags win.

    Raises:
        SettingsError: A bad value; names it, and what would be right.
    """
    try:
        return StackSettings(**{name: value for name, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    name = str(problem["loc"][0])
    return f"{variable_of(name)} ({flag_of(name)}): {problem['msg']}, got {problem.get('input')!r}"


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return ENV_PREFIX + name.upper()


_Command = TypeVar("_Command", bound=Callable[..., Any])


def stack_options(*names: str) -> Callable[[_Command], _Command]:
    """Give a click command one option per setting of the stack, documented from the model; all when none is named."""

    def decorate(command: _Command) -> _Command:
        for name in reversed(names or tuple(StackSettings.model_fields)):
            field = StackSettings.model_fields[name]
            help_text = f"{field.description} [env {variable_of(name)}; default {field.default}]"
            metavar = metavar_of(field)
            command = click.option(flag_of(name), name, default=None, metavar=metavar, help=help_text)(command)
        return command

    return decorate
