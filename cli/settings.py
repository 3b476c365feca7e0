"""Settings of the processes: those of each room, from environment and flags, checked before a process starts."""

import difflib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo

from porchflow.activities.sync.sync_settings import SyncSettings
from porchflow.api.host_port import HostPort
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.cli.worker_settings import WorkerSettings
from porchflow.content.content_settings import ContentSettings
from porchflow.functions.runner_settings import (
    CallSettings,
    PodSettings,
    RegistrySettings,
    RunnerClientSettings,
    RunnerListenSettings,
    RunnerSettings,
)
from porchflow.gitrepo.git_settings import GitSettings
from porchflow.repositories.scope import ScopeSettings
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.workflows.installation_settings import InstallationSettings

ENV_PREFIX: Final = "PORCHFLOW_"

_NAMED_AS_IN_PORCH: Final = frozenset(
    {"FUNCTION_RUNNER_ADDRESS", "GIT_CACHE_DIR", "DEFAULT_IMAGE_PREFIX", "WRAPPER_SERVER_IMAGE"}
)
"""Variables without our prefix: manifests written for Porch set them."""

_STACK_VARIABLES: Final = frozenset(
    ENV_PREFIX + name
    for name in (
        *("CACHE_DIR", "CLUSTER_DIR", "ETCD", "KUBE_APISERVER", "TEMPORAL"),
        *("POSTGRESQL", "TEMPORAL_SERVER", "TEMPORAL_SQL_TOOL", "TEMPORAL_UI_SERVER"),
        *("COREDNS", "KUBELET", "KUBE_CONTROLLER_MANAGER", "KUBE_PROXY", "KUBE_SCHEDULER", "REGISTRY"),
    )
)
"""Executables and folders of the embedded stack and of `make cluster`, which have no flags."""

_METAVARS: Final[Mapping[object, str]] = {int: "INTEGER", float: "FLOAT", bool: "[true|false]"}


@dataclass(frozen=True)
class _Prefix:
    """The prefix of the flags and variables of a group."""

    text: str


class Settings(BaseModel, frozen=True):
    """All settings: those of each room, and those that every process has."""

    temporal: Annotated[TemporalSettings, _Prefix("temporal_")] = TemporalSettings()
    installation: Annotated[InstallationSettings, _Prefix("temporal_")] = InstallationSettings()
    kubeconfig: Path | None = Field(
        None, description="kubeconfig file; unset means in-cluster credentials, else KUBECONFIG or ~/.kube/config"
    )
    scope: ScopeSettings = ScopeSettings()
    runner_client: Annotated[RunnerClientSettings, _Prefix("function_runner_")] = RunnerClientSettings()
    git: Annotated[GitSettings, _Prefix("git_")] = GitSettings()
    calls: CallSettings = CallSettings()
    worker: WorkerSettings = WorkerSettings()
    sync: SyncSettings = SyncSettings()
    watcher: WatcherSettings = WatcherSettings()
    runner_listen: Annotated[RunnerListenSettings, _Prefix("function_runner_")] = RunnerListenSettings()
    runner: RunnerSettings = RunnerSettings()
    pods: PodSettings = PodSettings()
    registries: RegistrySettings = RegistrySettings()
    metrics_address: HostPort = Field(
        "", description="host:port for the function runner's Prometheus metrics at /metrics; unset means none"
    )
    content: Annotated[ContentSettings, _Prefix("content_")] = ContentSettings()
    health_address: HostPort = Field("", description="host:port for /healthz, /readyz and /metrics; unset means none")
    temporal_metrics_address: HostPort = Field(
        "", description="host:port for the Prometheus metrics of Temporal's SDK at /metrics; unset means none"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")


class StackSettings(BaseModel, frozen=True, validate_default=True):
    """Settings of the embedded stack: its state folder, its ports on this machine, and its parts.

    Port 0 means any free port, and the same one at the next start if it is free then.
    """

    state_dir: Path = Field(Path(".porchflow"), description="folder that holds everything the stack keeps")
    api_port: int = Field(16443, ge=0, le=65535, description="port of the Kubernetes API server")
    etcd_port: int = Field(12379, ge=0, le=65535, description="port of etcd")
    temporal_port: int = Field(17233, ge=0, le=65535, description="port of Temporal")
    temporal_store: Literal["sqlite", "postgresql"] = Field(
        "sqlite",
        description="where Temporal keeps its runs: sqlite, Temporal's development server with a file; postgresql, its"
        " real server on the PostgreSQL of this machine",
    )
    postgresql_port: int = Field(
        15432, ge=0, le=65535, description="port of PostgreSQL, where Temporal's runs are in it"
    )
    ui_port: int = Field(18233, ge=0, le=65535, description="port of the Temporal UI")
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
        default=True, description="whether there is a function runner; without one, workers run built-in functions"
    )

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        # Parts of the stack have other current directories.
        return value.expanduser().absolute()


@dataclass(frozen=True)
class Setting:
    """One setting, with its names in flags, variables, help and messages.

    Attributes:
        name: Its flag without leading dashes, with underscores.
        path: Attributes that lead to it from the outermost model.
        group: The model that it is a field of.
        field: Type, default and description.
    """

    name: str
    path: tuple[str, ...]
    group: type[BaseModel]
    field: FieldInfo

    @property
    def flag(self) -> str:
        """The flag that sets it."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        variable = self.name.upper()
        return variable if variable in _NAMED_AS_IN_PORCH else ENV_PREFIX + variable

    @property
    def told_name(self) -> str:
        """Its name in messages: the variable, then the flag."""
        return f"{self.variable} ({self.flag})"

    @property
    def is_secret(self) -> bool:
        """Whether it has no flag, because every user of a machine sees the flags of its processes."""
        return self.field.annotation is SecretStr

    @property
    def metavar(self) -> str:
        """The placeholder of its value in `--help`."""
        annotation = self.field.annotation
        if bool in get_args(annotation):
            annotation = bool
        if get_origin(annotation) is Literal:
            return f"[{'|'.join(get_args(annotation))}]"
        if Path in {annotation, *get_args(annotation)}:
            return "PATH"
        return _METAVARS.get(annotation, "TEXT")

    @property
    def shown_default(self) -> str:
        """The default as text; empty for None and for secrets."""
        default = self.field.default
        if default is None or self.is_secret:
            return ""
        return ",".join(default) if isinstance(default, tuple) else str(default)

    def read(self, value: Any) -> Any:  # noqa: ANN401 - text, or a value of the field's type
        """Return the value of a flag or variable as the model takes it: text of a list is split at commas."""
        if get_origin(self.field.annotation) is tuple and isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    def of(self, settings: BaseModel) -> Any:  # noqa: ANN401 - of the field's type
        """Return its value."""
        return functools.reduce(getattr, self.path, settings)


class SettingsError(click.ClickException):
    """A setting that cannot be used. It ends the process with exit code 2."""

    exit_code = 2


@functools.cache
def settings_of(model: type[BaseModel]) -> Mapping[str, Setting]:
    """Return the settings of a model and its groups, by name."""
    return {setting.name: setting for setting in _flat(model)}


def _flat(model: type[BaseModel], path: tuple[str, ...] = (), prefix: str = "") -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            begin = "".join(each.text for each in field.metadata if isinstance(each, _Prefix))
            yield from _flat(field.annotation, (*path, name), begin)
        else:
            yield Setting(prefix + name, (*path, name), model, field)


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read settings from the environment and flags; flags win.

    Args:
        flags: Settings given on the command line, by name; None for one that is not given.

    Raises:
        SettingsError: An unknown `PORCHFLOW_` variable or a bad value; the message names it and a right one.
    """
    _refuse_unknown(os.environ)
    return load(Settings, flags or {})


_Model = TypeVar("_Model", bound=BaseModel)


def load(model: type[_Model], flags: Mapping[str, Any]) -> _Model:
    """Read one model of settings from the environment and flags; flags win, and an empty variable counts as unset.

    Args:
        model: The model.
        flags: Settings given on the command line, by name; None for one that is not given.

    Raises:
        SettingsError: A bad value; the message names the setting and a right value.
    """
    known = settings_of(model)
    given = {name: os.environ.get(setting.variable) or None for name, setting in known.items()} | {
        name: value for name, value in flags.items() if value is not None
    }
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is not None:
            *groups, last = known[name].path
            functools.reduce(lambda group, key: group.setdefault(key, {}), groups, values)[last] = known[name].read(
                value
            )
    try:
        return model.model_validate(values)
    except ValidationError as error:
        by_path = {setting.path: setting for setting in known.values()}
        raise SettingsError("\n".join(_explain(problem, by_path) for problem in error.errors())) from None


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    of_models = (setting for model in (Settings, StackSettings) for setting in settings_of(model).values())
    known = {setting.variable for setting in of_models} | _STACK_VARIABLES
    unknown = sorted(name for name in environ if name.startswith(ENV_PREFIX) and name not in known)
    if unknown:
        # A variable that is named as in Porch is a likely one to be given our prefix by mistake.
        bare = {name.removeprefix(ENV_PREFIX): name for name in sorted(known)}
        near = difflib.get_close_matches(unknown[0].removeprefix(ENV_PREFIX), bare, n=1)
        meant = f": did you mean {bare[near[0]]}?" if near else ";"
        raise SettingsError(
            f"unknown setting {unknown[0]} in the environment{meant} known are: {', '.join(sorted(known))}"
        )


def _explain(problem: Any, by_path: Mapping[tuple[str, ...], Setting]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    # Pydantic appends the place within a list to the path of the setting.
    where = problem["loc"]
    setting = next(by_path[where[:length]] for length in range(1, len(where) + 1) if where[:length] in by_path)
    told = str(problem["msg"]).removeprefix("Value error, ")
    return f"{setting.told_name}: {told}, got {problem.get('input')!r}"


def told_name(name: str) -> str:
    """Return the name of a setting in messages: its variable, then its flag."""
    return settings_of(Settings)[name].told_name


Command = TypeVar("Command", bound=Callable[..., Any])


def settings_options(*wanted: type[BaseModel] | str, model: type[BaseModel] = Settings) -> Callable[[Command], Command]:
    """Give a click command one option per setting that is no secret, documented from the model.

    Args:
        wanted: Groups, of which the command takes every setting; or single settings, by name.
        model: The model that has them.
    """
    known = settings_of(model)
    chosen: list[Setting] = []
    for each in wanted:
        chosen += [known[each]] if isinstance(each, str) else [one for one in known.values() if one.group is each]

    def decorate(command: Command) -> Command:
        for setting in reversed([one for one in chosen if not one.is_secret]):
            shown = f"; default {setting.shown_default}" if setting.shown_default else ""
            help_text = f"{setting.field.description} [env {setting.variable}{shown}]"
            option = click.option(setting.flag, setting.name, default=None, metavar=setting.metavar, help=help_text)
            command = option(command)
        return command

    return decorate
